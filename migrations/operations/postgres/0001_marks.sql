-- Which operations were applied, or rejected by the database. Compared as bytes.
CREATE TABLE IF NOT EXISTS millrace_operations (
    operation_id BYTEA NOT NULL PRIMARY KEY,
    payload_digest BYTEA NOT NULL,
    operation TEXT NOT NULL,
    entity TEXT NOT NULL,
    made_id TEXT,
    user_id TEXT,
    source TEXT,
    action TEXT,
    rejected TEXT,
    occurred_micros BIGINT NOT NULL,
    kafka_topic TEXT NOT NULL,
    kafka_partition INTEGER NOT NULL,
    kafka_offset BIGINT NOT NULL,
    -- Of an operation on one row: which, and the columns, one a line.
    row_hash BIGINT,
    written_columns TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS millrace_operations_applied_at ON millrace_operations (applied_at);
CREATE INDEX IF NOT EXISTS millrace_operations_row ON millrace_operations (row_hash);
-- The rows of bulks that were applied.
CREATE TABLE IF NOT EXISTS millrace_bulk_rows (
    row_hash BIGINT NOT NULL,
    operation_id BYTEA NOT NULL,
    PRIMARY KEY (row_hash, operation_id)
);
CREATE INDEX IF NOT EXISTS millrace_bulk_rows_operation ON millrace_bulk_rows (operation_id);
-- Until when marks may have been purged, in microseconds since 1970.
CREATE TABLE IF NOT EXISTS millrace_operations_horizon (
    only_one INTEGER PRIMARY KEY,
    micros BIGINT NOT NULL
);
