-- Keys of rows in Redis that are to be invalidated as soon as it answers.
CREATE TABLE IF NOT EXISTS millrace_dirty_keys (
    key_digest BYTEA NOT NULL PRIMARY KEY,
    entry BYTEA NOT NULL,
    cache_key TEXT NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
