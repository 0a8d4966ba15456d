-- What all processes may do together in a stretch of time.
CREATE TABLE bucket (
    name    TEXT    NOT NULL PRIMARY KEY,
    full_at INTEGER NOT NULL                -- when nothing of it is taken any more
) STRICT, WITHOUT ROWID;
