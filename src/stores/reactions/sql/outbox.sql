INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source_id)
SELECT id, aggregatetype, aggregateid, type, payload, source_id
FROM json_to_recordset($1) AS said (place int, id text, aggregatetype text, aggregateid text, type text, payload text, source_id text)
ORDER BY place
ON CONFLICT (id) DO NOTHING
