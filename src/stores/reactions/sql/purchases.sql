INSERT INTO purchases AS held
SELECT * FROM json_populate_recordset(NULL::purchases, $1) ORDER BY post_id, user_id
ON CONFLICT (post_id, user_id) DO UPDATE SET
    first_at = least(held.first_at, excluded.first_at)
