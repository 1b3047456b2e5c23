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
    applied_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    INDEX millrace_operations_applied_at (applied_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
