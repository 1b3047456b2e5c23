//! The system `transactions-audit`: transaction events from Kafka, raw, into a database: present state and whole history.
//!
//! A projection of `transactions` with a group of its own, so that an outage of the database is lag on that group and
//! nothing else. What cannot be decoded is ignored here; the primary dead-letters it.

use std::sync::Arc;

use enrichers::Event;
use pipeline::sink::{Order, Reject};
use pipeline::system::{Decoded, Identity};
use pipeline::{Record, Sink, System};

use super::transactions;
use crate::config::{Config, Database};
use crate::consumer::{Consumer, Prepare, Setup, engine_options};
use crate::explain::{Explained, explanation};
use crate::purge::purging;
use crate::replay::replay_letters;
use crate::shelf::Shelf;
use crate::sinks::audit::Row;
use crate::sinks::postgres::{Postgres, PostgresAudit, PostgresShelf};
use crate::sinks::sqlite::{Sqlite, SqliteAudit, SqliteShelf};
use crate::systems::{Entry, Projection};
use crate::verify::verification;

/// As in commands, metrics and logs.
pub const NAME: &str = "transactions-audit";

/// The system's line in the table.
pub const ENTRY: Entry = Entry {
    name: NAME,
    projection: Some(Projection { of: transactions::NAME, on: |config| config.transactions.audit }),
    consumer: |config, run| Consumer::new(setup(config, Order::Log)?, config, run),
    replay: |config, records| {
        let (setup, options) = (setup(config, Order::Any), engine_options(config, &group(config)));
        Box::pin(async move { replay_letters(&setup?, options, records).await })
    },
    verify: |config, options, listener| {
        verification(setup(config, Order::Any), config, engine_options(config, &group(config)), options, listener)
    },
    explain: |config, id, besides, progress| explanation(setup(config, Order::Any), besides, config, id, progress),
    shelf: |config| setup(config, Order::Any).map(|setup| setup.shelf),
    purge: |config, options| purging(setup(config, Order::Any), config, options),
    version_at: enrichers::version_at,
    micros_of: enrichers::micros_of,
    topics: |config| vec![config.transactions.topic.clone()],
    group,
};

fn group(config: &Config) -> String {
    format!("{}.audit", config.transactions.group)
}

/// Puts the system together with its topic, its group and its database.
fn setup(config: &Config, order: Order) -> Result<Setup<Audit>, String> {
    let database = config.database.as_ref().ok_or("transactions-audit needs a database: set DATABASE_URL")?;
    let (sink, shelf, prepare): (Arc<dyn Sink<Row>>, Arc<dyn Shelf>, Prepare) = match database {
        Database::Postgres { url, address } => {
            // One connection a batch, and one for probes.
            let connections = u32::try_from(config.max_in_flight + 1).unwrap_or(u32::MAX);
            let postgres = Postgres::new(url, address, connections)?;
            let sink = Arc::new(PostgresAudit::new(postgres.clone(), order));
            let shelf = Arc::new(PostgresShelf(postgres.clone()));
            let prepare: Prepare = Box::new(move || {
                let postgres = postgres.clone();
                Box::pin(async move { postgres.install_audit().await.map_err(|failure| failure.why.into_owned()) })
            });
            (sink, shelf, prepare)
        }
        Database::Sqlite { path } => {
            let sqlite = Sqlite::new(path);
            let sink = Arc::new(SqliteAudit::new(sqlite.clone(), order));
            let shelf = Arc::new(SqliteShelf::audit(sqlite.clone()));
            let prepare: Prepare = Box::new(move || {
                let sqlite = sqlite.clone();
                Box::pin(async move { sqlite.install().await.map_err(|failure| failure.why.into_owned()) })
            });
            (sink, shelf, prepare)
        }
    };
    Ok(Setup {
        system: Audit,
        sink,
        shelf,
        prepare,
        topics: vec![config.transactions.topic.clone()],
        group: group(config),
        target: database.target(),
    })
}

/// Reads transaction events and keeps them as they are.
#[derive(Clone, Debug)]
pub struct Audit;

impl System for Audit {
    type Event<'r> = (Event<'r>, &'r Record);
    type Write = Row;

    fn name(&self) -> &'static str {
        NAME
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, Self::Event<'r>> {
        match transactions::decode(NAME, record) {
            Decoded::Event(identity, event) => Decoded::Event(identity, (event, record)),
            Decoded::Reject(_) | Decoded::Ignore => Decoded::Ignore,
        }
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e Self::Event<'r>)>,
    ) -> Vec<Result<Row, Reject>> {
        events.into_iter().map(|(_, (event, record))| Row::new(event, record)).collect()
    }
}

impl Explained for Audit {
    fn is_about(record: &Record, id: &str) -> bool {
        transactions::is_about(record, id)
    }

    fn kind((event, _): &Self::Event<'_>) -> &'static str {
        transactions::kind(event)
    }
}
