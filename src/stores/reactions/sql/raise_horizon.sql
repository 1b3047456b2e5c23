-- Whoever applies a batch holds the row, so no mark goes while its event is looked for.
UPDATE horizon SET recorded_ms = greatest(recorded_ms, ((extract(epoch FROM now()) - $1) * 1000)::bigint)
