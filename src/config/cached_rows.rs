//! Settings of the rows in Redis, which `database` keeps true.

use std::time::Duration;

use super::settings::Settings;
use super::{ConfigError, Redis, values};

/// How rows in Redis are kept true.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    pub mode: CacheMode,
    pub redis: Redis,
    /// What the keys begin with.
    pub prefix: String,
    /// How long a row stays that is set.
    pub ttl: Duration,
    /// How long after a write readers keep nothing of the row.
    pub grace: Duration,
}

/// What becomes of a row that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    Delete,
    Set,
}

impl CacheSettings {
    /// `None`: it is off, or there is no Redis, or nobody has named one: rows would be noted for one that never comes.
    pub(super) fn read(settings: &Settings, redis: Option<&Redis>) -> Result<Option<Self>, ConfigError> {
        let asked = settings.require("database.cache")?;
        let redis = redis.filter(|redis| redis.named || !asked.is_default());
        let mode = asked.parse("delete, set or off", |text| match text.trim().to_ascii_lowercase().as_str() {
            "delete" => Some(Some(CacheMode::Delete)),
            "set" => Some(Some(CacheMode::Set)),
            "off" | "none" | "false" => Some(None),
            _ => None,
        })?;
        let ttl = settings.require("database.cache_ttl_seconds")?.parse("seconds, 1 to 31536000", |text| {
            text.trim().parse().ok().filter(|seconds| (1..=31_536_000).contains(seconds)).map(Duration::from_secs)
        })?;
        let grace = settings
            .require("database.cache_grace_ms")?
            .parse("milliseconds, 0 to 600000", |text| values::millis(text).filter(|time| time.as_secs() <= 600))?;
        let prefix = settings.require("database.cache_prefix")?.text;
        let with = |(mode, redis): (CacheMode, &Redis)| Self { mode, redis: redis.clone(), prefix, ttl, grace };
        Ok(mode.zip(redis).map(with))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn rows_are_cached_where_there_is_a_redis() {
        let cache = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Config::from_variables(variables).map(|config| config.operations.cache)
        };
        assert!(cache(&[]).unwrap().is_none(), "nobody has named a Redis");
        assert!(cache(&[("REDIS_PORT", "7")]).unwrap().is_some());
        let usual = cache(&[("DATABASE_CACHE", "delete")]).unwrap().unwrap();
        assert_eq!((usual.mode, usual.prefix.as_str()), (CacheMode::Delete, ""));
        assert_eq!((usual.ttl.as_secs(), usual.grace), (3_600, Duration::ZERO));
        assert_eq!(usual.redis.address, "redis://localhost:6379/0");
        let set = cache(&[("DATABASE_CACHE", "set"), ("DATABASE_CACHE_PREFIX", "app:"), ("REDIS_HOST", "h")]).unwrap();
        let set = set.unwrap();
        assert_eq!(
            (set.mode, set.prefix.as_str(), set.redis.address.as_str()),
            (CacheMode::Set, "app:", "redis://h:6379/0")
        );
        assert!(cache(&[("REDIS_URL", "none")]).unwrap().is_none());
        assert!(cache(&[("DATABASE_CACHE", "off")]).unwrap().is_none());
        for (name, wrong) in
            [("DATABASE_CACHE", "x"), ("DATABASE_CACHE_TTL_SECONDS", "0"), ("DATABASE_CACHE_GRACE_MS", "-1")]
        {
            assert!(cache(&[(name, wrong), ("REDIS_HOST", "h")]).unwrap_err().to_string().starts_with(name));
        }
    }
}
