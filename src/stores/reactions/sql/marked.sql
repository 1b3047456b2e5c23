-- What was marked before, and whether it said the same.
SELECT held.event_id, held.digest = given.digest
FROM unnest($2::text[], $3::bytea[]) AS given (event_id, digest)
JOIN marks held ON held.consumer = $1 AND held.event_id = given.event_id
