-- What programs of schema 3 write and read, their parameters filled in: all of it must go on working in every later schema.

INSERT INTO domain (name, client, ca, provider, origins)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 1 FROM json_each('[["old.ch","swisssign/a","swisssign","zones"]]') WHERE true
ON CONFLICT (name) DO UPDATE SET
    client = excluded.client, ca = excluded.ca, provider = excluded.provider, origins = origins | excluded.origins,
    read_at = iif(client = excluded.client, read_at, (SELECT v.read_at FROM domain_view v WHERE v.name = domain.name)),
    sighting = iif(client = excluded.client, sighting, '"unread"'), at_risk = at_risk AND client = excluded.client,
    attempt = iif(client = excluded.client, attempt, json_object('effects', json(coalesce(attempt -> '$.effects', '[]')))),
    missed_look = iif(client = excluded.client, missed_look, (SELECT at FROM look l WHERE l.client = excluded.client)),
    woken_at = 0, due_at = iif(sighting = '"unread"', due_at, min(coalesce(due_at, 0), 0))
WHERE 1 = 1 OR origins & 1 = 0;
UPDATE domain SET origins = origins | 2 WHERE name IN (SELECT value ->> 0 FROM json_each('[["old.ch"]]'));
UPDATE domain SET origins = origins & ~2, woken_at = 0, due_at = iif(sighting = '"unread"', due_at, min(coalesce(due_at, 0), 0))
WHERE name IN (SELECT value FROM json_each('["old.ch"]'));

UPDATE domain SET sighting = seen.sighting, read_at = 1, lease_epoch = lease_epoch + (lease_until IS NOT NULL),
    lease_until = NULL, lease_holder = NULL
FROM (SELECT value ->> 0 AS name, value ->> 1 AS sighting FROM json_each('[["old.ch","\"absent\""]]')) AS seen
WHERE domain.name = seen.name AND client = 'swisssign/a' AND coalesce(lease_until <= 1, true) AND coalesce(read_at <= 1, true);
UPDATE domain SET due_at = min(seen.due_at, coalesce(woken_at, seen.due_at))
FROM (SELECT value ->> 0 AS name, value ->> 1 AS due_at FROM json_each('[["old.ch",2]]')) AS seen
WHERE domain.name = seen.name AND client = 'swisssign/a' AND coalesce(lease_until <= 1, true) AND coalesce(read_at <= 1, true)
    AND seen.due_at IS NOT NULL AND domain.due_at IS NOT min(seen.due_at, coalesce(woken_at, seen.due_at));
UPDATE domain SET missed_look = max(1, coalesce(missed_look, 1)) WHERE client = 'swisssign/a'
    AND (lease_until > 1 OR name NOT IN (SELECT value ->> 0 FROM json_each('[["old.ch",2]]')));
INSERT INTO look (client, at) VALUES ('swisssign/a', 1) ON CONFLICT DO UPDATE SET at = max(at, excluded.at);

UPDATE domain SET lease_epoch = lease_epoch + 1, lease_holder = 'old/1', lease_until = 9, claims = claims + 1, woken_at = NULL
WHERE name IN (
    SELECT name FROM domain
    WHERE due_at <= 3 AND (lease_until IS NULL OR lease_until <= 3)
        AND (NULL IS NULL OR name IN (SELECT value FROM json_each(NULL)))
        AND client = (
            SELECT client FROM domain
            WHERE due_at <= 3 AND (lease_until IS NULL OR lease_until <= 3)
                AND client NOT IN (SELECT value FROM json_each('[]'))
                AND (NULL IS NULL OR name IN (SELECT value FROM json_each(NULL)))
            ORDER BY due_at, name LIMIT 1)
    ORDER BY due_at, name LIMIT 10)
RETURNING name, lease_epoch, claims;
SELECT * FROM domain_view WHERE name IN (SELECT value FROM json_each('["old.ch"]')) ORDER BY due_at, name;
UPDATE domain SET lease_until = 12 WHERE name = 'old.ch' AND lease_epoch = 1 AND lease_until IS NOT NULL;
UPDATE domain SET at_risk = 1 WHERE name = 'old.ch'
    AND (SELECT count(*) FROM domain other WHERE other.client = 'swisssign/a' AND other.at_risk = 1) < 5;

UPDATE domain SET sighting = coalesce(NULL, sighting), read_at = coalesce(NULL, read_at), attempt = '{"looks":7}',
    due_at = iif(woken_at IS NULL, 600, min(coalesce(600, woken_at), woken_at)), at_risk = coalesce(0, at_risk),
    lease_until = iif(1, NULL, lease_until), lease_holder = iif(1, NULL, lease_holder), claims = iif(1, 0, claims)
WHERE name = 'old.ch' AND lease_epoch = 1 AND lease_until IS NOT NULL;
INSERT INTO ledger (id, owner, value, provider, zone, state, ttl_before, negative_ttl, created_at, published_at,
    removal_tries, retry_at)
VALUES (7, 'old.ch', 'swiss-pki=old', 'zones', NULL, 'intended', NULL, NULL, 4, NULL, 0, NULL)
ON CONFLICT (id) DO UPDATE SET zone = NULL, state = 'intended', ttl_before = NULL, negative_ttl = NULL, published_at = NULL,
    removal_tries = 0, retry_at = NULL
WHERE owner = 'old.ch' AND value = 'swiss-pki=old' AND provider = 'zones';
SELECT * FROM ledger WHERE state <> 'removed' ORDER BY owner, id;
SELECT * FROM ledger WHERE owner IN (SELECT value FROM json_each('["old.ch"]')) AND state <> 'removed' ORDER BY id;
INSERT INTO effect (at, domain, retry) VALUES (4, 'old.ch', 0);
SELECT count(*), coalesce(sum(retry), 0) FROM effect WHERE at >= 0;
INSERT INTO history (at, run, domain, kind, detail)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
FROM json_each('[[4,"run-1","old.ch","registered","by an old program"]]') ORDER BY key;
INSERT INTO fact (key, value) VALUES ('old', 'yes') ON CONFLICT DO UPDATE SET value = excluded.value;

DELETE FROM history WHERE id IN (SELECT id FROM history WHERE at < 0 LIMIT 2000);
DELETE FROM effect WHERE rowid IN (SELECT rowid FROM effect WHERE at < 0 LIMIT 2000);
DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE created_at < 0 AND state IN ('removed', 'foreign') LIMIT 2000);
DELETE FROM notice WHERE key IN (SELECT key FROM notice WHERE since < 0 LIMIT 2000);
DELETE FROM hook WHERE rowid IN (SELECT rowid FROM hook WHERE at < 0 LIMIT 2000);

INSERT INTO turn (client, holder, until) VALUES ('swisssign/a', 'old/1', 9)
ON CONFLICT DO UPDATE SET until = iif(until <= 4 OR holder = 'old/1', 9, until), holder = iif(until <= 4, 'old/1', holder)
RETURNING holder, until;
DELETE FROM turn WHERE client = 'swisssign/a';
INSERT INTO bucket (name, full_at) VALUES ('ca/swisssign', 4)
ON CONFLICT DO UPDATE SET full_at = iif(full_at > 9, 4, max(full_at, 4)) + 1 RETURNING full_at;
INSERT INTO hook (sender, message, digest, at) VALUES ('old', 'msg_1', '00', 4) ON CONFLICT DO NOTHING;
INSERT INTO notice (key, state, since) VALUES ('team/held', '{}', 4) ON CONFLICT DO NOTHING;
UPDATE notice SET state = '{}', since = 5 WHERE key = 'team/held' AND state = '{}';
