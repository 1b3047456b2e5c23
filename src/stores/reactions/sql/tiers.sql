INSERT INTO tiers AS held
SELECT * FROM json_populate_recordset(NULL::tiers, $1) ORDER BY tier_id
ON CONFLICT (tier_id) DO UPDATE SET
    creator = later(held.creator, excluded.creator),
    created_at = least(held.created_at, excluded.created_at)
