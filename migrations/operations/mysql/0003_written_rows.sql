-- Of an operation on one row: which, and the columns, one a line. Marks from before have neither.
ALTER TABLE millrace_operations
    ADD COLUMN row_hash BIGINT,
    ADD COLUMN written_columns TEXT NOT NULL,
    ADD INDEX millrace_operations_row (row_hash);
-- The rows of bulks that were applied.
CREATE TABLE IF NOT EXISTS millrace_bulk_rows (
    row_hash BIGINT NOT NULL,
    operation_id VARBINARY(512) NOT NULL,
    PRIMARY KEY (row_hash, operation_id),
    INDEX millrace_bulk_rows_operation (operation_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
-- Until when marks may have been purged, in microseconds since 1970.
CREATE TABLE IF NOT EXISTS millrace_operations_horizon (
    only_one INT NOT NULL PRIMARY KEY,
    micros BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
