WITH entries AS (
    SELECT * FROM UNNEST($2::text[], $3::bigint[], $4::text[], $5::text[], $6::smallint[])
        AS entry (id, version, object, subject, stars)
)
INSERT INTO algolia_ledger AS held (index_name, id, version, object, subject, stars, subjects)
SELECT $1, id, version, object, subject, stars, array_remove(ARRAY[subject], NULL) FROM entries ORDER BY id
ON CONFLICT (index_name, id) DO UPDATE SET version = excluded.version, object = excluded.object,
    subject = excluded.subject, stars = excluded.stars,
    subjects = CASE WHEN held.subjects @> excluded.subjects THEN held.subjects
        ELSE held.subjects || excluded.subjects END,
    previous_version = CASE WHEN held.version < excluded.version THEN held.version ELSE held.previous_version END,
    previous_object = CASE WHEN held.version < excluded.version THEN held.object ELSE held.previous_object END,
    previous_subject = CASE WHEN held.version < excluded.version THEN held.subject ELSE held.previous_subject END,
    previous_stars = CASE WHEN held.version < excluded.version THEN held.stars ELSE held.previous_stars END
WHERE held.version < excluded.version OR ($7 AND held.version = excluded.version)
RETURNING held.id
