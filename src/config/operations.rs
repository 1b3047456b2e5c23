//! Settings of the database consumer: where it writes, what its entities are called, how it waits.
//!
//! It guarantees that an address which is kept for messages holds no credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

use super::address::PostgresAddress;
use super::cached_rows::CacheSettings;
use super::found::FoundSetting;
use super::settings::Settings;
use super::{ConfigError, Redis, Retries, address, systems, values};

const URL: &str = "database.consumer_url";
const PARTS: [&str; 5] = ["database.host", "database.port", "database.user", "database.password", "database.name"];
const EXPECTED: &str =
    "a URL such as mysql://user:password@localhost:3306/name or postgresql://user:password@localhost:5432/name";

/// The system `database`.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    pub client_id: String,
    pub server: DatabaseServer,
    pub retries: Retries,
    /// How often the database is asked whether it is well.
    pub health: Duration,
    /// How often it is tried again while it is not.
    pub reconnect: Duration,
    /// The table of each entity.
    pub entities: BTreeMap<String, EntityTable>,
    /// Whether tables of the application are made where they are missing.
    pub create_tables: bool,
    /// `None`: rows are not cached.
    pub cache: Option<CacheSettings>,
    /// The topic that is told what became of each operation.
    pub results: Option<String>,
}

/// Where an entity's rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTable {
    pub table: String,
    /// The columns that operations may write; `None`: all.
    pub columns: Option<Vec<String>>,
    /// The column that counts a row's changes.
    pub version: String,
}

/// A server that operations are written to.
#[derive(Clone, Debug)]
pub enum DatabaseServer {
    Mysql(MysqlServer),
    Postgres {
        /// With credentials.
        url: SecretString,
        /// Host, port and name, for messages.
        address: String,
    },
}

/// A MySQL or MariaDB.
#[derive(Clone, Debug)]
pub struct MysqlServer {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<SecretString>,
    pub name: String,
    pub tls: MysqlTls,
}

/// How a connection to MySQL is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MysqlTls {
    Off,
    /// Where the server offers it.
    Preferred,
    /// Certificates are not checked.
    Required,
    /// Certificate and host name are checked; of these authorities, else the public ones.
    Verified(Option<String>),
}

impl DatabaseServer {
    /// Host, port and name, for messages.
    pub fn address(&self) -> String {
        match self {
            Self::Mysql(MysqlServer { host, port, name, .. }) if host.contains(':') => {
                format!("[{host}]:{port}/{name}")
            }
            Self::Mysql(MysqlServer { host, port, name, .. }) => format!("{host}:{port}/{name}"),
            Self::Postgres { address, .. } => address.clone(),
        }
    }
}

impl DatabaseSettings {
    /// What is ignored of the address is added to `ignored`, and settings that nobody reads to `unheard`.
    pub(super) fn read(
        settings: &Settings,
        redis: Option<&Redis>,
        ignored: &mut Vec<String>,
        unheard: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let millis = |key| {
            settings.require(key)?.parse("milliseconds, 100 to 3600000", |text| {
                values::millis(text).filter(|time| (100..=3_600_000).contains(&time.as_millis()))
            })
        };
        let own = |key| settings.require_for("database", key);
        let retries = Retries::read(&own("retry.attempts")?, &own("retry.delay_ms")?)?;
        let name = |text: &str| Some(text.trim().to_owned()).filter(|name| fits(name));
        let version = settings.require("database.version_column")?.parse("the name of a column", name)?;
        Ok(Self {
            client_id: own("kafka.client_id")?.text,
            server: server(settings, ignored, unheard)?,
            retries,
            health: millis("database.health_check_interval_ms")?,
            reconnect: millis("database.reconnect_interval_ms")?,
            entities: settings
                .require("database.entities")?
                .parse("entities and tables, such as User=Users, or with columns User=Users(id name)", |text| {
                    entities(text, &version)
                })?,
            create_tables: settings.require("database.create_tables")?.parse("true or false", values::switch)?,
            cache: CacheSettings::read(settings, redis)?,
            results: results(settings)?,
        })
    }
}

/// None of the topics that are read here may be told: each event would be an operation, or a letter.
fn results(settings: &Settings) -> Result<Option<String>, ConfigError> {
    let Some(found) = settings.find("database.results_topic")? else { return Ok(None) };
    let topic = found.parse(systems::A_TOPIC, systems::topic)?;
    let source = settings.require("database.topic")?.text;
    let source = source.trim();
    if topic == source || topic.strip_suffix(".dlq") == Some(source) {
        return Err(found.error(&format!("{topic} is a topic of operations or of their letters: name another")));
    }
    Ok(Some(topic))
}

