-- Some of what was said long ago, where nobody here knows whether it was published.
DELETE FROM outbox USING (
    SELECT o.id FROM outbox o WHERE o.created < now() - make_interval(secs => $1) LIMIT $2
) old
WHERE outbox.id = old.id
