//! Links that can be slowed down and cut: toxiproxy between the program and Kafka, Redis, PostgreSQL and MongoDB.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::services::variable;

/// A link to a service; to a cluster it has several ways, each with its proxy.
pub struct Link {
    name: &'static str,
    ways: Vec<Way>,
}

/// A proxy, and where it listens.
struct Way {
    proxy: String,
    listen: u16,
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
        let control = port_of(&variable("TOXIPROXY_URL"));
        // A broker's second listener sends its clients to the port after it.
        let brokers = variable("KAFKA_BOOTSTRAP_SERVERS");
        let brokers = brokers.split(',').map(port_of).map(|port| (port + 3, format!("127.0.0.1:{}", port + 2)));
        let single = |place: u16, url: &str| vec![(control + place, authority(&variable(url)))];
        Self {
            kafka: Link::open("kafka", brokers.collect()),
            redis: Link::open("redis", single(1, "REDIS_URL")),
            postgres: Link::open("postgres", single(2, "DATABASE_URL")),
            mongodb: Link::open("mongodb", single(3, "MONGODB_URL")),
        }
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
    /// One proxy for each pair of a port to listen on and an address behind it.
    fn open(name: &'static str, ends: Vec<(u16, String)>) -> Self {
        let way = |(place, (listen, upstream)): (usize, (u16, String))| {
            let proxy = format!("{name}{}", place + 1);
            ask("DELETE", &format!("/proxies/{proxy}"), None);
            let new =
                json!({"name": proxy, "listen": format!("127.0.0.1:{listen}"), "upstream": upstream, "enabled": true});
            assert_eq!(ask("POST", "/proxies", Some(&new)), 201, "a proxy for {name}");
            Way { proxy, listen }
        };
        Self { name, ways: ends.into_iter().enumerate().map(way).collect() }
    }

    /// A second link to Redis, and its URL.
    pub fn beside_redis() -> (Self, String) {
        let url = variable("REDIS_URL");
        let link = Self::open("redis-beside", vec![(port_of(&variable("TOXIPROXY_URL")) + 4, authority(&url))]);
        let through = link.through(&url);
        (link, through)
    }

    /// Holds back what goes to the service.
    pub fn hold_back(&self, time: Duration) {
        let latency = json!({"latency": time.as_millis() as u64});
        let toxic = json!({"name": "held-back", "type": "latency", "stream": "upstream", "attributes": latency});
        for way in &self.ways {
            assert_eq!(ask("POST", &format!("/proxies/{}/toxics", way.proxy), Some(&toxic)), 200);
        }
    }

    /// The addresses of its near ends.
    pub fn servers(&self) -> String {
        let servers: Vec<String> = self.ways.iter().map(|way| format!("127.0.0.1:{}", way.listen)).collect();
        servers.join(",")
    }

    /// The URL with the link's own end in place of the service's.
    pub fn through(&self, url: &str) -> String {
        url.replacen(&authority(url), &self.servers(), 1)
    }

    /// Closes every connection and takes no new ones.
    pub fn cut(&self) {
        self.ways.iter().for_each(Way::cut);
    }

    /// The same on one of its ways.
    pub fn cut_one(&self, place: usize) {
        self.ways[place % self.ways.len()].cut();
    }

    /// Holds back what comes from the service, for so many milliseconds.
    pub fn slow(&self, millis: u64) {
        let toxic =
            json!({"type": "latency", "stream": "downstream", "attributes": {"latency": millis, "jitter": millis / 4}});
        for way in &self.ways {
            let answer = ask("POST", &format!("/proxies/{}/toxics", way.proxy), Some(&toxic));
            // 409: it is slow already.
            assert!([200, 409].contains(&answer), "{answer}");
        }
    }
}

impl Way {
    fn cut(&self) {
        assert_eq!(ask("POST", &format!("/proxies/{}", self.proxy), Some(&json!({"enabled": false}))), 200);
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
