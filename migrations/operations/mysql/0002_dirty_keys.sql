-- Keys of rows in Redis that are to be invalidated as soon as it answers.
CREATE TABLE IF NOT EXISTS millrace_dirty_keys (
    key_digest BINARY(32) NOT NULL PRIMARY KEY,
    entry BINARY(16) NOT NULL,
    cache_key TEXT NOT NULL,
    noted_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
