SELECT message_id, payload_digest, transaction_id, payload::text FROM transaction_events
WHERE (message_id, payload_digest) > ($1, $2) AND payload::text <> $5 AND kafka_topic <> 'millrace.erase'
    AND (transaction_id = ANY($3) OR strpos(payload::text, $4) > 0 OR strpos(payload::text, '\') > 0)
ORDER BY message_id, payload_digest LIMIT $6
