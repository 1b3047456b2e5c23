-- What became of files. One that is still there is tried again, later each time, after five minutes at most.
UPDATE file_tasks SET
    done = CASE WHEN noted.why IS NULL THEN now() END,
    why = noted.why,
    next_try = now() + make_interval(secs => least(300, power(2, least(file_tasks.attempts, 9))))
FROM unnest($1::text[], $2::text[], $3::text[]) AS noted (media_id, object_key, why)
WHERE file_tasks.media_id = noted.media_id AND file_tasks.object_key = noted.object_key
