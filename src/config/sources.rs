//! Where settings are read from: the environment, `.env`, and the files of secrets.
//!
//! It guarantees that a message about what cannot be read never shows a value.

use std::collections::BTreeMap;
use std::path::Path;

use super::table::VARIABLES;
use super::{ConfigError, address};

pub(super) fn secret_file(origin: &str, path: &str) -> Result<String, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        // Some write the secret itself here, so what stands in it is not shown.
        Err(error) => Err(ConfigError::new(format!(
            "{origin}: cannot read the file that it names ({}): write the path of a file that holds the secret",
            error.kind()
        ))),
    }
}

/// The variables of the environment that the table knows, and those of libpq; whatever else is there is not looked at.
pub(super) fn environment() -> Result<BTreeMap<String, String>, ConfigError> {
    let mut values = BTreeMap::new();
    let names = VARIABLES.iter().flat_map(|v| v.env.iter().map(move |name| (v.secret || v.secures(), *name)));
    let pointers = names.clone().filter(|(has_pointer, _)| *has_pointer).map(|(_, name)| format!("{name}_FILE"));
    let foreign = address::postgres_variables().map(str::to_owned);
    for name in names.map(|(_, name)| name.to_owned()).chain(pointers).chain(foreign) {
        match std::env::var(&name) {
            Ok(value) => {
                values.insert(name, value);
            }
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => {
                return Err(ConfigError::new(format!("{name} is not UTF-8: write it anew")));
            }
        }
    }
    Ok(values)
}

pub(super) fn dot_env(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    // The parser's message quotes the value, which may be a secret.
    let wrong = |error: dotenvy::Error, last: &str| match error {
        dotenvy::Error::Io(error) => ConfigError::new(format!("cannot read .env: {error}")),
        _ => {
            ConfigError::new(format!("the entry after {last} in .env cannot be parsed: put its value in single quotes"))
        }
    };
    let mut last = "the start".to_owned();
    let mut values = BTreeMap::new();
    let text = std::fs::read(path).map_err(|error| ConfigError::new(format!("cannot read .env: {error}")))?;
    // Editors of Windows write a byte order mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    for entry in dotenvy::from_read_iter(text) {
        let (name, value) = entry.map_err(|error| wrong(error, &last))?;
        last.clone_from(&name);
        values.insert(name, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_stands_where_a_path_should_is_not_shown() {
        for secret in ["hunter2", "/hunter2", "hunter2\0", &"hunter2".repeat(1000)] {
            let error = secret_file("KAFKA_PASSWORD_FILE", secret).unwrap_err().to_string();
            assert!(error.starts_with("KAFKA_PASSWORD_FILE: cannot read") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn dot_env_takes_quotes_comments_and_certificates() {
        let path = std::env::temp_dir().join(format!("millrace-env-{}", std::process::id()));
        let text = "# comment\nA='pa$$ word'\nexport B=2 # two\nC=\"-----BEGIN X\nabc\n-----END X\"\n";
        std::fs::write(&path, text).unwrap();
        let values = dot_env(&path).unwrap();
        assert_eq!(values["A"], "pa$$ word");
        assert_eq!(values["B"], "2");
        assert_eq!(values["C"].lines().count(), 3);
        std::fs::write(&path, "\u{feff}A=1\r\nB=2\r\n").unwrap();
        assert_eq!(dot_env(&path).unwrap(), [("A", "1"), ("B", "2")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        std::fs::write(&path, "KAFKA_USERNAME=u\nKAFKA_PASSWORD=hunter2 and more\n").unwrap();
        let error = dot_env(&path).unwrap_err().to_string();
        assert!(error.contains("after KAFKA_USERNAME") && !error.contains("hunter2"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}
