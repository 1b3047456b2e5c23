-- Files that are to go and could not, in a sentence each.
SELECT 'the file ' || object_key || ' is still to be deleted: ' || coalesce(why, 'nobody has tried')
FROM file_tasks
WHERE done IS NULL AND (why IS NOT NULL OR created < now() - interval '1 minute')
ORDER BY media_id, object_key
