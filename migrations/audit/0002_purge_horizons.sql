-- Below which version tombstones of a table may have been purged: an older event may update there, and not create.
CREATE TABLE purge_horizons (
    table_name  text PRIMARY KEY,
    version     bigint NOT NULL
);
