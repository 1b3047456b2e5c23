//! Where a run writes: a place in the system's store that nobody else has, taken away at the end.

use pipeline::sink::Failure;
use secrecy::{ExposeSecret, SecretString};
use sqlx::AssertSqlSafe;
use url::Url;

use crate::cli::CommandFailure;
use crate::config::{Config, Database, DatabaseServer, MysqlServer, MysqlTls};
use crate::stores::database::OperationStore;
use crate::stores::elasticsearch::{ElasticsearchClient, remove_index};
use crate::stores::mongodb::Mongo;
use crate::stores::postgres::Postgres;
use crate::stores::target::Needed;
use crate::systems::definition::Definition;

/// What a run has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnPlace {
    /// An index of Elasticsearch.
    Index,
    /// A schema of the audit's PostgreSQL.
    AuditSchema,
    /// A database of MongoDB.
    MongoDatabase,
    /// A schema of the PostgreSQL of `database`.
    TableSchema,
    /// A database of the MySQL or MariaDB of `database`.
    TableDatabase,
}

impl OwnPlace {
    /// # Errors
    /// A store in which a run can have none, with the reason.
    pub(super) fn of(system: &Definition, config: &Config) -> Result<Self, CommandFailure> {
        let refuse = |why: &str| Err(CommandFailure::usage(format!("bench cannot measure {}: {why}", system.name)));
        match (system.stores)(config).first() {
            Some(Needed::Documents) => Ok(Self::Index),
            Some(Needed::Database) => match config.database {
                Some(Database::Postgres { .. }) => Ok(Self::AuditSchema),
                _ => refuse("it needs a PostgreSQL in DATABASE_URL"),
            },
            Some(Needed::MongoDb) if config.mongodb.is_none() => refuse("it needs MongoDB: set MONGODB_URL"),
            Some(Needed::MongoDb) if (system.stores)(config).len() == 1 => Ok(Self::MongoDatabase),
            Some(Needed::Operations) => match config.operations.server {
                DatabaseServer::Mysql(_) => Ok(Self::TableDatabase),
                DatabaseServer::Postgres { .. } => Ok(Self::TableSchema),
            },
            Some(Needed::Reactions) => refuse("it has several consumer groups"),
            _ => refuse("Algolia bills each operation"),
        }
    }

