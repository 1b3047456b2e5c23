INSERT INTO comments AS held
SELECT * FROM json_populate_recordset(NULL::comments, $1) ORDER BY comment_id
ON CONFLICT (comment_id) DO UPDATE SET
    first_at = least(held.first_at, excluded.first_at)
