INSERT INTO prevalidate_schema (version, usable_from) VALUES (5, 1);

-- A certificate that is woken while it is worked on is due when its holder lets go of it.
ALTER TABLE certificate ADD COLUMN woken_at bigint;       -- a wake-up no claim has answered yet
