WITH events AS (
    SELECT * FROM UNNEST(
        $1::text[], $2::bigint[], $3::boolean[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::integer[], $11::bigint[],
        $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]
    ) AS event (id, version, deleted, event_type, micros, message_id, payload_digest, payload,
        topic, "partition", "offset", user_id, transaction_type, product, status, currency, amount)
), history AS (
    INSERT INTO transaction_events (message_id, payload_digest, transaction_id, event_type, occurred_at, version,
        payload, kafka_topic, kafka_partition, kafka_offset)
    SELECT message_id, payload_digest, id, event_type, timestamptz 'epoch' + micros * interval '1 microsecond', version,
        payload::json, topic, "partition", "offset"
    FROM events
    WHERE NOT EXISTS (
        SELECT FROM transaction_state AS erased
        WHERE erased.kafka_topic = 'millrace.erase' AND erased.id = events.id AND erased.version > events.version
    )
    ORDER BY message_id, payload_digest
    ON CONFLICT (message_id, payload_digest) DO NOTHING
)
INSERT INTO transaction_state AS state (id, version, deleted, event_type, updated_at, user_id, transaction_type, product,
    status, currency, amount, payload, message_id, kafka_topic, kafka_partition, kafka_offset)
SELECT id, version, deleted, event_type, timestamptz 'epoch' + micros * interval '1 microsecond', user_id,
    transaction_type, product, status, currency, amount::numeric, CASE WHEN NOT deleted THEN payload::json END, message_id,
    topic, "partition", "offset"
FROM events ORDER BY id
ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, event_type = excluded.event_type,
    updated_at = excluded.updated_at, user_id = excluded.user_id, transaction_type = excluded.transaction_type,
    product = excluded.product, status = excluded.status, currency = excluded.currency, amount = excluded.amount,
    payload = excluded.payload, message_id = excluded.message_id, kafka_topic = excluded.kafka_topic,
    kafka_partition = excluded.kafka_partition, kafka_offset = excluded.kafka_offset, written_at = excluded.written_at
WHERE state.version < excluded.version OR ($18 AND state.version = excluded.version)
RETURNING state.id