    /// The store, for a person.
    pub(super) const fn store(self) -> &'static str {
        match self {
            Self::Index => "Elasticsearch",
            Self::AuditSchema | Self::TableSchema => "PostgreSQL",
            Self::MongoDatabase => "MongoDB",
            Self::TableDatabase => "MySQL or MariaDB",
        }
    }

    /// Whether requests may pass one another: documents have versions, and operations have none.
    pub(super) fn takes_any_order(self) -> bool {
        !matches!(self, Self::TableSchema | Self::TableDatabase)
    }

    /// The settings that lead a run to its place.
    ///
    /// # Errors
    /// The address of the store cannot be changed. Without its place a run would write where the settings lead.
    pub(super) fn settings(self, config: &Config, name: &str) -> Result<Vec<(&'static str, String)>, CommandFailure> {
        let plain = plain(name);
        let (key, led) = match self {
            Self::Index => ("elasticsearch.index", Some(name.to_owned())),
            Self::AuditSchema => match &config.database {
                Some(Database::Postgres { url, .. }) => ("database.url", in_schema(url, &plain)),
                _ => ("database.url", None),
            },
            Self::MongoDatabase => {
                ("mongodb.url", config.mongodb.as_ref().and_then(|mongodb| with_database(&mongodb.url, &plain)))
            }
            Self::TableSchema | Self::TableDatabase => match &config.operations.server {
                DatabaseServer::Postgres { url, .. } => ("database.consumer_url", in_schema(url, &plain)),
                DatabaseServer::Mysql(server) => ("database.consumer_url", mysql_url(server, &plain)),
            },
        };
        let refuse = || CommandFailure::config(format!("the address in {key} cannot be led to a place for a run"));
        let mut settings = vec![(key, led.ok_or_else(refuse)?)];
        if matches!(self, Self::TableSchema | Self::TableDatabase) {
            settings.push(("database.create_tables", "true".to_owned()));
        }
        Ok(settings)
    }

    /// Makes the place, where the program does not make it by itself.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn make(self, config: &Config, name: &str) -> Result<(), CommandFailure> {
        let plain = plain(name);
        let made = match self {
            Self::Index | Self::MongoDatabase => Ok(()),
            Self::AuditSchema => run_in_audit(config, format!("CREATE SCHEMA {plain}")).await,
            Self::TableSchema => tables(config)?.execute(&format!("CREATE SCHEMA {plain}")).await,
            Self::TableDatabase => tables(config)?.execute(&format!("CREATE DATABASE {plain}")).await,
        };
        made.map_err(|failure| CommandFailure::again(format!("cannot make {plain} for a run: {}", failure.why)))
    }

    /// Takes it away, with what is in it.
    ///
    /// # Errors
    /// What is left, and why.
    pub(super) async fn remove(self, config: &Config, name: &str) -> Result<(), CommandFailure> {
        let plain = plain(name);
        let removed = match self {
            Self::Index => remove_index(&ElasticsearchClient::new(&config.elasticsearch)?, name).await,
            Self::AuditSchema => run_in_audit(config, format!("DROP SCHEMA IF EXISTS {plain} CASCADE")).await,
            Self::TableSchema => tables(config)?.execute(&format!("DROP SCHEMA IF EXISTS {plain} CASCADE")).await,
            Self::TableDatabase => tables(config)?.execute(&format!("DROP DATABASE IF EXISTS {plain}")).await,
            Self::MongoDatabase => match &config.mongodb {
                Some(mongodb) => Mongo::new(mongodb).in_database(&plain).remove().await,
                None => Ok(()),
            },
        };
        removed.map_err(|failure| CommandFailure::unavailable(format!("{} {name}: {}", self.store(), failure.why)))
    }

    /// The version of the store, empty where it does not tell; that of Elasticsearch is told elsewhere.
    pub(super) async fn version(self, config: &Config) -> String {
        let version = match self {
            Self::Index => None,
            Self::AuditSchema => match audit(config) {
                Ok(postgres) => postgres.inspect().await.ok().map(|server| server.version),
                Err(_) => None,
            },
            Self::MongoDatabase => match &config.mongodb {
                Some(mongodb) => Mongo::new(mongodb).inspect().await.ok().map(|server| server.version),
                None => None,
            },
            Self::TableSchema | Self::TableDatabase => match tables(config) {
                Ok(store) => store.inspect(&config.operations).await.ok().map(|server| server.version),
                Err(_) => None,
            },
        };
        version.unwrap_or_default()
    }
}

/// A name that needs no quotes in any of the stores.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn audit(config: &Config) -> Result<Postgres, CommandFailure> {
    match &config.database {
        Some(Database::Postgres { url, address }) => Ok(Postgres::new(url, address, 1)?),
        _ => Err(CommandFailure::config("DATABASE_URL leads to no PostgreSQL")),
    }
}

async fn run_in_audit(config: &Config, sql: String) -> Result<(), Failure> {
    let postgres = audit(config).map_err(|failure| Failure::broken(failure.message))?;
    postgres.execute(sqlx::query(AssertSqlSafe(sql))).await.map(drop)
}

fn tables(config: &Config) -> Result<OperationStore, CommandFailure> {
    Ok(OperationStore::new(&config.operations.server, 1)?)
}

/// The address with names looked for in this schema.
fn in_schema(url: &SecretString, schema: &str) -> Option<String> {
    let mut url = Url::parse(url.expose_secret()).ok()?;
    url.query_pairs_mut().append_pair("options", &format!("-c search_path={schema}"));
    Some(url.to_string())
}

/// The address with another database, for the same users. See "Connection String URI Format" of MongoDB.
fn with_database(url: &SecretString, database: &str) -> Option<String> {
    let text = url.expose_secret();
    let (scheme, rest) = text.split_once("://")?;
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    let (hosts, named) = before.split_once('/').unwrap_or((before, ""));
    let mut parameters: Vec<String> = query.into_iter().map(str::to_owned).collect();
    let has_source = query.is_some_and(|query| query.to_ascii_lowercase().contains("authsource="));
    // What the address says of users by its database; the records of DNS say it by themselves.
    if scheme == "mongodb" && hosts.contains('@') && !has_source {
        parameters.push(format!("authSource={}", if named.is_empty() { "admin" } else { named }));
    }
    let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
    Some(format!("{scheme}://{hosts}/{database}{query}"))
}

