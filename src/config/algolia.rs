//! Settings of Algolia.
//!
//! It guarantees that the application id fits a host name, and that no URL holds credentials.

use secrecy::SecretString;
use url::Url;

use super::settings::Settings;
use super::{ConfigError, values};

/// An Algolia application.
#[derive(Clone, Debug)]
pub struct Algolia {
    /// Part of the names of its hosts.
    pub app_id: String,
    pub api_key: SecretString,
    /// Tried in this order instead of the application's hosts; empty: those.
    pub urls: Vec<Url>,
    /// Put before the name of every index.
    pub index_prefix: String,
}

impl Algolia {
    /// `None` when no application is named.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let Some(found) = settings.find("algolia.app_id")? else {
            return match settings.find("algolia.api_key")? {
                Some(key) => {
                    Err(key.error("a key is of no use without an application: set ALGOLIA_APP_ID, or take it out"))
                }
                None => Ok(None),
            };
        };
        let app_id = found.parse("an application id: 1 to 32 letters and digits", application)?;
        let Some(api_key) = settings.secret("algolia.api_key")? else {
            return Err(found.error("an application needs a key: set ALGOLIA_API_KEY"));
        };
        let urls = settings.find("algolia.url")?.map(|found| {
            found.parse("a list of URLs such as http://localhost:7700, without credentials or parameters", hosts)
        });
        let prefix = settings.require("algolia.index_prefix")?;
        Ok(Some(Self {
            app_id,
            api_key,
            urls: urls.transpose()?.unwrap_or_default(),
            index_prefix: prefix.parse("at most 100 letters, digits, dots, dashes or underscores", index_prefix)?,
        }))
    }
}

fn application(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = (1..=32).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    fits.then(|| text.to_owned())
}

fn hosts(text: &str) -> Option<Vec<Url>> {
    let urls: Option<Vec<Url>> = values::list(text).iter().map(|part| host(part)).collect();
    urls.filter(|urls| !urls.is_empty())
}

fn host(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    (bare && matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn index_prefix(text: &str) -> Option<String> {
    let fits = text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::Config;
    use super::*;

    const APP: (&str, &str) = ("ALGOLIA_APP_ID", "APP1");
    const KEY: (&str, &str) = ("ALGOLIA_API_KEY", "hunter2");

    fn config(variables: &[(&str, &str)]) -> Result<Option<Algolia>, ConfigError> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::from_variables(variables).map(|config| config.algolia)
    }

    #[test]
    fn an_application_needs_a_key() {
        assert!(config(&[]).unwrap().is_none());
        assert!(config(&[KEY]).unwrap_err().to_string().contains("ALGOLIA_APP_ID"));
        let error = config(&[APP]).unwrap_err().to_string();
        assert!(error.starts_with("ALGOLIA_APP_ID") && error.contains("set ALGOLIA_API_KEY"), "{error}");
        let algolia = config(&[APP, KEY]).unwrap().unwrap();
        assert_eq!((algolia.app_id.as_str(), algolia.api_key.expose_secret()), ("APP1", "hunter2"));
        assert_eq!((algolia.urls.len(), algolia.index_prefix.as_str()), (0, ""));
        assert!(!format!("{algolia:?}").contains("hunter2"));
    }

    #[test]
    fn hosts_are_a_list_and_keep_their_order() {
        let urls = ("ALGOLIA_URL", "http://b:1, https://a/under");
        let algolia = config(&[APP, KEY, urls, ("ALGOLIA_INDEX_PREFIX", "dev_")]).unwrap().unwrap();
        assert_eq!(algolia.urls.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://b:1/", "https://a/under"]);
        assert_eq!(algolia.index_prefix, "dev_");
    }

    #[test]
    fn wrong_values_are_named() {
        for (name, value) in [
            ("ALGOLIA_APP_ID", "evil.example/"),
            ("ALGOLIA_URL", "localhost:7700"),
            ("ALGOLIA_URL", "http://user:hunter3@a"),
            ("ALGOLIA_URL", ","),
            ("ALGOLIA_INDEX_PREFIX", "a/b"),
        ] {
            let error = config(&[APP, KEY, (name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
