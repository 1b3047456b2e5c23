DELETE FROM transaction_state AS held
USING UNNEST($1::text[], $2::bigint[], $3::boolean[]) AS seen (id, version, deleted)
WHERE held.id = seen.id AND held.version = seen.version AND held.deleted = seen.deleted
