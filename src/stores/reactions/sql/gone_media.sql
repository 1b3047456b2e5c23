-- Media that went with a post, whose files are all gone, and of which that was not said. Their rows are held until it is.
SELECT held.media_id, held.post_id, o.deleted_at
FROM (
    SELECT media_id, min(post_id) AS post_id
    FROM (
        SELECT t.media_id, t.post_id, t.done, t.said FROM file_tasks t
        WHERE t.media_id IN (
            SELECT d.media_id FROM file_tasks d
            WHERE d.post_id IS NOT NULL AND d.said IS NULL AND d.done IS NOT NULL
              AND NOT EXISTS (SELECT FROM file_tasks u WHERE u.media_id = d.media_id AND u.done IS NULL)
            LIMIT $1
        )
        FOR UPDATE
    ) tasks
    GROUP BY media_id
    HAVING bool_and(done IS NOT NULL) AND bool_or(said IS NULL)
) held
LEFT JOIN media_owners o ON o.post_id = held.post_id
ORDER BY held.media_id
