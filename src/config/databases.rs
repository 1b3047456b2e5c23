//! Settings of the databases, and where documents go.
//!
//! It guarantees that an address which is kept for messages holds no credentials.

use std::path::PathBuf;

use secrecy::SecretString;

use super::address::PostgresAddress;
use super::settings::Settings;
use super::{ConfigError, address, values};

/// A database of the audit.
#[derive(Clone, Debug)]
pub enum Database {
    Postgres {
        /// With credentials.
        url: SecretString,
        /// Host, port and name, for messages.
        address: String,
    },
    Sqlite {
        path: PathBuf,
    },
}

/// Where the documents of `transactions` go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexStore {
    Elasticsearch,
    Sqlite(PathBuf),
}

impl Database {
    /// That of the audit: `None` when there is none; what is ignored of its address is added to `ignored`.
    pub(super) fn read(settings: &Settings, ignored: &mut Vec<String>) -> Result<Option<Self>, ConfigError> {
        Self::read_from("database.url", settings, ignored)
    }

    /// As [`Self::read`], of the setting of this key.
    pub(super) fn read_from(
        key: &'static str,
        settings: &Settings,
        ignored: &mut Vec<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(found) = settings.find(key)? else { return Ok(None) };
        let expected = "a URL such as postgresql://user:password@localhost:5432/name, or sqlite:PATH";
        if let Some(path) = sqlite_path(&found.text) {
            return Ok(Some(Self::Sqlite { path }));
        }
        let variable = |name: &str| settings.foreign(name);
        // Not the value itself, whatever is wrong with it: there may be a password anywhere in it.
        let read = address::postgres(&found.text, variable).unwrap_or_else(|| Err(format!("expected {expected}")));
        let PostgresAddress { url, shown, ignored: names } = read.map_err(|why| found.error(&why))?;
        ignored.extend(found.ignoring(names));
        Ok(Some(Self::Postgres { url: SecretString::from(url.to_string()), address: shown }))
    }

    /// Names the database; marks of processed messages are good for it alone.
    pub fn target(&self) -> String {
        match self {
            Self::Postgres { address, .. } => format!("postgres/{address}"),
            Self::Sqlite { path } => format!("sqlite/{}", path.display()),
        }
    }
}

/// `sqlite:PATH`, `sqlite://PATH`, `sqlite:///absolute/path`.
fn sqlite_path(text: &str) -> Option<PathBuf> {
    let rest = text.trim().strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let a_file = !path.is_empty() && !path.contains('?') && path != ":memory:";
    a_file.then(|| PathBuf::from(path))
}

impl IndexStore {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        settings.require("transactions.store")?.parse("elasticsearch, or sqlite:PATH", |text| match text {
            "elasticsearch" => Some(Self::Elasticsearch),
            text => sqlite_path(text).map(Self::Sqlite),
        })
    }
}

/// Whether the audit is brought along.
pub(super) fn audit(settings: &Settings, database: Option<&Database>) -> Result<bool, ConfigError> {
    let Some(found) = settings.find("transactions.audit")? else { return Ok(database.is_some()) };
    let on = found.parse("true or false", values::switch)?;
    if on && database.is_none() {
        return Err(found.error("the audit needs a database: set DATABASE_URL, or switch the audit off"));
    }
    Ok(on)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    fn database(url: &str) -> Option<String> {
        config(&[("DATABASE_URL", url)]).ok()?.database.map(|database| database.target())
    }

    #[test]
    fn a_database_is_postgres_or_a_file() {
        assert_eq!(database("postgresql://u:p@db/x").as_deref(), Some("postgres/db:5432/x"));
        assert_eq!(database("postgresql+asyncpg://u:p@db:1/x?sslmode=require").as_deref(), Some("postgres/db:1/x"));
        assert_eq!(database("sqlite:///var/x.db").as_deref(), Some("sqlite//var/x.db"));
        assert_eq!(database("sqlite:x.db").as_deref(), Some("sqlite/x.db"));
        assert_eq!(database("postgresql://u:p@db").as_deref(), Some("postgres/db:5432/u"));
        for wrong in ["mysql://u:p@db/x", "postgresql://db", "postgresql:x", "sqlite:", "sqlite::memory:", "x"] {
            assert_eq!(database(wrong), None, "{wrong}");
        }
        let error = config(&[("DATABASE_URL", "mysql://u:hunter2@db/x")]).unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_URL") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_audit_is_on_when_there_is_a_database_unless_somebody_says_no() {
        let url = ("DATABASE_URL", "sqlite:x.db");
        let audit = |variables: &[(&str, &str)]| config(variables).unwrap().transactions.audit;
        assert!(!audit(&[]));
        assert!(audit(&[url]));
        assert!(!audit(&[url, ("CONSUMER_ENABLE_AUDIT_DB", "false")]));
        let error = config(&[("CONSUMER_ENABLE_AUDIT_DB", "true")]).unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL"), "{error}");
    }

    #[test]
    fn documents_go_to_elasticsearch_or_a_file() {
        let store = |text| config(&[("TRANSACTIONS_STORE", text)]).map(|config| config.transactions.store);
        assert_eq!(store("sqlite:/tmp/x.db").unwrap(), IndexStore::Sqlite("/tmp/x.db".into()));
        assert_eq!(config(&[]).unwrap().transactions.store, IndexStore::Elasticsearch);
        assert!(store("mongodb").unwrap_err().to_string().contains("sqlite:PATH"));
    }
}
