SELECT rowid, transaction_id, payload FROM transaction_events
WHERE rowid > ?1 AND payload <> ?4 AND kafka_topic <> 'millrace.erase' AND (transaction_id IN (SELECT value FROM json_each(?2))
    OR instr(payload, ?3) > 0 OR instr(payload, '\') > 0)
ORDER BY rowid LIMIT ?5
