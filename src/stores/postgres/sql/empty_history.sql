UPDATE transaction_events AS event SET payload = $3::json
FROM UNNEST($1::text[], $2::text[]) AS theirs (message_id, payload_digest)
WHERE event.message_id = theirs.message_id AND event.payload_digest = theirs.payload_digest
