-- Records that stay in DNS: a row for each issuer at each domain. JSON holds what only their planner reads.
CREATE TABLE persistent (
    name         TEXT    NOT NULL PRIMARY KEY,  -- the domain, a blank, the issuer
    domain       TEXT    NOT NULL,
    issuer       TEXT    NOT NULL,
    lease_epoch  INTEGER NOT NULL DEFAULT 0,
    lease_until  INTEGER,                       -- NULL: released
    lease_holder TEXT,
    kept         TEXT    NOT NULL DEFAULT '{}'
) STRICT;
