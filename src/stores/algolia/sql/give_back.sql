WITH gone AS (
    DELETE FROM algolia_ledger WHERE index_name = $1 AND id = $2 AND version = $3 AND previous_version IS NULL
)
UPDATE algolia_ledger SET version = previous_version, object = previous_object, subject = previous_subject,
    stars = previous_stars, previous_version = NULL, previous_object = NULL, previous_subject = NULL, previous_stars = NULL
WHERE index_name = $1 AND id = $2 AND version = $3 AND previous_version IS NOT NULL
