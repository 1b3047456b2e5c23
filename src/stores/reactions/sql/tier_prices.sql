INSERT INTO tier_prices
SELECT * FROM json_populate_recordset(NULL::tier_prices, $1) ORDER BY tier_id, at, by
ON CONFLICT DO NOTHING
