-- Marks what is new, and names it.
INSERT INTO marks (consumer, event_id, digest, recorded_ms)
SELECT $1, given.event_id, given.digest, given.recorded_ms
FROM unnest($2::text[], $3::bytea[], $4::bigint[]) AS given (event_id, digest, recorded_ms)
ORDER BY given.event_id COLLATE "C"
ON CONFLICT (consumer, event_id) DO NOTHING
RETURNING event_id
