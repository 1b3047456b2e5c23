INSERT INTO collections AS held
SELECT * FROM json_populate_recordset(NULL::collections, $1) ORDER BY subscription_id
ON CONFLICT (subscription_id) DO UPDATE SET
    subscriber = later(held.subscriber, excluded.subscriber),
    creator = later(held.creator, excluded.creator),
    tier = later(held.tier, excluded.tier),
    starts = later(held.starts, excluded.starts)
