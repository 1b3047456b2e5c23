//! Settings of the reactions: where they are kept, what they say, where the files of media are.

use std::time::Duration;

use url::Url;

use super::databases::Database;
use super::settings::Settings;
use super::{ConfigError, number, values};

const DAY: u64 = 24 * 3600;

/// The system `reactions`.
#[derive(Clone, Debug)]
pub struct ReactionsSettings {
    /// `None`: neither it nor the audit has a database.
    pub database: Option<Database>,
    /// The schema of the tables; a plain name.
    pub schema: String,
    /// Whether events lead to others, and to files that are deleted.
    pub emit: bool,
    /// Whether this program publishes what stands in the outbox.
    pub relay: bool,
    /// The same server past a pool of transactions, where the relay is told of new rows. `None`: it looks by the clock.
    pub listen: Option<Database>,
    /// How long marks, and what was published of the outbox, are kept.
    pub retention: Duration,
    /// `ce_source` of what is published; none: without the headers of a CloudEvent.
    pub cloud_source: Option<String>,
    /// Where the files of media are: `file:` or `s3:`, without credentials; none: nobody deletes them.
    pub media: Option<Url>,
}

impl ReactionsSettings {
    /// What is ignored of the address is added to `ignored`.
    pub(super) fn read(
        settings: &Settings,
        audit: Option<&Database>,
        ignored: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let switch = |key| settings.require(key)?.parse("true or false", values::switch);
        let database = Database::read_from("reactions.database_url", settings, ignored)?;
        let listen = Database::read_from("reactions.listen_url", settings, ignored)?;
        let schema = settings.require("reactions.schema")?;
        let expected = "the name of a schema: at most 63 small letters, digits and underscores, a letter first";
        let days = settings.require("reactions.retention_days")?;
        Ok(Self {
            database: database.or_else(|| audit.cloned()),
            schema: schema.parse(expected, |text| Some(text.to_owned()).filter(|name| is_plain_schema(name)))?,
            emit: switch("reactions.emit")?,
            relay: switch("reactions.relay")?,
            listen,
            retention: days.parse("a number of days from 1 to 36500", |text| {
                Some(Duration::from_secs(number(text, 1..=36_500)? as u64 * DAY))
            })?,
            cloud_source: settings.find("reactions.cloud_source")?.map(|found| found.text),
            media: media(settings)?,
        })
    }
}

fn media(settings: &Settings) -> Result<Option<Url>, ConfigError> {
    let Some(found) = settings.find("reactions.media_url")? else { return Ok(None) };
    let expected = "file:///FOLDER or s3://BUCKET/PREFIX, without a user; what S3 asks for is read from AWS_*";
    let usable = |url: &Url| {
        let whole = match url.scheme() {
            "file" => url.host_str().is_none_or(str::is_empty) && url.path().len() > 1,
            "s3" => url.host_str().is_some_and(|bucket| !bucket.is_empty()),
            _ => false,
        };
        whole && url.username().is_empty() && url.password().is_none() && url.query().is_none()
    };
    found.parse(expected, |text| Url::parse(text.trim()).ok().filter(usable)).map(Some)
}

/// Whether a schema has a name that needs no quotes: at most 63 small letters, digits and underscores, a letter first.
pub(crate) fn is_plain_schema(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    plain && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 63
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Database};

    fn config(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_variables(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn its_database_is_its_own_or_the_audit_s() {
        let target =
            |variables: &[(&str, &str)]| config(variables).unwrap().reactions.database.as_ref().map(Database::target);
        let audit = ("DATABASE_URL", "postgresql://u:p@one/x");
        assert_eq!(target(&[]), None);
        assert_eq!(target(&[audit]).as_deref(), Some("postgres/one:5432/x"));
        let own = ("REACTIONS_DATABASE_URL", "postgresql://u:p@two/y");
        assert_eq!(target(&[audit, own]).as_deref(), Some("postgres/two:5432/y"));
    }

    #[test]
    fn files_are_in_a_folder_or_a_bucket_and_never_behind_a_password() {
        let media = |url: &str| config(&[("REACTIONS_MEDIA_URL", url)]);
        for url in ["file:///srv/media", "s3://bucket", "s3://bucket/a/b"] {
            assert!(media(url).unwrap().reactions.media.is_some(), "{url}");
        }
        for url in ["s3://hunter2:hunter2@bucket", "http://x/hunter2", "file://", "s3://", "hunter2", "s3://b?hunter2"]
        {
            let error = media(url).unwrap_err();
            assert!(error.contains("REACTIONS_MEDIA_URL") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        for name in ["Reactions", "1a", "a-b", "", "a\"; DROP", &"a".repeat(64)] {
            assert!(config(&[("REACTIONS_SCHEMA", name)]).is_err() || name.is_empty(), "{name}");
        }
        assert_eq!(config(&[("REACTIONS_SCHEMA", "r_2")]).unwrap().reactions.schema, "r_2");
    }
}
