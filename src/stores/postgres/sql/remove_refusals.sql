DELETE FROM millrace_refused_follow_ups WHERE system = $1 AND subject IN (
    SELECT held.subject FROM millrace_refused_follow_ups AS held
    JOIN UNNEST($2::text[], $3::text[]) AS seen (subject, token)
        ON held.subject = seen.subject AND held.token = seen.token
    WHERE held.system = $1 ORDER BY held.subject FOR UPDATE OF held
)
