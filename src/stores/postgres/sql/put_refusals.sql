INSERT INTO millrace_refused_follow_ups (system, subject, document, why, token)
SELECT $1, subject, document, why, token FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[])
    AS listed (subject, document, why, token) ORDER BY subject
ON CONFLICT (system, subject) DO UPDATE SET document = excluded.document, why = excluded.why, token = excluded.token
