-- What a person asked to have erased may be taken out of the history: the payload, and nothing else. Digests stay, so that
-- the same event cannot come once more.
DROP TRIGGER transaction_events_not_updated;

CREATE TRIGGER transaction_events_not_updated BEFORE UPDATE ON transaction_events
WHEN new.payload IS NOT '{"_erased":true}'
    OR (new.message_id, new.payload_digest, new.transaction_id, new.event_type, new.occurred_at, new.version,
        new.kafka_topic, new.kafka_partition, new.kafka_offset, new.recorded_at)
    IS NOT (old.message_id, old.payload_digest, old.transaction_id, old.event_type, old.occurred_at, old.version,
        old.kafka_topic, old.kafka_partition, old.kafka_offset, old.recorded_at)
BEGIN
    SELECT RAISE(ABORT, 'transaction_events is append-only');
END;

-- What was erased takes no older event into the history. This is looked up with each event, and nearly always empty.
CREATE INDEX transaction_state_erased ON transaction_state (id) WHERE kafka_topic = 'millrace.erase';
