INSERT INTO access AS held
SELECT * FROM json_populate_recordset(NULL::access, $1) ORDER BY subscription_id
ON CONFLICT (subscription_id) DO UPDATE SET
    subscriber = later(held.subscriber, excluded.subscriber),
    creator = later(held.creator, excluded.creator),
    status = later(held.status, excluded.status),
    period_end = later(held.period_end, excluded.period_end),
    created_at = least(held.created_at, excluded.created_at)
