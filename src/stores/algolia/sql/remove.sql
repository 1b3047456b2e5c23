DELETE FROM algolia_ledger WHERE index_name = $1 AND id IN (
    SELECT held.id FROM algolia_ledger AS held
    JOIN UNNEST($2::text[], $3::bigint[], $4::boolean[]) AS seen (id, version, deleted)
        ON held.id = seen.id AND held.version = seen.version AND held.deleted = seen.deleted
    WHERE held.index_name = $1 ORDER BY seen.id FOR UPDATE OF held
)