fn mysql_url(server: &MysqlServer, database: &str) -> Option<String> {
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    let mut url = Url::parse(&format!("mysql://{host}:{}/{database}", server.port)).ok()?;
    url.set_username(&server.user).ok()?;
    url.set_password(server.password.as_ref().map(SecretString::expose_secret)).ok()?;
    let (mode, authority) = match &server.tls {
        MysqlTls::Off => ("DISABLED", None),
        MysqlTls::Preferred => ("PREFERRED", None),
        MysqlTls::Required => ("REQUIRED", None),
        MysqlTls::Verified(authority) => ("VERIFY_IDENTITY", authority.as_ref()),
    };
    url.query_pairs_mut().append_pair("ssl-mode", mode);
    if let Some(authority) = authority {
        url.query_pairs_mut().append_pair("ssl-ca", authority);
    }
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::from_variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).unwrap()
    }

    fn led(system: &str, variables: &[(&str, &str)]) -> Config {
        let base = config(variables);
        let place = OwnPlace::of(systems::find(system).unwrap(), &base).unwrap();
        let settings = place.settings(&base, "millrace-bench-1-run0").unwrap();
        let named =
            |key: &str| crate::config::table::VARIABLES.iter().find(|variable| variable.key == key).unwrap().name();
        let set: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (named(key), value.as_str())).collect();
        config(&set)
    }

    #[test]
    fn each_store_is_led_to_a_place_of_its_own_as_the_same_user() {
        let mongo = led("users", &[("MONGODB_URL", "mongodb://u:p@a,b:1/shop?replicaSet=r")]).mongodb.unwrap();
        assert_eq!(mongo.database, "millrace_bench_1_run0");
        assert!(mongo.url.expose_secret().ends_with("?replicaSet=r&authSource=shop"), "{}", mongo.url.expose_secret());
        let audit = led("transactions-audit", &[("DATABASE_URL", "postgresql://u:p@h/x?sslmode=disable")]).database;
        let Some(Database::Postgres { url, address }) = audit else { panic!("{audit:?}") };
        assert_eq!(address, "h:5432/x");
        assert!(url.expose_secret().contains("search_path%3Dmillrace_bench_1_run0"), "{}", url.expose_secret());
        let mysql = "mysql://u:p%40@h:1/app?ssl-mode=REQUIRED";
        match led("database", &[("DATABASE_CONSUMER_URL", mysql)]).operations.server {
            DatabaseServer::Mysql(MysqlServer { name, user, password, tls, .. }) => {
                assert_eq!((name.as_str(), user.as_str(), tls), ("millrace_bench_1_run0", "u", MysqlTls::Required));
                assert_eq!(password.unwrap().expose_secret(), "p@");
            }
            other @ DatabaseServer::Postgres { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_its_place_a_run_is_refused() {
        let base = config(&[("MONGODB_URL", "mongodb://a/x")]);
        for place in [OwnPlace::AuditSchema, OwnPlace::TableDatabase] {
            let base = if place == OwnPlace::AuditSchema { base.clone() } else { config(&[("DB_HOST", "no host")]) };
            let refused = place.settings(&base, "millrace-bench-1-run0").unwrap_err();
            assert!(refused.message.contains("cannot be led"), "{refused}");
        }
    }

    #[test]
    fn what_cannot_be_measured_says_why() {
        let base = config(&[("MONGODB_URL", "mongodb://a/x"), ("ALGOLIA_APP_ID", "a"), ("ALGOLIA_API_KEY", "k")]);
        for (system, why) in
            [("transactions-audit", "DATABASE_URL"), ("reactions", "several consumer groups"), ("reviews", "bills")]
        {
            let refused = OwnPlace::of(systems::find(system).unwrap(), &base).unwrap_err();
            assert!(refused.message.contains(why), "{system}: {refused}");
        }
    }
}
