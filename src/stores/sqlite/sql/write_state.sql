INSERT INTO transaction_state (id, version, deleted, event_type, updated_at, message_id, payload, kafka_topic,
    kafka_partition, kafka_offset, user_id, transaction_type, product, status, currency, amount)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, iif(value ->> 2, NULL, value ->> 7),
    value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16
FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, event_type = excluded.event_type,
    updated_at = excluded.updated_at, message_id = excluded.message_id, payload = excluded.payload,
    kafka_topic = excluded.kafka_topic, kafka_partition = excluded.kafka_partition, kafka_offset = excluded.kafka_offset,
    user_id = excluded.user_id, transaction_type = excluded.transaction_type, product = excluded.product,
    status = excluded.status, currency = excluded.currency, amount = excluded.amount, written_at = excluded.written_at
WHERE transaction_state.version < excluded.version OR (?2 AND transaction_state.version = excluded.version)
RETURNING id
