-- Notes what was published, and what Kafka does not take.
UPDATE outbox SET
    published_at = CASE WHEN id = ANY ($1::text[]) THEN now() END,
    parked_at = CASE WHEN id = ANY ($2::text[]) THEN now() END,
    why = refused.reason
FROM (SELECT unnest($1::text[]) AS row_id, NULL AS reason UNION ALL SELECT unnest($2::text[]), unnest($3::text[])) refused
WHERE id = refused.row_id
