-- What waits: the oldest event that is not published, what Kafka does not take, subjects that were not created yet.
SELECT
    coalesce((
        SELECT extract(epoch FROM now() - o.created)::double precision FROM outbox o
        WHERE o.published_at IS NULL AND o.parked_at IS NULL ORDER BY o.order_number LIMIT 1
    ), 0),
    (SELECT count(*) FROM outbox WHERE parked_at IS NOT NULL),
    (SELECT count(*) FROM subscriptions WHERE created_at IS NULL) + (SELECT count(*) FROM tiers WHERE created_at IS NULL)
        + (SELECT count(*) FROM posts WHERE created_at IS NULL)
