//! The look-up: command line over environment over `.env` over the file over defaults.
//!
//! It reads its sources once, at the start, and guarantees that a message about a value names where the value came from
//! and never shows a secret.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;

use super::file::File;
use super::found::{DEFAULT, FoundSetting};
use super::meant::drop_unmeant;
use super::sources::{dot_env, environment, secret_file};
use super::table::{VARIABLES, Variable};
use super::{ConfigError, values};

/// A setting given on the command line.
#[derive(Clone, Debug)]
pub struct Override {
    /// The key in the table.
    pub key: &'static str,
    /// The option, as messages name it.
    pub flag: &'static str,
    pub value: String,
}

/// Variables of one place: the environment, or `.env`.
#[derive(Clone, Debug)]
struct Layer {
    /// Follows the name in messages.
    suffix: &'static str,
    values: BTreeMap<String, String>,
}

/// All sources, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    flags: Vec<Override>,
    layers: Vec<Layer>,
    file: File,
    /// Sentences about what the environment's values are not taken for.
    ignored: Vec<String>,
}

impl Settings {
    /// The sources of this process: its environment, `.env` and `millrace.toml` of the working directory, or the named file.
    pub(super) fn of_process(path: Option<&Path>, flags: Vec<Override>) -> Result<Self, ConfigError> {
        let file = match path {
            Some(path) => File::read(path)?,
            None if Path::new(super::FILE_NAME).exists() => File::read(Path::new(super::FILE_NAME))?,
            None => File::default(),
        };
        let mut values = environment()?;
        let ignored = drop_unmeant(&mut values);
        let environment = Layer { suffix: "", values };
        let dot_env = Layer { suffix: " in .env", values: dot_env(Path::new(".env"))? };
        Ok(Self { flags, layers: vec![environment, dot_env], file, ignored })
    }

