-- Whoever applies a batch holds the row, so no mark goes while its event is looked for. In steps of a minute.
UPDATE horizon SET recorded_ms = ((extract(epoch FROM now()) - $1) * 1000)::bigint
WHERE recorded_ms < ((extract(epoch FROM now()) - $1 - 60) * 1000)::bigint
