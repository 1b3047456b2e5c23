SELECT one.relname::text, other.relname::text
FROM pg_constraint AS k
    JOIN pg_class AS one ON one.oid = k.conrelid
    JOIN pg_class AS other ON other.oid = k.confrelid
WHERE k.contype = 'f' AND one.relnamespace = current_schema()::regnamespace
    AND ($1::text[])[1] IN (one.relname, other.relname)
