INSERT INTO algolia_ratings AS held (index_name, subject, seq)
SELECT DISTINCT $1, subject, 1 FROM UNNEST($2::text[]) AS asked (subject) ORDER BY subject
ON CONFLICT (index_name, subject) DO UPDATE SET seq = held.seq + 1 RETURNING subject, seq
