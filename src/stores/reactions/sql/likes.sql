INSERT INTO likes AS held
SELECT * FROM json_populate_recordset(NULL::likes, $1) ORDER BY post_id, user_id
ON CONFLICT (post_id, user_id) DO UPDATE SET
    liked = later(held.liked, excluded.liked)
