-- Takes or keeps the lease, and claims the first open rows of the outbox. Nothing where another holds the lease.
WITH batch AS (
    SELECT id, aggregateid, type, payload, order_number FROM outbox
    WHERE published_at IS NULL AND parked_at IS NULL AND type <> ALL ($3) AND order_number > $5
    ORDER BY order_number
    LIMIT $4
),
before AS (SELECT claimed_to FROM relay_lease),
lease AS (
    UPDATE relay_lease
    SET holder = $1,
        fence = fence + (CASE WHEN holder IS DISTINCT FROM $1 THEN 1 ELSE 0 END),
        expires = clock_timestamp() + make_interval(secs => $2),
        claimed_to = greatest(claimed_to, (SELECT max(order_number) FROM batch))
    WHERE holder = $1 OR expires < clock_timestamp()
    RETURNING fence
)
SELECT lease.fence, before.claimed_to, batch.id, batch.aggregateid, batch.type, batch.payload, batch.order_number
FROM lease CROSS JOIN before LEFT JOIN batch ON true
ORDER BY batch.order_number
