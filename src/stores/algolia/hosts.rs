//! The hosts of an application, and which of them failed lately.
//!
//! The order and the fall-back are those of Algolia's REST reference ("Base URLs", "Retry strategy"): a host near by for
//! reads and one for writes, then three of another domain, shuffled. The time for which a host that failed comes last is the
//! `HostDownDelay` of the official clients (documentation of the API clients, "Configuring timeouts").

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::seq::SliceRandom;
use url::Url;

use crate::config::Algolia;

const DOWN: Duration = Duration::from_secs(5 * 60);

/// What a request does to an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

#[derive(Debug)]
pub(super) struct Host {
    base: String,
    /// `None`: both.
    serves: Option<Access>,
    failed: Mutex<Option<Instant>>,
}

#[derive(Debug)]
pub(super) struct Hosts(Vec<Host>);

impl Host {
    fn new(base: &str, serves: Option<Access>) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), serves, failed: Mutex::new(None) }
    }

    /// Scheme, name and port, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn note(&self, failed: bool) {
        *self.lock_failed() = failed.then(Instant::now);
    }

    fn is_down(&self, now: Instant) -> bool {
        self.lock_failed().is_some_and(|since| now.saturating_duration_since(since) < DOWN)
    }

    fn lock_failed(&self) -> parking_lot::MutexGuard<'_, Option<Instant>> {
        self.failed.lock()
    }
}

impl Hosts {
    pub(super) fn of(settings: &Algolia) -> Self {
        if !settings.urls.is_empty() {
            return Self(settings.urls.iter().map(|url| Host::new(Url::as_str(url), None)).collect());
        }
        let app = &settings.app_id;
        let mut others = [1, 2, 3].map(|number| Host::new(&format!("https://{app}-{number}.algolianet.com"), None));
        others.shuffle(&mut rand::rng());
        let mut hosts = vec![
            Host::new(&format!("https://{app}-dsn.algolia.net"), Some(Access::Read)),
            Host::new(&format!("https://{app}.algolia.net"), Some(Access::Write)),
        ];
        hosts.extend(others);
        Self(hosts)
    }

    /// The hosts for a request: those that failed lately last.
    pub(super) fn in_order(&self, access: Access) -> Vec<&Host> {
        self.in_order_at(access, Instant::now())
    }

    fn in_order_at(&self, access: Access, now: Instant) -> Vec<&Host> {
        let mut hosts: Vec<_> =
            self.0.iter().filter(|host| host.serves.is_none_or(|serves| serves == access)).collect();
        // Stable: among those that failed, and among those that did not, the order stays.
        hosts.sort_by_key(|host| host.is_down(now));
        hosts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use secrecy::SecretString;

    use super::*;

    fn hosts(urls: &[&str]) -> Hosts {
        Hosts::of(&Algolia {
            app_id: "APP1".to_owned(),
            api_key: SecretString::from("key".to_owned()),
            urls: urls.iter().map(|url| Url::parse(url).unwrap()).collect(),
            index_prefix: String::new(),
        })
    }

    fn order(hosts: &Hosts, access: Access) -> Vec<&str> {
        hosts.in_order(access).into_iter().map(Host::base).collect()
    }

    #[test]
    fn reads_and_writes_begin_at_their_own_host_and_share_the_others() {
        let hosts = hosts(&[]);
        let (reads, writes) = (order(&hosts, Access::Read), order(&hosts, Access::Write));
        assert_eq!((reads[0], writes[0]), ("https://APP1-dsn.algolia.net", "https://APP1.algolia.net"));
        assert_eq!(reads[1..], writes[1..]);
        let others = ["1", "2", "3"].map(|number| format!("https://APP1-{number}.algolianet.com"));
        assert_eq!(reads[1..].iter().copied().collect::<BTreeSet<_>>(), others.iter().map(String::as_str).collect());
    }

    #[test]
    fn a_host_that_failed_comes_last_for_five_minutes() {
        let hosts = hosts(&["http://a:1", "http://b:2/", "http://c:3"]);
        assert_eq!(order(&hosts, Access::Write), ["http://a:1", "http://b:2", "http://c:3"]);
        hosts.0[0].note(true);
        assert_eq!(order(&hosts, Access::Write), ["http://b:2", "http://c:3", "http://a:1"]);
        assert_eq!(hosts.in_order_at(Access::Write, Instant::now() + DOWN)[0].base(), "http://a:1");
        hosts.0[0].note(false);
        assert_eq!(order(&hosts, Access::Read)[0], "http://a:1");
    }
}
