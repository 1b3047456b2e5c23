INSERT INTO subscriptions AS held
SELECT * FROM json_populate_recordset(NULL::subscriptions, $1) ORDER BY subscription_id
ON CONFLICT (subscription_id) DO UPDATE SET
    subscriber = later(held.subscriber, excluded.subscriber),
    creator = later(held.creator, excluded.creator),
    tier = later(held.tier, excluded.tier),
    starts = later(held.starts, excluded.starts),
    status = later(held.status, excluded.status),
    period_end = later(held.period_end, excluded.period_end),
    paid_until = greatest(held.paid_until, excluded.paid_until),
    created_at = least(held.created_at, excluded.created_at)