fn fits(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && !name.contains(['\0', '(', ')'])
}

fn entities(text: &str, version: &str) -> Option<BTreeMap<String, EntityTable>> {
    let mut entities = BTreeMap::new();
    for part in values::list(text) {
        let (entity, table) = part.split_once('=')?;
        let (table, columns) = match table.split_once('(') {
            Some((table, columns)) => {
                let columns = columns.trim().strip_suffix(')')?;
                (table, Some(columns.split_whitespace().map(str::to_owned).collect::<Vec<_>>()))
            }
            None => (table, None),
        };
        let (entity, table) = (entity.trim().to_owned(), table.trim().to_owned());
        let ours = table.to_ascii_lowercase().starts_with("millrace_");
        if !fits(&entity) || !fits(&table) || ours || columns.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
        if entities.insert(entity, EntityTable { table, columns, version: version.to_owned() }).is_some() {
            return None;
        }
    }
    (!entities.is_empty()).then_some(entities)
}

/// The whole address, or its parts.
fn server(
    settings: &Settings,
    ignored: &mut Vec<String>,
    unheard: &mut Vec<String>,
) -> Result<DatabaseServer, ConfigError> {
    let Some(found) = settings.find(URL)? else { return of_parts(settings) };
    for key in PARTS {
        if let Some(part) = settings.find_given(key)? {
            unheard.push(part.not_read(&found));
        }
    }
    let text = found.text.trim();
    let scheme = text.split(['+', ':']).next().unwrap_or_default();
    if matches!(scheme, "mysql" | "mysql2" | "mariadb") {
        return of_url(text, &found).map(DatabaseServer::Mysql);
    }
    let read = address::postgres(text, |name| settings.foreign(name));
    let read = read.unwrap_or_else(|| Err(format!("expected {EXPECTED}")));
    let PostgresAddress { url, shown, ignored: names } = read.map_err(|why| found.error(&why))?;
    ignored.extend(found.ignoring(names));
    Ok(DatabaseServer::Postgres { url: SecretString::from(url.to_string()), address: shown })
}

fn of_parts(settings: &Settings) -> Result<DatabaseServer, ConfigError> {
    let not_empty = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    Ok(DatabaseServer::Mysql(MysqlServer {
        host: settings.require("database.host")?.parse("a host name", not_empty)?,
        port: settings
            .require("database.port")?
            .parse("a port, 1 to 65535", |text| text.trim().parse().ok().filter(|port| *port > 0))?,
        user: settings.require("database.user")?.parse("a user name", not_empty)?,
        password: settings.secret("database.password")?,
        name: settings.require("database.name")?.parse("the name of a database", not_empty)?,
        tls: MysqlTls::Preferred,
    }))
}

