//! Configuration: what the program was told, typed.
//!
//! Command line over environment over `.env` over `millrace.toml` over defaults; the table of variables is in [`table`].
//! Everything is read and checked once, at the start: a value that does not fit is an error that names it.
//!
//! By hand, because neither `figment` nor `confique` knows several names of one setting, `*_FILE`, and which one won.

mod address;
mod algolia;
mod cached_rows;
mod client_cert;
mod databases;
mod delivery_settings;
mod file;
mod found;
mod kafka;
mod meant;
mod memory_budget;
mod mongodb;
mod operations;
#[cfg(test)]
mod places;
mod reactions;
mod redis;
mod security;
mod settings;
mod sources;
mod stores;
mod systems;
pub mod table;
#[cfg(test)]
mod tests;
pub(crate) mod values;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

pub use algolia::Algolia;
pub use cached_rows::{CacheMode, CacheSettings};
pub use client_cert::ClientCert;
pub use databases::{Database, IndexStore};
pub use delivery_settings::{AdaptiveSettings, MaxRate};
use found::FoundSetting;
pub use kafka::{Kafka, Properties};
pub use mongodb::Mongodb;
pub use operations::{DatabaseServer, DatabaseSettings, EntityTable, MysqlServer, MysqlTls};
pub use reactions::ReactionsSettings;
pub(crate) use reactions::is_plain_schema;
pub use redis::Redis;
pub use security::{Oauth, Sasl, Security};
pub use settings::Override;
use settings::Settings;
pub use stores::{Elasticsearch, ElasticsearchAuth};
pub use systems::{ReviewsSettings, Subscriptions, TransactionsSettings, UsersSettings};

/// The configuration file that is read when none is named.
pub const FILE_NAME: &str = "millrace.toml";

/// The longest pause between two tries.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// One line: what is wrong, where it was said, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
    /// It was said on the command line.
    pub of_command_line: bool,
}

impl ConfigError {
    fn new(message: String) -> Self {
        Self { message, of_command_line: false }
    }
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// What `run` runs when no system is named.
    pub systems: Vec<String>,
    pub kafka: Kafka,
    pub batch: BatchSettings,
    pub retries: Retries,
    /// Bytes of records held from fetch to write.
    pub memory_budget: usize,
    /// Batches written at the same time.
    pub max_in_flight: usize,
    /// `None`: deliveries are not tuned.
    pub adaptive: Option<AdaptiveSettings>,
    /// Of each system; `None`: as fast as can be.
    pub max_rate: Option<MaxRate>,
    pub elasticsearch: Elasticsearch,
    /// `None`: switched off.
    pub redis: Option<Redis>,
    /// Of the audit.
    pub database: Option<Database>,
    pub mongodb: Option<Mongodb>,
    /// `None`: no application is named.
    pub algolia: Option<Algolia>,
    pub subscriptions: Subscriptions,
    pub transactions: TransactionsSettings,
    pub users: UsersSettings,
    pub reviews: ReviewsSettings,
    /// Of the system `database`.
    pub operations: DatabaseSettings,
    pub reactions: ReactionsSettings,
    /// What stands before the names of the events' topics.
    pub event_topic_prefix: String,
    /// How old a tombstone gets that is purged.
    pub tombstone_age: Duration,
    pub http: Http,
    pub log: LogSettings,
    /// Settings that somebody made and nobody reads, because another wins; a sentence each.
    pub unheard: Vec<String>,
    /// Sentences about parameters of addresses that are ignored.
    pub ignored: Vec<String>,
}

/// When a batch is cut: at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct BatchSettings {
    pub size: usize,
    pub timeout: Duration,
    pub bytes: usize,
}

/// How a record is tried again that fails alone.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// After the first try.
    pub attempts: u32,
    pub delay: Duration,
    /// The longest pause between two tries while the store is away.
    pub max_delay: Duration,
}

/// Where health and metrics are served.
#[derive(Clone, Debug)]
pub struct Http {
    pub addr: IpAddr,
    /// 0: a free one.
    pub port: u16,
    /// What a request has to show that changes something.
    pub token: Option<SecretString>,
    /// Names that such a request may come under, besides loopback and the address itself.
    pub hosts: Vec<String>,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// In the syntax of `EnvFilter`.
    pub level: String,
    /// `None`: pretty on a terminal, else JSON.
    pub format: Option<LogFormat>,
    /// Where `combined.log` and `error.log` are written besides.
    pub dir: Option<PathBuf>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

impl Config {
    /// Reads the settings of this process; `file` has to be there when it is named.
    pub fn load(file: Option<&Path>, overrides: Vec<Override>) -> Result<Self, ConfigError> {
        Self::read(&Settings::of_process(file, overrides)?)
    }

    /// Takes the settings from these variables alone: no environment, no files.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::read(&Settings::of_variables(variables))
    }

    /// Connections to a database that is written to: one a batch, and one for probes.
    pub fn connections(&self) -> u32 {
        let most = self.adaptive.map_or(self.max_in_flight, |adaptive| adaptive.max_in_flight);
        u32::try_from(most + 1).unwrap_or(u32::MAX)
    }

