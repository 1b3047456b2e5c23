INSERT INTO media_posts
SELECT * FROM json_populate_recordset(NULL::media_posts, $1) ORDER BY media_id, post_id
ON CONFLICT DO NOTHING
