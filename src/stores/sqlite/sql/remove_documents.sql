DELETE FROM documents WHERE number IN (
    SELECT number FROM json_each(?1) AS seen CROSS JOIN documents
        ON documents.id = seen.value ->> 0 AND version = seen.value ->> 1 AND deleted = seen.value ->> 2
)
