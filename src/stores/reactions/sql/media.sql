INSERT INTO media AS held
SELECT * FROM json_populate_recordset(NULL::media, $1) ORDER BY media_id
ON CONFLICT (media_id) DO UPDATE SET
    owner = later(held.owner, excluded.owner),
    status = later(held.status, excluded.status),
    deleted_at = least(held.deleted_at, excluded.deleted_at)
