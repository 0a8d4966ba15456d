-- Times are microseconds of UTC by the clock of a worker, as in every store. What only the database's own clock may judge,
-- leases and buckets, has the type timestamptz: so the two are never compared by accident.
-- Names are ordered by their octets, whatever the database's collation.

-- One row per migration. A migration only adds, so that the version before it goes on working beside it; `usable_from` names
-- the oldest schema whose programs can.
CREATE TABLE prevalidate_schema (
    version     bigint      NOT NULL PRIMARY KEY,
    usable_from bigint      NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO prevalidate_schema (version, usable_from) VALUES (1, 1);

CREATE TABLE domain (
    name         text COLLATE "C" NOT NULL PRIMARY KEY,
    client       text COLLATE "C" NOT NULL,
    ca           text             NOT NULL,
    provider     text,
    origins      bigint           NOT NULL,               -- 1 config, 2 added; 0: nobody wants it any more
    due_at       bigint,
    woken_at     bigint,                                  -- a wake-up no claim has answered yet
    at_risk      boolean          NOT NULL DEFAULT false,
    lease_epoch  bigint           NOT NULL DEFAULT 0,
    lease_until  timestamptz,                             -- NULL: released
    lease_holder text,
    claims       bigint           NOT NULL DEFAULT 0,     -- since the last release
    read_at      bigint,                                  -- when `sighting` was read; younger: the client's look, see domain_view
    missed_look  bigint,                                  -- looks of the client up to this one do not count for this row
    sighting     text             NOT NULL DEFAULT '"unread"',
    attempt      text             NOT NULL DEFAULT '{}'
);
CREATE INDEX domain_due ON domain (due_at, name);
CREATE INDEX domain_client ON domain (client);
CREATE INDEX domain_at_risk ON domain (client) WHERE at_risk;

CREATE TABLE look (
    client text COLLATE "C" NOT NULL PRIMARY KEY,
    at     bigint           NOT NULL
);

-- A night of ten thousand unchanged domains writes one row of `look`, not ten thousand of `domain`.
CREATE VIEW domain_view AS
SELECT d.name, d.client, d.ca, d.provider, d.origins, d.sighting, d.attempt, d.due_at, d.at_risk,
       CASE WHEN d.sighting = '"unread"' THEN NULL
            WHEN l.at > coalesce(d.missed_look, l.at - 1) THEN greatest(d.read_at, l.at)
            ELSE d.read_at END AS read_at
FROM domain d LEFT JOIN look l ON l.client = d.client;

CREATE TABLE ledger (
    id            bigint           NOT NULL PRIMARY KEY,
    owner         text COLLATE "C" NOT NULL,
    value         text             NOT NULL CHECK (value <> ''),
    provider      text             NOT NULL,
    zone          text,
    state         text             NOT NULL CHECK (state IN ('intended', 'published', 'foreign', 'removing', 'removed')),
    ttl_before    bigint,
    negative_ttl  bigint,
    created_at    bigint           NOT NULL,
    published_at  bigint,
    removal_tries bigint           NOT NULL,
    retry_at      bigint
);
CREATE UNIQUE INDEX ledger_once ON ledger (owner, value, provider) WHERE state <> 'removed';
CREATE INDEX ledger_closed ON ledger (created_at) WHERE state IN ('removed', 'foreign');

CREATE TABLE history (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     bigint NOT NULL,
    run    text   NOT NULL,
    domain text COLLATE "C",
    kind   text   NOT NULL,
    detail text   NOT NULL
);
CREATE INDEX history_domain ON history (domain, id);
CREATE INDEX history_at ON history (at);

CREATE TABLE effect (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     bigint  NOT NULL,
    domain text COLLATE "C" NOT NULL,
    retry  boolean NOT NULL
);
CREATE INDEX effect_at ON effect (at, retry);

CREATE TABLE fact (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    value text             NOT NULL
);

-- What all machines may do together in a stretch of time.
CREATE TABLE bucket (
    name    text        NOT NULL PRIMARY KEY,
    full_at timestamptz NOT NULL                          -- when nothing of it is taken any more
);

-- Every transaction that writes leaves its mark: when the answer to its COMMIT is lost, the mark says whether it was stored.
CREATE TABLE settled (
    token uuid        NOT NULL PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX settled_at ON settled (at);
