INSERT INTO documents (id, version, deleted, source)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, source = excluded.source
WHERE documents.version < excluded.version OR (?2 AND documents.version = excluded.version)
RETURNING id