fn of_url(text: &str, found: &FoundSetting) -> Result<MysqlServer, ConfigError> {
    let expected = || found.error(&format!("expected {EXPECTED}"));
    let url = Url::parse(text).map_err(|_| expected())?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
    let part = |text: &str| decoded(text).map_err(|_| expected());
    let (mut mode, mut authority) = ("preferred".to_owned(), None);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "ssl-mode" | "sslmode" => mode = value.to_ascii_lowercase().replace('-', "_"),
            "ssl-ca" | "sslca" => authority = Some(value.into_owned()),
            _ => return Err(found.error("it has a parameter that is not known: ssl-mode and ssl-ca are")),
        }
    }
    let tls = match (mode.as_str(), authority) {
        ("disabled" | "disable", None) => MysqlTls::Off,
        ("preferred" | "prefer", None) => MysqlTls::Preferred,
        ("required" | "require", None) => MysqlTls::Required,
        ("verify_identity" | "verify_full", authority) => MysqlTls::Verified(authority),
        (_, Some(_)) => return Err(found.error("its parameter ssl-ca needs ssl-mode=VERIFY_IDENTITY beside it")),
        _ => {
            let modes = "its ssl-mode is none of DISABLED, PREFERRED, REQUIRED, VERIFY_IDENTITY";
            return Err(found.error(modes));
        }
    };
    let host = part(url.host_str().filter(|host| !host.is_empty()).ok_or_else(expected)?)?;
    let name = part(url.path().trim_start_matches('/'))?;
    let user = part(url.username())?;
    if name.is_empty() || user.is_empty() || url.fragment().is_some() {
        return Err(expected());
    }
    let password = url.password().map(part).transpose()?;
    Ok(MysqlServer {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(3306),
        user,
        password: password.map(SecretString::from),
        name,
        tls,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::Config;
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<DatabaseSettings, ConfigError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_variables(variables).map(|config| config.operations)
    }

    fn mysql(variables: &[(&str, &str)]) -> MysqlServer {
        match read(variables).unwrap().server {
            DatabaseServer::Mysql(server) => server,
            DatabaseServer::Postgres { address, .. } => panic!("{address}"),
        }
    }

    #[test]
    fn the_seed_s_defaults() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.client_id.as_str(), settings.retries.attempts), ("database-consumer", 5));
        assert_eq!(settings.retries.delay, Duration::from_secs(5));
        assert_eq!((settings.health.as_secs(), settings.reconnect.as_secs()), (10, 5));
        assert_eq!(settings.server.address(), "localhost:3306/adelante_sumerce");
        assert_eq!((mysql(&[]).user, settings.entities.len(), settings.create_tables), ("root".to_owned(), 7, false));
        assert_eq!(settings.entities["Business"].table, "Businesses");
        assert_eq!(settings.entities["Business"].version, "version");
        assert_eq!(read(&[("MAX_RETRY_ATTEMPTS", "2")]).unwrap().retries.attempts, 2);
        assert_eq!(read(&[("KAFKA_CLIENT_ID", "mine")]).unwrap().client_id, "mine");
    }

    #[test]
    fn an_address_is_a_url_or_parts() {
        let parts =
            mysql(&[("DB_HOST", "h"), ("DB_PORT", "1"), ("DB_USER", "u"), ("DB_PASSWORD", "p@"), ("DB_NAME", "n")]);
        assert_eq!((parts.host.as_str(), parts.port, parts.name.as_str()), ("h", 1, "n"));
        assert_eq!(parts.password.unwrap().expose_secret(), "p@");
        let whole =
            mysql(&[("DATABASE_CONSUMER_URL", "mariadb://u:p%40@h/n?ssl-mode=VERIFY_IDENTITY"), ("DB_HOST", "x")]);
        assert_eq!((whole.host.as_str(), whole.port, whole.tls), ("h", 3306, MysqlTls::Verified(None)));
        assert_eq!(whole.password.unwrap().expose_secret(), "p@");
        let postgres = read(&[("DATABASE_CONSUMER_URL", "postgresql://u:hunter2@db/x")]).unwrap();
        assert_eq!(postgres.server.address(), "db:5432/x");
        assert!(!format!("{postgres:?}").contains("hunter2"));
        for wrong in
            ["mysql://u:hunter2@h", "mysql://h/n", "sqlite:x", "mysql://u:hunter2@h/n?x=1", "mysql://u@h/n?ssl-mode=x"]
        {
            let error = read(&[("DATABASE_CONSUMER_URL", wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("DATABASE_CONSUMER_URL") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn results_go_to_a_topic_of_their_own() {
        let results = |topic| read(&[("DATABASE_RESULTS_TOPIC", topic)]).map(|settings| settings.results);
        assert_eq!(read(&[]).unwrap().results, None);
        assert_eq!(results("done").unwrap().as_deref(), Some("done"));
        for wrong in ["db-operations-buffer", "db-operations-buffer.dlq", "a b"] {
            assert!(results(wrong).unwrap_err().to_string().starts_with("DATABASE_RESULTS_TOPIC"), "{wrong}");
        }
    }

    #[test]
    fn an_entity_is_a_table_and_its_columns_may_be_a_list() {
        let entities = |text| read(&[("DATABASE_ENTITIES", text)]).map(|settings| settings.entities);
        let known = entities("User=people(id name), Pet=Pets").unwrap();
        assert_eq!(known["User"].columns.as_deref(), Some(&["id".to_owned(), "name".to_owned()][..]));
        assert_eq!((known["Pet"].table.as_str(), &known["Pet"].columns), ("Pets", &None));
        for wrong in ["User", "User=", "=x", "A=a,A=b", "User=millrace_operations", "User=a()", ","] {
            assert!(entities(wrong).is_err(), "{wrong}");
        }
    }
}
