-- The index: enriched documents. A deleted one stays as a tombstone, or a late update would bring it back.
CREATE TABLE documents (
    -- Ties the search index to the row; SQLite renumbers rows that have no such column.
    number          INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    version         INTEGER NOT NULL,
    deleted         INTEGER NOT NULL,
    source          TEXT NOT NULL,
    search_content  TEXT GENERATED ALWAYS AS (source ->> 'search_content') VIRTUAL
);

CREATE VIRTUAL TABLE documents_search USING fts5(
    search_content, content = 'documents', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER documents_inserted AFTER INSERT ON documents BEGIN
    INSERT INTO documents_search (rowid, search_content) VALUES (new.number, new.search_content);
END;

CREATE TRIGGER documents_updated AFTER UPDATE ON documents BEGIN
    INSERT INTO documents_search (documents_search, rowid, search_content) VALUES ('delete', old.number, old.search_content);
    INSERT INTO documents_search (rowid, search_content) VALUES (new.number, new.search_content);
END;

CREATE TRIGGER documents_deleted AFTER DELETE ON documents BEGIN
    INSERT INTO documents_search (documents_search, rowid, search_content) VALUES ('delete', old.number, old.search_content);
END;

-- The audit, as in PostgreSQL: the present state of each transaction, with tombstones.
CREATE TABLE transaction_state (
    id                TEXT NOT NULL UNIQUE,
    version           INTEGER NOT NULL,
    deleted           INTEGER NOT NULL,
    event_type        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    user_id           TEXT,
    transaction_type  TEXT,
    product           TEXT,
    status            TEXT,
    currency          TEXT,
    amount            TEXT,
    payload           TEXT,
    message_id        TEXT NOT NULL,
    kafka_topic       TEXT NOT NULL,
    kafka_partition   INTEGER NOT NULL,
    kafka_offset      INTEGER NOT NULL,
    written_at        TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

-- The living.
CREATE VIEW transactions AS
    SELECT id, user_id, transaction_type, product, status, currency, amount, event_type, updated_at, version, payload
    FROM transaction_state
    WHERE NOT deleted;

-- Every event once, whatever became of it; copies are told by message id and payload.
CREATE TABLE transaction_events (
    message_id        TEXT NOT NULL,
    payload_digest    TEXT NOT NULL,
    transaction_id    TEXT NOT NULL,
    event_type        TEXT NOT NULL,
    occurred_at       TEXT NOT NULL,
    version           INTEGER NOT NULL,
    payload           TEXT NOT NULL,
    kafka_topic       TEXT NOT NULL,
    kafka_partition   INTEGER NOT NULL,
    kafka_offset      INTEGER NOT NULL,
    recorded_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (message_id, payload_digest)
);

CREATE INDEX transaction_events_transaction ON transaction_events (transaction_id, version);

CREATE TRIGGER transaction_events_not_updated BEFORE UPDATE ON transaction_events BEGIN
    SELECT RAISE(ABORT, 'transaction_events is append-only');
END;

CREATE TRIGGER transaction_events_not_deleted BEFORE DELETE ON transaction_events BEGIN
    SELECT RAISE(ABORT, 'transaction_events is append-only');
END;
