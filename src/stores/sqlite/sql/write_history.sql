INSERT INTO transaction_events (message_id, payload_digest, transaction_id, event_type, occurred_at, version, payload,
    kafka_topic, kafka_partition, kafka_offset)
SELECT value ->> 5, value ->> 6, value ->> 0, value ->> 3, value ->> 4, value ->> 1, value ->> 7,
    value ->> 8, value ->> 9, value ->> 10
FROM json_each(?1)
WHERE NOT EXISTS (
    SELECT 1 FROM transaction_state AS erased
    WHERE erased.kafka_topic = 'millrace.erase' AND erased.id = value ->> 0 AND erased.version > value ->> 1
)
ON CONFLICT (message_id, payload_digest) DO NOTHING
