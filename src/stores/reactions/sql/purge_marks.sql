-- Some of the marks below the horizon.
DELETE FROM marks USING (
    SELECT m.consumer, m.event_id FROM marks m, horizon h WHERE m.recorded_ms < h.recorded_ms LIMIT $1
) old
WHERE marks.consumer = old.consumer AND marks.event_id = old.event_id