    /// The same for each of several systems in one process, which share the memory.
    pub fn share_among(&self, systems: usize) -> Self {
        let memory_budget = self.memory_budget / systems.max(1);
        let batch = BatchSettings { bytes: self.batch.bytes.min(memory_budget / self.max_in_flight), ..self.batch };
        Self { memory_budget, batch, ..self.clone() }
    }

    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let memory_budget = memory_budget::read(settings)?;
        let max_in_flight = settings
            .require("engine.max_in_flight")?
            .parse("a number from 1 to 1024", |text| number(text, 1..=1024))?;
        let mut batch = BatchSettings::read(settings)?;
        batch.bytes = batch.bytes.min(memory_budget / max_in_flight);
        let (mut ignored, mut unheard) = (settings.list_ignored(), settings.list_shadowed());
        let database = Database::read(settings, &mut ignored)?;
        let redis = Redis::read(settings, &mut ignored, &mut unheard)?;
        Ok(Self {
            adaptive: AdaptiveSettings::read(settings, batch.size, max_in_flight)?,
            max_rate: MaxRate::read(settings)?,
            systems: settings.require("run.systems")?.parse("names of systems, separated by commas", |text| {
                Some(values::list(text)).filter(|names| !names.is_empty())
            })?,
            kafka: Kafka::read(settings, &mut unheard)?,
            batch,
            retries: Retries::read(&settings.require("retry.attempts")?, &settings.require("retry.delay_ms")?)?,
            memory_budget,
            max_in_flight,
            elasticsearch: Elasticsearch::read(settings, &mut unheard)?,
            mongodb: Mongodb::read(settings, &mut ignored)?,
            subscriptions: Subscriptions::read(settings)?,
            transactions: TransactionsSettings::read(settings, database.as_ref())?,
            users: UsersSettings::read(settings)?,
            reviews: ReviewsSettings::read(settings)?,
            operations: DatabaseSettings::read(settings, redis.as_ref(), &mut ignored, &mut unheard)?,
            reactions: ReactionsSettings::read(settings, database.as_ref(), &mut ignored)?,
            redis,
            database,
            algolia: Algolia::read(settings)?,
            event_topic_prefix: systems::topic_prefix(settings)?,
            tombstone_age: settings.require("purge.tombstone_days")?.parse(
                "a number of days from 1 to 36500",
                |text| {
                    let days = number(text, 1..=36_500)?;
                    Some(Duration::from_secs(days as u64 * 24 * 3600))
                },
            )?,
            http: Http::read(settings)?,
            log: LogSettings::read(settings)?,
            unheard,
            ignored,
        })
    }
}

fn number(text: &str, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
    text.trim().parse().ok().filter(|number| range.contains(number))
}

impl BatchSettings {
    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let size = settings.require("batch.size")?;
        let timeout = settings.require("batch.timeout")?;
        let bytes = settings.require("batch.bytes")?;
        let longest = Duration::from_secs(3600);
        Ok(Self {
            size: size.parse("a number from 1 to 100000", |text| number(text, 1..=100_000))?,
            timeout: timeout.parse("seconds, more than 0 and at most 3600", |text| {
                values::seconds(text).filter(|time| !time.is_zero() && *time <= longest)
            })?,
            bytes: bytes.parse("a size from 1KiB to 1GiB, such as 8MiB", |text| {
                values::bytes(text)
                    .filter(|size| (1 << 10..=1 << 30).contains(size))
                    .and_then(|size| usize::try_from(size).ok())
            })?,
        })
    }
}

impl Retries {
    fn read(attempts: &FoundSetting, delay: &FoundSetting) -> Result<Self, ConfigError> {
        let delay = delay.parse("milliseconds, 1 to 3600000", |text| {
            values::millis(text).filter(|time| (1..=3_600_000).contains(&time.as_millis()))
        })?;
        Ok(Self {
            attempts: attempts
                .parse("a number from 0 to 1000", |text| text.trim().parse().ok().filter(|number| *number <= 1000))?,
            delay,
            max_delay: MAX_DELAY.max(delay),
        })
    }
}

impl Http {
    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let addr = settings.require("http.addr")?.parse("an IP address such as 127.0.0.1 or 0.0.0.0", |text| {
            if text == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { text.parse().ok() }
        })?;
        let port = settings.require("http.port")?.parse("a port, 0 to 65535", |text| text.trim().parse().ok())?;
        let token = settings.secret("http.token")?;
        let hosts = settings.find("http.hosts")?.map(|found| values::list(&found.text)).unwrap_or_default();
        Ok(Self { addr, port, token, hosts })
    }
}

impl LogSettings {
    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let expected = "error, warn, info, debug, trace, or directives such as info,pipeline=debug";
        let level = settings.require("log.level")?.parse(expected, |text| {
            tracing_subscriber::EnvFilter::builder().parse(text).ok().map(|_| text.to_owned())
        })?;
        let format = settings.find("log.format")?;
        let format = format.map(|found| {
            found.parse("json or pretty", |text| match text.to_ascii_lowercase().as_str() {
                "json" => Some(LogFormat::Json),
                "pretty" => Some(LogFormat::Pretty),
                _ => None,
            })
        });
        let dir = settings.find("log.dir")?.map(|found| found.text).filter(|text| !text.trim().is_empty());
        Ok(Self { level, format: format.transpose()?, dir: dir.map(PathBuf::from) })
    }
}
