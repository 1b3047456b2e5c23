-- Which operations were applied, or rejected by the database. Compared as bytes.
CREATE TABLE IF NOT EXISTS millrace_operations (
    operation_id VARBINARY(512) NOT NULL PRIMARY KEY,
    payload_digest BINARY(32) NOT NULL,
    operation VARCHAR(16) NOT NULL,
    entity VARCHAR(191) NOT NULL,
    made_id VARCHAR(191),
    user_id VARCHAR(191),
    source VARCHAR(191),
    action VARCHAR(191),
    rejected TEXT,
    occurred_micros BIGINT NOT NULL,
    kafka_topic VARCHAR(249) NOT NULL,
    kafka_partition INT NOT NULL,
    kafka_offset BIGINT NOT NULL,
    -- Of an operation on one row: which, and the columns, one a line.
    row_hash BIGINT,
    written_columns TEXT NOT NULL,
    applied_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    INDEX millrace_operations_applied_at (applied_at),
    INDEX millrace_operations_row (row_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
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
