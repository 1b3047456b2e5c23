INSERT INTO media_owners AS held
SELECT * FROM json_populate_recordset(NULL::media_owners, $1) ORDER BY post_id
ON CONFLICT (post_id) DO UPDATE SET
    deleted_at = least(held.deleted_at, excluded.deleted_at)
