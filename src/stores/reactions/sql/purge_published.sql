-- Some of what was published long ago.
DELETE FROM outbox USING (
    SELECT o.id FROM outbox o WHERE o.published_at < now() - make_interval(secs => $1) LIMIT $2
) old
WHERE outbox.id = old.id
