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
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS millrace_operations_applied_at ON millrace_operations (applied_at);
