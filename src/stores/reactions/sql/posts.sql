INSERT INTO posts AS held
SELECT * FROM json_populate_recordset(NULL::posts, $1) ORDER BY post_id
ON CONFLICT (post_id) DO UPDATE SET
    creator = later(held.creator, excluded.creator),
    price = later(held.price, excluded.price),
    currency = later(held.currency, excluded.currency),
    visibility = later(held.visibility, excluded.visibility),
    created_at = least(held.created_at, excluded.created_at),
    deleted_at = least(held.deleted_at, excluded.deleted_at)
