//! Settings of MongoDB.
//!
//! It guarantees that the address which is kept for messages holds no credentials.

use mongodb::options::{ConnectionString, HostInfo};
use secrecy::SecretString;

use super::settings::Settings;
use super::{ConfigError, address};

/// The database of a URL that names none.
const DATABASE: &str = "millrace";

/// A MongoDB database.
#[derive(Clone, Debug)]
pub struct Mongodb {
    /// With credentials.
    pub url: SecretString,
    /// Hosts and database, for messages.
    pub address: String,
    pub database: String,
}

impl Mongodb {
    /// `None` when there is none; what is ignored of its address is added to `ignored`.
    pub(super) fn read(settings: &Settings, ignored: &mut Vec<String>) -> Result<Option<Self>, ConfigError> {
        let Some(found) = settings.find("mongodb.url")? else { return Ok(None) };
        let names = address::mongodb(found.text.trim()).map_err(|why| found.error(&why))?;
        ignored.extend(found.ignoring(names));
        found.parse("a URL such as mongodb://user:password@localhost:27017/name", parse).map(Some)
    }
}

fn parse(text: &str) -> Option<Mongodb> {
    let url = text.trim();
    let connection = ConnectionString::parse(url).ok()?;
    let hosts = match &connection.host_info {
        HostInfo::HostIdentifiers(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        HostInfo::DnsRecord(name) => name.clone(),
        _ => return None,
    };
    let database = connection.default_database.unwrap_or_else(|| DATABASE.to_owned());
    Some(Mongodb { url: SecretString::from(url.to_owned()), address: format!("{hosts}/{database}"), database })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn mongodb(name: &str, url: &str) -> Result<Option<Mongodb>, ConfigError> {
        Config::from_variables([(name.to_owned(), url.to_owned())]).map(|config| config.mongodb)
    }

    #[test]
    fn a_database_is_a_url_and_its_address_holds_no_secret() {
        let one = mongodb("DATABASE_URL_ONLINE", "mongodb://u:hunter2@a:1,b/shop?replicaSet=r").unwrap().unwrap();
        assert_eq!((one.address.as_str(), one.database.as_str()), ("a:1,b:27017/shop", "shop"));
        assert!(!format!("{one:?}").contains("hunter2"));
        assert_eq!(mongodb("MONGODB_URL", "mongodb://localhost").unwrap().unwrap().address, "localhost:27017/millrace");
        let cloud = mongodb("MONGODB_URL", "mongodb+srv://u:p@cluster0.example.net/shop").unwrap().unwrap();
        assert_eq!(cloud.address, "cluster0.example.net/shop");
        let error = mongodb("MONGODB_URL", "postgresql://u:hunter2@db/x").unwrap_err().to_string();
        assert!(error.starts_with("MONGODB_URL") && !error.contains("hunter2"), "{error}");
    }
}
