-- What programs of schema 2 write and read, their parameters filled in: all of it must go on working in every later schema that
-- says so by `usable_from`.

INSERT INTO settled (token) VALUES ('11111111-1111-4111-8111-111111111111');
SELECT name, client, ca, provider, origins FROM domain;
INSERT INTO domain (name, client, ca, provider, origins)
SELECT name, client, ca, provider, 1 FROM unnest('{old.ch}'::text[], '{swisssign/a}'::text[], '{swisssign}'::text[], '{zones}'::text[])
    AS new (name, client, ca, provider)
ON CONFLICT (name) DO UPDATE SET
    client = excluded.client, ca = excluded.ca, provider = excluded.provider, origins = domain.origins | excluded.origins,
    read_at = CASE WHEN domain.client = excluded.client THEN domain.read_at
        ELSE (SELECT v.read_at FROM domain_view v WHERE v.name = domain.name) END,
    sighting = CASE WHEN domain.client = excluded.client THEN domain.sighting ELSE '"unread"' END,
    at_risk = domain.at_risk AND domain.client = excluded.client,
    missed_look = CASE WHEN domain.client = excluded.client THEN domain.missed_look
        ELSE (SELECT l.at FROM look l WHERE l.client = excluded.client) END,
    woken_at = 0
WHERE 1 = 1 OR domain.origins & 1 = 0;
UPDATE domain SET origins = origins | 2 WHERE name = ANY('{old.ch}');
UPDATE domain SET origins = origins & ~2::bigint, woken_at = 0 WHERE name = ANY('{old.ch}');

UPDATE domain d SET sighting = '"absent"', read_at = 1, lease_epoch = d.lease_epoch + 0, lease_holder = NULL, lease_until = NULL,
    due_at = least(2, d.woken_at), missed_look = greatest(d.missed_look, 0)
WHERE d.name = 'old.ch' AND coalesce(d.lease_until <= clock_timestamp(), true);
INSERT INTO turn AS t (client, holder, until) VALUES ('swisssign/a', 'old/1', clock_timestamp() + 9 * interval '1 microsecond')
ON CONFLICT (client) DO UPDATE SET holder = CASE WHEN t.until <= clock_timestamp() THEN excluded.holder ELSE t.holder END
RETURNING holder, (extract(epoch FROM until - clock_timestamp()) * 1000000)::bigint;
INSERT INTO look (client, at) VALUES ('swisssign/a', 1) ON CONFLICT (client) DO UPDATE SET at = greatest(look.at, excluded.at);
DELETE FROM turn WHERE client = 'swisssign/a';

WITH first AS MATERIALIZED (
    SELECT client FROM domain WHERE due_at <= 3 AND (lease_until IS NULL OR lease_until <= clock_timestamp())
    ORDER BY due_at, name LIMIT 1 FOR UPDATE SKIP LOCKED),
picked AS MATERIALIZED (
    SELECT name FROM domain WHERE client = (SELECT client FROM first) AND due_at <= 3
    ORDER BY due_at, name LIMIT 10 FOR UPDATE SKIP LOCKED)
UPDATE domain d SET lease_epoch = lease_epoch + 1, lease_holder = 'old/1', claims = claims + 1, woken_at = NULL,
    lease_until = clock_timestamp() + interval '5 minutes'
FROM picked WHERE d.name = picked.name
RETURNING d.name, d.lease_epoch, d.claims;
SELECT * FROM domain_view WHERE name = ANY('{old.ch}') ORDER BY due_at, name;
UPDATE domain SET at_risk = true WHERE name = 'old.ch'
    AND (SELECT count(*) FROM domain other WHERE other.client = 'swisssign/a' AND other.at_risk) < 5;
UPDATE domain d SET attempt = '{"looks":7}', at_risk = coalesce(false, d.at_risk), due_at = 600,
    lease_until = NULL, lease_holder = NULL, claims = 0
WHERE d.name = 'old.ch' AND d.lease_epoch = 1 AND d.lease_until IS NOT NULL;
INSERT INTO ledger (id, owner, value, provider, zone, state, ttl_before, negative_ttl, created_at, published_at, removal_tries, retry_at)
VALUES (7, 'old.ch', 'swiss-pki=old', 'zones', NULL, 'intended', NULL, NULL, 4, NULL, 0, NULL)
ON CONFLICT (id) DO UPDATE SET zone = excluded.zone, state = excluded.state, ttl_before = excluded.ttl_before,
    negative_ttl = excluded.negative_ttl, published_at = excluded.published_at, removal_tries = excluded.removal_tries,
    retry_at = excluded.retry_at
WHERE ledger.owner = excluded.owner AND ledger.value = excluded.value AND ledger.provider = excluded.provider;
INSERT INTO effect (at, domain, retry) VALUES (4, 'old.ch', false);
INSERT INTO history (at, run, domain, kind, detail) VALUES (4, 'run-1', 'old.ch', 'registered', 'by an old program');
INSERT INTO fact (key, value) VALUES ('old', 'yes') ON CONFLICT (key) DO UPDATE SET value = excluded.value;
INSERT INTO bucket AS b (name, full_at) VALUES ('ca/swisssign', clock_timestamp()) ON CONFLICT (name) DO UPDATE SET full_at = b.full_at;
INSERT INTO hook (sender, message, digest, at) VALUES ('old', 'msg_1', '00', 4) ON CONFLICT (sender, message) DO NOTHING;
INSERT INTO notice (key, state, since) VALUES ('team/held', '{}', 4) ON CONFLICT (key) DO NOTHING;
UPDATE notice SET state = '{}', since = 5 WHERE key = 'team/held' AND state = '{}';
SELECT pg_notify('prevalidate', '');

DELETE FROM history WHERE id IN (SELECT id FROM history WHERE at < 0 LIMIT 2000);
DELETE FROM effect WHERE id IN (SELECT id FROM effect WHERE at < 0 LIMIT 2000);
DELETE FROM hook WHERE id IN (SELECT id FROM hook WHERE at < 0 LIMIT 2000);
DELETE FROM notice WHERE key IN (SELECT key FROM notice WHERE since < 0 LIMIT 2000);
DELETE FROM settled WHERE token IN (SELECT token FROM settled WHERE at < clock_timestamp() - interval '1 day' LIMIT 2000);
