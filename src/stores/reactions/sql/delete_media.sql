-- Files of the media that go: with a post that is deleted, or because somebody said that they are gone.
WITH touched AS (
    SELECT unnest($1::text[]) COLLATE "C" AS media_id
    UNION
    SELECT p.media_id
    FROM unnest($2::text[]) AS given (post_id)
    JOIN media_owners o ON o.post_id = given.post_id AND o.deleted_at IS NOT NULL
    JOIN media_posts p ON p.post_id = o.post_id
),
gone AS (
    SELECT t.media_id, min(o.post_id) AS post_id
    FROM touched t
    LEFT JOIN media m ON m.media_id = t.media_id AND m.deleted_at IS NOT NULL
    LEFT JOIN media_posts p ON p.media_id = t.media_id
    LEFT JOIN media_owners o ON o.post_id = p.post_id AND o.deleted_at IS NOT NULL
    GROUP BY t.media_id
    HAVING count(m.media_id) + count(o.post_id) > 0
)
INSERT INTO file_tasks AS held (media_id, object_key, post_id)
SELECT k.media_id, k.object_key, gone.post_id
FROM gone
JOIN media_keys k ON k.media_id = gone.media_id
ORDER BY k.media_id, k.object_key
ON CONFLICT (media_id, object_key) DO UPDATE SET post_id = least(held.post_id, excluded.post_id)
WHERE held.post_id IS DISTINCT FROM least(held.post_id, excluded.post_id)
