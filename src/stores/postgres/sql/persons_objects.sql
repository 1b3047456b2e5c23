SELECT id, version, object, previous_object FROM algolia_ledger
WHERE index_name = $1 AND id > $2
    AND (strpos(concat(object, previous_object), $3) > 0 OR strpos(concat(object, previous_object), '\') > 0)
ORDER BY id LIMIT $4