    /// These variables and nothing else.
    pub(super) fn of_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut values = variables.into_iter().collect();
        let ignored = drop_unmeant(&mut values);
        Self { layers: vec![Layer { suffix: "", values }], ignored, ..Self::default() }
    }

    /// This file and nothing else.
    #[cfg(test)]
    pub(super) fn of_file(file: File) -> Self {
        Self { file, ..Self::default() }
    }

    /// These places: the environment, `.env`, and the file.
    #[cfg(test)]
    pub(super) fn of_places(environment: &[(&str, &str)], dot_env: &[(&str, &str)], file: File) -> Self {
        let layer = |suffix, values: &[(&str, &str)]| Layer {
            suffix,
            values: values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        Self { layers: vec![layer("", environment), layer(" in .env", dot_env)], file, ..Self::default() }
    }

    /// Settings that another one hides: names of one thing in the same place.
    pub(super) fn list_shadowed(&self) -> Vec<String> {
        let mut unheard = Vec::new();
        for layer in &self.layers {
            let set = |name: &str| layer.values.get(name).is_some_and(|value| !value.is_empty());
            for variable in VARIABLES {
                let mut names = variable.env.iter().filter(|name| set(name));
                let Some(first) = names.next() else { continue };
                let suffix = layer.suffix;
                unheard.extend(names.map(|name| format!("{name}{suffix} is not read, because {first} is set")));
            }
        }
        unheard
    }

    /// Sentences about what the environment's values are not taken for.
    pub(super) fn list_ignored(&self) -> Vec<String> {
        self.ignored.clone()
    }

    /// A variable that is not of the table, because it belongs to a library.
    pub(super) fn foreign(&self, name: &str) -> Option<String> {
        self.layers.iter().find_map(|layer| layer.values.get(name).filter(|text| !text.is_empty()).cloned())
    }

    pub(super) fn properties(&self) -> (&str, &BTreeMap<String, String>) {
        (&self.file.name, &self.file.properties)
    }

    /// The value of a key, or its default.
    pub(super) fn find(&self, key: &str) -> Result<Option<FoundSetting>, ConfigError> {
        let variable = variable(key)?;
        Ok(self.set(variable)?.or_else(|| default_of(variable)))
    }

    /// The value of a key, without its default.
    pub(super) fn find_given(&self, key: &str) -> Result<Option<FoundSetting>, ConfigError> {
        self.set(variable(key)?)
    }

    /// The value of a key that has a default.
    pub(super) fn require(&self, key: &str) -> Result<FoundSetting, ConfigError> {
        self.find(key)?.ok_or_else(|| ConfigError::new(format!("`{key}` is not set and has no default")))
    }

    /// The value of a key as one system sees it: its own setting, the common one, its own default, the common default.
    pub(super) fn require_for(&self, system: &str, key: &str) -> Result<FoundSetting, ConfigError> {
        let own_key = format!("{system}.{key}");
        let Some(own) = VARIABLES.iter().find(|v| v.system == Some(system) && v.key == own_key) else {
            return self.require(key);
        };
        if let Some(found) = self.set(own)? {
            return Ok(found);
        }
        match (self.set(variable(key)?)?, default_of(own)) {
            (Some(found), _) | (None, Some(found)) => Ok(found),
            (None, None) => self.require(key),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(self.find(key)?.map(|found| found.text))
    }

    pub(super) fn secret(&self, key: &str) -> Result<Option<SecretString>, ConfigError> {
        Ok(self.text(key)?.map(SecretString::from))
    }

    /// A certificate: PEM text, or a path.
    pub(super) fn certificate(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(found) = self.find(key)? else { return Ok(None) };
        values::pem(&found.text).map(Some).map_err(|why| found.error(&why))
    }

    /// What somebody set, defaults left out.
    fn set(&self, variable: &Variable) -> Result<Option<FoundSetting>, ConfigError> {
        let found = |text: &str, origin: String, layer: usize| FoundSetting {
            text: text.to_owned(),
            origin,
            secret: variable.secret,
            layer,
        };
        if let Some(flag) = self.flags.iter().find(|flag| flag.key == variable.key) {
            return Ok(Some(found(&flag.value, flag.flag.to_owned(), 0)));
        }
        for (layer, at) in self.layers.iter().zip(1..) {
            for name in variable.env {
                let origin = |name: &str| format!("{name}{}", layer.suffix);
                let direct = layer.values.get(*name).filter(|text| variable.empty_is_a_value || !text.is_empty());
                let pointer = format!("{name}_FILE");
                let path = layer.values.get(&pointer).filter(|path| !path.is_empty());
                if path.is_some() && variable.secures() {
                    return Err(ConfigError::new(format!("{} is not read: set {name} instead", origin(&pointer))));
                }
                let path = path.filter(|_| variable.secret);
                match (direct, path) {
                    (Some(_), Some(_)) => {
                        let both = format!("{name} and {pointer} are both set{}: keep one of them", layer.suffix);
                        return Err(ConfigError::new(both));
                    }
                    (Some(text), None) => return Ok(Some(found(text, origin(name), at))),
                    (None, Some(path)) => {
                        return Ok(Some(found(&secret_file(&origin(&pointer), path)?, origin(&pointer), at)));
                    }
                    (None, None) => {}
                }
            }
        }
        self.set_in_file(variable)
    }

    fn set_in_file(&self, variable: &Variable) -> Result<Option<FoundSetting>, ConfigError> {
        let key = variable.key;
        let pointer = format!("{key}_file");
        let origin = |key: &str| format!("`{key}` in {}", self.file.name);
        let layer = self.layers.len() + 1;
        let found = |text, origin| FoundSetting { text, origin, secret: variable.secret, layer };
        match (self.file.values.get(key), self.file.values.get(&pointer).filter(|_| variable.secret)) {
            (Some(_), Some(_)) => {
                let both = format!("`{key}` and `{pointer}` are both set in {}: keep one of them", self.file.name);
                Err(ConfigError::new(both))
            }
            (Some(text), None) if text.is_empty() && !variable.empty_is_a_value => Ok(None),
            (Some(text), None) => Ok(Some(found(text.clone(), origin(key)))),
            (None, Some(path)) => Ok(Some(found(secret_file(&origin(&pointer), path)?, origin(&pointer)))),
            (None, None) => Ok(None),
        }
    }
}

fn variable(key: &str) -> Result<&'static Variable, ConfigError> {
    let found = VARIABLES.iter().find(|variable| variable.key == key);
    found.ok_or_else(|| ConfigError::new(format!("`{key}` is not in the table of variables")))
}

