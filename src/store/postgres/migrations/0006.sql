INSERT INTO prevalidate_schema (version, usable_from) VALUES (6, 1);

-- Records that stay in DNS: a row for each issuer at each domain. JSON holds what only their planner reads.
CREATE TABLE persistent (
    name         text   COLLATE "C" PRIMARY KEY,              -- the domain, a blank, the issuer
    domain       text   NOT NULL,
    issuer       text   NOT NULL,
    lease_epoch  bigint NOT NULL DEFAULT 0,
    lease_until  timestamptz,                     -- NULL: released
    lease_holder text,
    kept         text   NOT NULL DEFAULT '{}'
);
