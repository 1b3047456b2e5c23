-- The present state of each transaction. A deleted one stays as a tombstone, or a late update would bring it back:
-- id, version and time, nothing personal.
CREATE TABLE transaction_state (
    id                text PRIMARY KEY,
    version           bigint NOT NULL,
    deleted           boolean NOT NULL,
    event_type        text NOT NULL,
    updated_at        timestamptz NOT NULL,
    user_id           text,
    transaction_type  text,
    product           text,
    status            text,
    currency          text,
    amount            numeric,
    payload           json,
    message_id        text NOT NULL,
    kafka_topic       text NOT NULL,
    kafka_partition   integer NOT NULL,
    kafka_offset      bigint NOT NULL,
    written_at        timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX transaction_state_user ON transaction_state (user_id, updated_at) WHERE NOT deleted;

-- The living.
CREATE VIEW transactions AS
    SELECT id, user_id, transaction_type, product, status, currency, amount, event_type, updated_at, version, payload
    FROM transaction_state
    WHERE NOT deleted;

-- Every event once, whatever became of it; copies are told by message id and payload.
CREATE TABLE transaction_events (
    message_id        text NOT NULL,
    payload_digest    text NOT NULL,
    transaction_id    text NOT NULL,
    event_type        text NOT NULL,
    occurred_at       timestamptz NOT NULL,
    version           bigint NOT NULL,
    payload           json NOT NULL,
    kafka_topic       text NOT NULL,
    kafka_partition   integer NOT NULL,
    kafka_offset      bigint NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, payload_digest)
);

CREATE INDEX transaction_events_transaction ON transaction_events (transaction_id, version);

CREATE FUNCTION transaction_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'transaction_events is append-only';
END
$$;

CREATE TRIGGER transaction_events_append_only
    BEFORE UPDATE OR DELETE ON transaction_events
    FOR EACH STATEMENT EXECUTE FUNCTION transaction_events_append_only();
