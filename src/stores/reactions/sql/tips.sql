INSERT INTO tips
SELECT * FROM json_populate_recordset(NULL::tips, $1) ORDER BY event_id
ON CONFLICT DO NOTHING
