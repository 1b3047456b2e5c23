-- What a person asked to have erased may be taken out of the history: the payload, and nothing else. Digests stay, so that
-- the same event cannot come once more.
DROP TRIGGER transaction_events_append_only ON transaction_events;

CREATE TRIGGER transaction_events_append_only
    BEFORE DELETE ON transaction_events
    FOR EACH STATEMENT EXECUTE FUNCTION transaction_events_append_only();

CREATE FUNCTION transaction_events_erased_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.payload::text IS DISTINCT FROM '{"_erased":true}'
        OR (new.message_id, new.payload_digest, new.transaction_id, new.event_type, new.occurred_at, new.version,
            new.kafka_topic, new.kafka_partition, new.kafka_offset, new.recorded_at)
        IS DISTINCT FROM (old.message_id, old.payload_digest, old.transaction_id, old.event_type, old.occurred_at,
            old.version, old.kafka_topic, old.kafka_partition, old.kafka_offset, old.recorded_at)
    THEN
        RAISE EXCEPTION 'transaction_events is append-only';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER transaction_events_erased_only
    BEFORE UPDATE ON transaction_events
    FOR EACH ROW EXECUTE FUNCTION transaction_events_erased_only();

-- What was erased takes no older event into the history. This is looked up with each event, and nearly always empty.
CREATE INDEX transaction_state_erased ON transaction_state (id) WHERE kafka_topic = 'millrace.erase';
