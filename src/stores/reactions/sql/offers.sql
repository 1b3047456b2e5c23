INSERT INTO offers AS held
SELECT * FROM json_populate_recordset(NULL::offers, $1) ORDER BY post_id
ON CONFLICT (post_id) DO UPDATE SET
    creator = later(held.creator, excluded.creator),
    price = later(held.price, excluded.price),
    currency = later(held.currency, excluded.currency)
