-- Takes some files that are due. Whoever takes one moves its next try, so that nobody else takes it meanwhile.
UPDATE file_tasks SET attempts = attempts + 1, next_try = now() + interval '2 minutes'
WHERE (media_id, object_key) IN (
    SELECT media_id, object_key FROM file_tasks
    WHERE done IS NULL AND next_try <= now()
    ORDER BY next_try
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
RETURNING media_id, object_key
