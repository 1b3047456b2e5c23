//! Links that can be slowed down and cut: toxiproxy between the program and Kafka, Redis, PostgreSQL and MongoDB.

use serde_json::{Value, json};
use testkit::services::variable;

/// A link, and the ports of its two ends.
pub struct Link {
    name: &'static str,
    pub listen: u16,
}

pub struct Links {
    pub kafka: Link,
    pub redis: Link,
    pub postgres: Link,
    pub mongodb: Link,
}

fn port_of(address: &str) -> u16 {
    let digits: String = address.chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or_else(|_| panic!("no port in {address}"))
}

/// The host and port in a URL.
fn authority(url: &str) -> String {
    let url: url::Url = url.parse().unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
}

impl Links {
    /// Makes the proxies anew, all of them open.
    pub fn open() -> Self {
        let kafka = port_of(&variable("KAFKA_BOOTSTRAP_SERVERS"));
        let control = port_of(&variable("TOXIPROXY_URL"));
        // The broker's second listener sends its clients to the port after it.
        let ends = [
            ("kafka", kafka + 3, format!("127.0.0.1:{}", kafka + 2)),
            ("redis", control + 1, authority(&variable("REDIS_URL"))),
            ("postgres", control + 2, authority(&variable("DATABASE_URL"))),
            ("mongodb", control + 3, authority(&variable("MONGODB_URL"))),
        ];
        let [kafka, redis, postgres, mongodb] = ends.map(|(name, listen, upstream)| {
            ask("DELETE", &format!("/proxies/{name}"), None);
            let proxy =
                json!({"name": name, "listen": format!("127.0.0.1:{listen}"), "upstream": upstream, "enabled": true});
            assert_eq!(ask("POST", "/proxies", Some(&proxy)), 201, "a proxy for {name}");
            Link { name, listen }
        });
        Self { kafka, redis, postgres, mongodb }
    }

    /// The link to a service, where there is one.
    pub fn to(&self, service: &str) -> Option<&Link> {
        [&self.kafka, &self.redis, &self.postgres, &self.mongodb].into_iter().find(|link| link.name == service)
    }

    /// Opens all that were cut, and makes them quick again.
    pub fn heal(&self) {
        ask("POST", "/reset", None);
    }
}

impl Link {
    /// The URL with the link's own end in place of the service's.
    pub fn through(&self, url: &str) -> String {
        url.replacen(&authority(url), &format!("127.0.0.1:{}", self.listen), 1)
    }

    /// Closes every connection and takes no new ones.
    pub fn cut(&self) {
        assert_eq!(ask("POST", &format!("/proxies/{}", self.name), Some(&json!({"enabled": false}))), 200);
    }

    /// Holds back what comes from the service, for so many milliseconds.
    pub fn slow(&self, millis: u64) {
        let toxic =
            json!({"type": "latency", "stream": "downstream", "attributes": {"latency": millis, "jitter": millis / 4}});
        let answer = ask("POST", &format!("/proxies/{}/toxics", self.name), Some(&toxic));
        // 409: it is slow already.
        assert!([200, 409].contains(&answer), "{answer}");
    }
}

fn ask(method: &str, path: &str, body: Option<&Value>) -> u16 {
    let url = format!("{}{path}", variable("TOXIPROXY_URL"));
    let mut request = reqwest::blocking::Client::new().request(method.parse().unwrap(), url);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    request.send().unwrap().status().as_u16()
}
