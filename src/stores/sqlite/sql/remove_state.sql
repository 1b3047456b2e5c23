DELETE FROM transaction_state WHERE rowid IN (
    SELECT transaction_state.rowid FROM json_each(?1) AS seen CROSS JOIN transaction_state
        ON transaction_state.id = seen.value ->> 0 AND version = seen.value ->> 1 AND deleted = seen.value ->> 2
)
