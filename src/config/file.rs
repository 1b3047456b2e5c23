//! The configuration file: TOML, flattened to the keys of the table.
//!
//! It guarantees that a key which nothing would read is an error, never silence.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::ConfigError;
use super::table::{VARIABLES, nearest_key};

/// What a configuration file says.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// As messages name it.
    pub(super) name: String,
    pub(super) values: BTreeMap<String, String>,
    /// `[kafka.properties]`: librdkafka's own names.
    pub(super) properties: BTreeMap<String, String>,
}

const PROPERTIES: &str = "kafka.properties.";

impl File {
    /// Reads a file that has to be there.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(format!("cannot read the configuration file {name}: {error}")))?;
        Self::parse(&name, &text)
    }

    /// Takes the text apart and checks every key against the table.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error| syntax_error(name, text, &error))?;
        let mut flat = BTreeMap::new();
        flatten(name, "", table, &mut flat)?;
        let mut file = Self { name: name.to_owned(), ..Self::default() };
        for (key, value) in flat {
            if let Some(property) = key.strip_prefix(PROPERTIES) {
                file.properties.insert(property.to_owned(), value);
            } else if is_known(&key) {
                file.values.insert(key, value);
            } else {
                return Err(unknown_key(name, &key));
            }
        }
        Ok(file)
    }
}

fn is_known(key: &str) -> bool {
    let secret = key.strip_suffix("_file");
    VARIABLES.iter().any(|variable| variable.key == key || (variable.secret && Some(variable.key) == secret))
}

fn unknown_key(name: &str, key: &str) -> ConfigError {
    let advice = match nearest_key(key) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`.env.example` lists the settings".to_owned(),
    };
    ConfigError::new(format!("unknown key `{key}` in {name}: {advice}"))
}

// The parser's own message quotes the line, which may hold a secret.
fn syntax_error(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
    let what = error.message().lines().next().unwrap_or_default();
    ConfigError::new(format!("{name} line {line} is not TOML: {what}"))
}

fn flatten(name: &str, prefix: &str, table: Table, into: &mut BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (part, value) in table {
        let key = if prefix.is_empty() { part } else { format!("{prefix}.{part}") };
        match value {
            Value::Table(inner) => flatten(name, &key, inner, into)?,
            Value::Array(parts) => {
                let parts: Option<Vec<_>> = parts.into_iter().map(scalar).collect();
                let parts = parts.ok_or_else(|| not_scalar(name, &key))?;
                into.insert(key, parts.join(","));
            }
            value => {
                let text = scalar(value).ok_or_else(|| not_scalar(name, &key))?;
                into.insert(key, text);
            }
        }
    }
    Ok(())
}

fn not_scalar(name: &str, key: &str) -> ConfigError {
    ConfigError::new(format!("`{key}` in {name}: expected a text, a number, true or false, or a list of these"))
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_flat_and_known() {
        let text = "[kafka]\nbootstrap_servers = ['a:1', 'b:2']\npassword_file = '/x'\n[kafka.properties]\nfetch.min.bytes = 1\n\"debug\" = 'cgrp'\n[batch]\ntimeout = 0.5\n";
        let file = File::parse("millrace.toml", text).unwrap();
        assert_eq!(file.values["kafka.bootstrap_servers"], "a:1,b:2");
        assert_eq!(file.values["batch.timeout"], "0.5");
        assert_eq!(file.properties["fetch.min.bytes"], "1");
        assert_eq!(file.properties["debug"], "cgrp");
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = File::parse("millrace.toml", "[kafka]\nbootstrap_server = 'a:1'\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown key `kafka.bootstrap_server` in millrace.toml: did you mean `kafka.bootstrap_servers`?"
        );
        // Only secrets have a file variant.
        assert!(File::parse("millrace.toml", "[kafka]\nusername_file = 'x'\n").is_err());
    }

    #[test]
    fn a_syntax_error_names_the_line_and_hides_it() {
        let error = File::parse("m.toml", "[kafka]\npassword = hunter2\n").unwrap_err().to_string();
        assert!(error.starts_with("m.toml line 2 is not TOML"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_shipped_file_is_valid() {
        File::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/millrace.toml"))).unwrap();
    }
}