fn default_of(variable: &Variable) -> Option<FoundSetting> {
    let origin = format!("the default of {}", variable.name());
    variable.default.map(|text| FoundSetting { text: text.to_owned(), origin, secret: variable.secret, layer: DEFAULT })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(suffix: &'static str, values: &[(&str, &str)]) -> Layer {
        Layer { suffix, values: values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect() }
    }

    fn found(settings: &Settings, key: &str) -> (String, String) {
        let found = settings.find(key).unwrap().unwrap();
        (found.text, found.origin)
    }

    fn pair(text: &str, origin: &str) -> (String, String) {
        (text.to_owned(), origin.to_owned())
    }

    #[test]
    fn each_source_wins_over_the_next() {
        let file = File::parse("m.toml", "[batch]\nsize = 1\ntimeout = 2\nbytes = '3k'\n[http]\nport = 4\n").unwrap();
        let settings = Settings {
            flags: vec![Override { key: "batch.size", flag: "--size", value: "40".into() }],
            layers: vec![
                layer("", &[("CONSUMER_BATCH_SIZE", "30"), ("CONSUMER_BATCH_TIMEOUT", "30")]),
                layer(
                    " in .env",
                    &[("CONSUMER_BATCH_TIMEOUT", "20"), ("CONSUMER_BATCH_BYTES", "20k"), ("HTTP_PORT", "")],
                ),
            ],
            file,
            ignored: Vec::new(),
        };
        assert_eq!(found(&settings, "batch.size"), pair("40", "--size"));
        assert_eq!(found(&settings, "batch.timeout"), pair("30", "CONSUMER_BATCH_TIMEOUT"));
        assert_eq!(found(&settings, "batch.bytes"), pair("20k", "CONSUMER_BATCH_BYTES in .env"));
        assert_eq!(found(&settings, "http.port"), pair("4", "`http.port` in m.toml"));
        assert_eq!(found(&settings, "http.addr"), pair("127.0.0.1", "the default of HTTP_ADDR"));
    }

    #[test]
    fn the_first_name_wins_within_a_source() {
        let both = [("KAFKA_BROKERS", "b:1"), ("KAFKA_SERVICE_URI", "c:1")];
        let settings = Settings { layers: vec![layer("", &both)], ..Settings::default() };
        assert_eq!(found(&settings, "kafka.bootstrap_servers"), pair("b:1", "KAFKA_BROKERS"));
    }

    #[test]
    fn a_secret_may_come_from_a_file_but_not_from_both() {
        let path = std::env::temp_dir().join(format!("millrace-secret-{}", std::process::id()));
        std::fs::write(&path, " s3cret\n").unwrap();
        let file = ("KAFKA_PASSWORD_FILE", path.to_str().unwrap());
        let settings = Settings { layers: vec![layer("", &[file])], ..Settings::default() };
        assert_eq!(found(&settings, "kafka.password"), pair("s3cret", "KAFKA_PASSWORD_FILE"));
        let settings = Settings { layers: vec![layer("", &[file, ("KAFKA_PASSWORD", "x")])], ..Settings::default() };
        assert!(settings.find("kafka.password").is_err());
        std::fs::remove_file(&path).unwrap();
        let missing = Settings { layers: vec![layer("", &[file])], ..Settings::default() };
        let error = missing.secret("kafka.password").unwrap_err().to_string();
        assert!(error.starts_with("KAFKA_PASSWORD_FILE: cannot read"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_read_is_no_security() {
        for name in ["KAFKA_CA_CERT", "REDIS_CA_CERT", "ELASTICSEARCH_CA_CERT", "KAFKA_USERNAME"] {
            let pointer = format!("{name}_FILE");
            let settings = Settings { layers: vec![layer("", &[(&pointer, "/x")])], ..Settings::default() };
            let key = VARIABLES.iter().find(|variable| variable.name() == name).unwrap().key;
            let error = settings.find(key).map(drop).unwrap_err().to_string();
            assert_eq!(error, format!("{pointer} is not read: set {name} instead"));
        }
    }

    #[test]
    fn a_message_never_shows_a_secret() {
        let values = [("REDIS_URL", "redis://:hunter2@h"), ("ELASTICSEARCH_URL", "http://u:hunter2@h")];
        let settings = Settings { layers: vec![layer("", &values)], ..Settings::default() };
        for key in ["redis.url", "elasticsearch.url"] {
            let found = settings.require(key).unwrap();
            assert!(!found.mismatch("a URL").to_string().contains("hunter2"));
        }
    }
}
