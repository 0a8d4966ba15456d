INSERT INTO prevalidate_schema (version, usable_from) VALUES (2, 1);

-- Messages of hooks that were taken: a repetition is known by its id and its digest.
CREATE TABLE hook (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sender  text   COLLATE "C" NOT NULL,                  -- the key that signed it
    message text   COLLATE "C" NOT NULL,                  -- its id
    digest  text   NOT NULL,
    at      bigint NOT NULL,
    UNIQUE (sender, message)
);
CREATE INDEX hook_at ON hook (at);

-- What people were told about, and how that stands.
CREATE TABLE notice (
    key   text   COLLATE "C" NOT NULL PRIMARY KEY,
    state text   NOT NULL,
    since bigint NOT NULL
);

-- Who is looking at a client just now.
CREATE TABLE turn (
    client text        COLLATE "C" NOT NULL PRIMARY KEY,
    holder text        NOT NULL,
    until  timestamptz NOT NULL
);
