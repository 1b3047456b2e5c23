INSERT INTO media_keys
SELECT * FROM json_populate_recordset(NULL::media_keys, $1) ORDER BY media_id, object_key
ON CONFLICT DO NOTHING
