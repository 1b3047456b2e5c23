//! The system `transactions-audit`: transaction events from Kafka, raw, into a database: present state and whole history.
//!
//! A projection of `transactions` with a group of its own, so that an outage of the database is lag on that group and
//! nothing else. What cannot be decoded is ignored here; the primary dead-letters it.

use std::sync::Arc;

use enrichers::TransactionEvent;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, System};

use super::transactions;
use crate::config::{Config, Database};
use crate::stores::audit::AuditRow;
use crate::stores::postgres::{Postgres, PostgresAudit, PostgresReader};
use crate::stores::sqlite::{Sqlite, SqliteAudit, SqliteReader};
use crate::stores::target::{BoundSystem, Needed, SetupError, Target, prepare};
use crate::systems::definition::{ConsumerGroup, Definition, Deletes, Projection};
use crate::walk;

/// The name of the system on the command line, in metrics and in logs.
pub const NAME: &str = "transactions-audit";

/// What there is to know of it.
pub const DEFINITION: Definition = Definition {
    name: NAME,
    projection: Some(Projection { of: transactions::NAME, on: |config| config.transactions.audit }),
    service: None,
    groups: |config| vec![ConsumerGroup::of(config, transactions::NAME).for_projection(NAME, "audit")],
    versions: transactions::DEFINITION.versions,
    deletes: Deletes::Purged,
    documents: true,
    tuned: Config::clone,
    deletion: transactions::DEFINITION.deletion,
    bare: transactions::DEFINITION.bare,
    walk: walk::transactions::audit,
    generator: None,
    stores: |_| vec![Needed::Database],
    bind: |config, _, order| bind(config, order),
};

fn bind(config: &Config, order: Order) -> Result<BoundSystem, SetupError> {
    let missing = || SetupError::Missing("transactions-audit needs a database: set DATABASE_URL".to_owned());
    let database = config.database.as_ref().ok_or_else(missing)?;
    let name = database.target();
    let target = match database {
        Database::Postgres { url, address } => {
            postgres(Postgres::new(url, address, config.connections())?, order, name)
        }
        Database::Sqlite { path } => sqlite(Sqlite::new(path), order, name),
    };
    Ok(target.bind(Audit))
}

fn postgres(postgres: Postgres, order: Order, name: String) -> Target<AuditRow> {
    let sink = Arc::new(PostgresAudit::new(postgres.clone(), order));
    let reader = Arc::new(PostgresReader(postgres.clone()));
    let prepare = prepare(postgres, |postgres| async move { postgres.install_audit().await });
    Target { sink, reader, prepare, name }
}

fn sqlite(sqlite: Sqlite, order: Order, name: String) -> Target<AuditRow> {
    let sink = Arc::new(SqliteAudit::new(sqlite.clone(), order));
    let reader = Arc::new(SqliteReader::audit(sqlite.clone()));
    let prepare = prepare(sqlite, |sqlite| async move { sqlite.install().await });
    Target { sink, reader, prepare, name }
}

/// Reads transaction events and keeps them as they are.
#[derive(Clone, Debug)]
struct Audit;

impl System for Audit {
    type Event<'r> = (TransactionEvent<'r>, &'r Record);
    type Write = AuditRow;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Self::Event<'r>> {
        match transactions::decode_projection(NAME, record) {
            Decoded::Event(identity, event) => Decoded::Event(identity, (event, record)),
            Decoded::Reject(reject) => Decoded::Reject(reject),
            Decoded::Ignore => Decoded::Ignore,
        }
    }

    fn is_about(&self, record: &Record, id: &str) -> bool {
        transactions::is_about(record, id)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Self::Event<'r>)>,
    ) -> Vec<Result<AuditRow, Reject>> {
        events.into_iter().map(|(_, (event, record))| AuditRow::new(event, record)).collect()
    }
}
