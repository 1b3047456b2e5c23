-- What is known of an event: who has marked it, what it follows from, what it led to, and what became of that.
WITH said AS (
    SELECT o.*,
           CASE
               WHEN o.published_at IS NOT NULL THEN 'published ' || to_char(o.published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
               WHEN o.parked_at IS NOT NULL THEN 'parked: ' || coalesce(o.why, '')
               ELSE 'not published yet'
           END AS standing
    FROM outbox o
    WHERE o.id = $1 OR o.source_id = $1
)
SELECT line FROM (
    SELECT 1 AS place, m.consumer AS part, 'marked by the group ' || m.consumer || coalesce(', of a record of '
        || to_char(to_timestamp(m.recorded_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '') AS line
    FROM marks m WHERE m.event_id = $1
    UNION ALL
    SELECT 2, s.id, 'follows from ' || coalesce(s.source_id, 'nothing that is known') || ', ' || s.standing FROM said s WHERE s.id = $1
    UNION ALL
    SELECT 3, s.id, 'led to ' || s.type || ' ' || s.id || ' about ' || s.aggregateid || ', ' || s.standing FROM said s WHERE s.source_id = $1
) lines
ORDER BY place, part
