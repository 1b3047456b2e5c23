-- Of an operation on one row: which, and the columns, one a line. Marks from before have neither.
ALTER TABLE millrace_operations
    ADD COLUMN row_hash BIGINT,
    ADD COLUMN written_columns TEXT NOT NULL DEFAULT '';
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
