SELECT CASE WHEN i.indisprimary THEN 'PRIMARY' ELSE i.indexrelid::text END, a.attname::text
FROM pg_index AS i
    JOIN pg_class AS r ON r.oid = i.indrelid AND r.relname = ($1::text[])[1]
        AND r.relnamespace = current_schema()::regnamespace
    CROSS JOIN LATERAL UNNEST(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indisunique OR i.indisexclusion
ORDER BY 1, k.n
