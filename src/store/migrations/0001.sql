-- Times are microseconds of UTC. Names are A-labels. JSON columns hold what only the planner reads.

CREATE TABLE domain (
    name         TEXT    NOT NULL PRIMARY KEY,
    client       TEXT    NOT NULL,
    ca           TEXT    NOT NULL,
    provider     TEXT,
    origins      INTEGER NOT NULL,              -- 1 config, 2 added; 0: nobody wants it any more
    due_at       INTEGER,
    woken_at     INTEGER,                       -- a wake-up no claim has answered yet
    at_risk      INTEGER NOT NULL DEFAULT 0,
    lease_epoch  INTEGER NOT NULL DEFAULT 0,
    lease_until  INTEGER,                       -- NULL: released
    lease_holder TEXT,
    claims       INTEGER NOT NULL DEFAULT 0,    -- since the last release
    read_at      INTEGER,                       -- when `sighting` was read; younger: the client's look, see domain_view
    missed_look  INTEGER,                       -- looks of the client up to this one do not count for this row
    sighting     TEXT    NOT NULL DEFAULT '"unread"',
    attempt      TEXT    NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX domain_due ON domain (due_at);
CREATE INDEX domain_at_risk ON domain (client) WHERE at_risk = 1;

CREATE TABLE look (
    client TEXT    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A night of ten thousand unchanged domains writes one row of `look`, not ten thousand of `domain`.
CREATE VIEW domain_view AS
SELECT d.name, d.client, d.ca, d.provider, d.origins, d.sighting, d.attempt, d.due_at, d.at_risk,
       CASE WHEN d.sighting = '"unread"' THEN NULL
            WHEN l.at > coalesce(d.missed_look, l.at - 1) THEN max(coalesce(d.read_at, l.at), l.at)
            ELSE d.read_at END AS read_at
FROM domain d LEFT JOIN look l ON l.client = d.client;

CREATE TABLE ledger (
    id            INTEGER NOT NULL PRIMARY KEY,
    owner         TEXT    NOT NULL,
    value         TEXT    NOT NULL CHECK (value <> ''),
    provider      TEXT    NOT NULL,
    zone          TEXT,
    state         TEXT    NOT NULL CHECK (state IN ('intended', 'published', 'foreign', 'removing', 'removed')),
    ttl_before    INTEGER,
    negative_ttl  INTEGER,
    created_at    INTEGER NOT NULL,
    published_at  INTEGER,
    removal_tries INTEGER NOT NULL,
    retry_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX ledger_once ON ledger (owner, value, provider) WHERE state <> 'removed';
CREATE INDEX ledger_closed ON ledger (created_at) WHERE state IN ('removed', 'foreign');

CREATE TABLE history (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    run    TEXT    NOT NULL,
    domain TEXT,
    kind   TEXT    NOT NULL,
    detail TEXT    NOT NULL
) STRICT;
CREATE INDEX history_domain ON history (domain);
CREATE INDEX history_at ON history (at);

CREATE TABLE effect (
    at     INTEGER NOT NULL,
    domain TEXT    NOT NULL,
    retry  INTEGER NOT NULL
) STRICT;
CREATE INDEX effect_at ON effect (at, retry);

CREATE TABLE fact (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
