SELECT a.attname::text, t.typname::text, quote_ident(n.nspname) || '.' || quote_ident(t.typname), a.atttypmod::text,
    t.typtype::text, CASE WHEN NOT c.collisdeterministic THEN '1' END,
    CASE WHEN a.atthasdef OR a.attidentity <> '' THEN '1' END,
    (SELECT string_agg(e.enumlabel, chr(10)) FROM pg_enum AS e WHERE e.enumtypid = a.atttypid)
FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    JOIN pg_namespace AS n ON n.oid = t.typnamespace
    LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = (
    SELECT r.oid FROM pg_class AS r
    WHERE r.relname = ($1::text[])[1] AND r.relnamespace = current_schema()::regnamespace AND r.relkind IN ('r', 'p')
)
ORDER BY a.attnum
