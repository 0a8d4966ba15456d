INSERT INTO prevalidate_schema (version, usable_from) VALUES (4, 1);

-- Certificates that are kept. JSON holds what only their planner reads.
CREATE TABLE certificate (
    name         text        COLLATE "C" NOT NULL PRIMARY KEY,
    ca           text        NOT NULL,
    wanted       boolean     NOT NULL,                    -- false: the configuration names it no more
    home         text,                                    -- the directory that has its key and its files
    due_at       bigint,
    lease_epoch  bigint      NOT NULL DEFAULT 0,
    lease_until  timestamptz,                             -- NULL: released
    lease_holder text,
    claims       bigint      NOT NULL DEFAULT 0,          -- since the last release
    progress     text        NOT NULL DEFAULT '{}'
);
CREATE INDEX certificate_due ON certificate (due_at, name);

-- What was done for a certificate.
CREATE TABLE certificate_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          bigint NOT NULL,
    run         text   NOT NULL,
    certificate text   COLLATE "C" NOT NULL,
    kind        text   NOT NULL,
    detail      text   NOT NULL
);
CREATE INDEX certificate_history_name ON certificate_history (certificate);
CREATE INDEX certificate_history_at ON certificate_history (at);
