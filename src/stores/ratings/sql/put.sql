INSERT INTO algolia_ratings AS held (index_name, subject, seq, rating_seq, histogram)
SELECT DISTINCT ON (subject) $1, subject, seq, seq, ARRAY[one, two, three, four, five]
FROM UNNEST($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
    AS rated (subject, seq, one, two, three, four, five) ORDER BY subject, seq DESC
ON CONFLICT (index_name, subject) DO UPDATE SET rating_seq = excluded.rating_seq, histogram = excluded.histogram
WHERE held.rating_seq IS NULL OR held.rating_seq < excluded.rating_seq
