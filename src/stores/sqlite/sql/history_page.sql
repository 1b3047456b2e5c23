SELECT message_id, payload_digest, kafka_topic, kafka_partition, kafka_offset, payload
FROM transaction_events
WHERE (message_id, payload_digest) > (?1, ?2)
ORDER BY message_id, payload_digest LIMIT ?3
