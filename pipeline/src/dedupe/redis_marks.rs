//! Dedupe marks in Redis, for one consumer group, topic and target.
//!
//! A partition has a hash a day (mark to offset), of which today's and yesterday's are asked, and a sorted set that holds
//! the highest offset ever marked. All trouble ends in an error within a second; while Redis is away it is asked again
//! every two seconds only.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, TlsCertificates, Value};
use tokio::sync::OnceCell;

use crate::dedupe::{Known, MarkStore, Marks};
use crate::engine::ongoing::Ongoing;
use crate::mutant;
use crate::record::TopicPartition;

const DAY: u64 = 24 * 60 * 60;
/// A mark is asked for on the day it was made and on the next, so it lives for 24 hours at least.
const MARK_SECONDS: u64 = 2 * DAY;
/// Longer than any mark, so that a mark without its partition's highest offset means that the latter was lost.
const HIGHEST_SECONDS: u64 = 3 * DAY;
const RETRY: Duration = Duration::from_secs(2);

/// A Redis server.
#[derive(Clone, Debug)]
pub struct RedisServer {
    pub version: String,
    /// What it does when its memory is full; `noeviction` keeps every mark.
    pub eviction: String,
    /// Its name of its history (`master_replid`), which changes when it starts anew or takes over from another.
    pub epoch: String,
}

/// Marks of one group, topic and target.
pub struct RedisMarks {
    client: Client,
    /// Group and target; the partition follows.
    namespace: String,
    connection: OnceCell<ConnectionManager>,
    away: Mutex<Option<Away>>,
}

/// A client; `ca_pem` is the authority behind a `rediss://` URL. Connects nowhere yet.
///
/// # Errors
/// When the URL or the certificate cannot be used; the error may quote the URL, and with it a password.
pub fn redis_client(url: &str, ca_pem: Option<&str>) -> Result<Client, RedisError> {
    // Else the end of a pipeline waits until the server has acknowledged its beginning: up to 40 ms.
    let at_once = TcpSettings::default().set_nodelay(true);
    let server = url.into_connection_info()?.set_tcp_settings(at_once);
    match ca_pem {
        None => Client::open(server),
        Some(pem) => {
            let root_cert = Some(pem.as_bytes().to_vec());
            Client::build_with_tls(server, TlsCertificates { client_tls: None, root_cert })
        }
    }
}

/// A connection that is made again when it breaks; all trouble ends in an error within a second.
///
/// # Errors
/// Why there is none.
pub async fn redis_connection(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(Duration::from_millis(300)))
        .set_response_timeout(Some(Duration::from_secs(1)));
    ConnectionManager::new_with_config(client.clone(), config).await
}

/// Redis was found away.
#[derive(Debug)]
struct Away {
    /// It is not asked before.
    until: Instant,
    trouble: Ongoing,
}

impl RedisMarks {
    /// `target` names what the sink writes to (an index, a database), so that another target starts without marks.
    /// `ca_pem` is the authority behind a `rediss://` URL. Connects nowhere yet.
    ///
    /// # Errors
    /// When the URL or the certificate cannot be used; the error may quote the URL, and with it a password.
    pub fn new(url: &str, ca_pem: Option<&str>, group: &str, target: &str) -> Result<Self, RedisError> {
        let client = redis_client(url, ca_pem)?;
        let namespace = match mutant!(SharedDedupe) {
            true => "millrace:shared".to_owned(),
            false => format!("millrace:{group}:{target}"),
        };
        Ok(Self { client, namespace, connection: OnceCell::new(), away: Mutex::new(None) })
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn server(&self) -> Result<RedisServer, String> {
        let mut info = redis::pipe();
        info.cmd("INFO");
        let (text,): (String,) = self.query(&info).await?;
        let value = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim().to_owned()
        };
        let (version, eviction) = (value("redis_version"), value("maxmemory_policy"));
        Ok(RedisServer { version, eviction, epoch: value("master_replid") })
    }

    fn day() -> u64 {
        day_of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    fn marks_key(&self, at: &TopicPartition, day: u64) -> String {
        format!("{}:{}:{}:{day}", self.namespace, at.topic, at.partition)
    }

    fn highest_key(&self, at: &TopicPartition) -> String {
        format!("{}:{}:{}:highest", self.namespace, at.topic, at.partition)
    }

    async fn connect(&self) -> Result<ConnectionManager, RedisError> {
        let made = self.connection.get_or_try_init(|| redis_connection(&self.client));
        made.await.cloned()
    }

    /// Runs a pipeline, unless Redis was found away a moment ago.
    async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, String> {
        if self.lock_away().as_ref().is_some_and(|away| Instant::now() < away.until) {
            return Err("away".into());
        }
        let answer = match self.connect().await {
            Ok(mut connection) => pipeline.query_async(&mut connection).await,
            Err(error) => Err(error),
        };
        self.note(answer.as_ref().err());
        answer.map_err(|error| error.to_string())
    }

    fn lock_away(&self) -> MutexGuard<'_, Option<Away>> {
        self.away.lock()
    }

    /// Takes in how a question ended, and says what changes by it.
    fn note(&self, error: Option<&RedisError>) {
        let now = Instant::now();
        let mut away = self.lock_away();
        match (error, away.as_mut()) {
            (Some(error), None) => {
                *away = Some(Away { until: now + RETRY, trouble: Ongoing::begin(now) });
                tracing::warn!(%error, "Redis is away; duplicates are only recognised from memory until it is back");
            }
            (Some(error), Some(known)) => {
                known.until = now + RETRY;
                if let Some(seconds) = known.trouble.again(now) {
                    tracing::warn!(%error, seconds, "Redis is still away");
                }
            }
            (None, Some(known)) => {
                tracing::info!(seconds = known.trouble.seconds(now), "Redis is back");
                *away = None;
            }
            (None, None) => {}
        }
    }
}

/// The day on which a mark is made, by the seconds since 1970.
fn day_of(seconds: u64) -> u64 {
    seconds / DAY
}

/// The days whose marks are asked for on a day.
fn lookup_days(day: u64) -> [u64; 2] {
    [day, day.saturating_sub(1)]
}

/// Reads the three answers of a partition: its highest offset, today's marks, yesterday's marks.
fn read(answer: &[Value]) -> Result<Known, redis::ParsingError> {
    let [highest, today, yesterday] = answer else { return Ok(Known::default()) };
    let highest: Option<f64> = FromRedisValue::from_redis_value_ref(highest)?;
    let today: Vec<Option<i64>> = FromRedisValue::from_redis_value_ref(today)?;
    let yesterday: Vec<Option<i64>> = FromRedisValue::from_redis_value_ref(yesterday)?;
    let lowest = |(a, b): (Option<i64>, Option<i64>)| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Ok(Known {
        highest: highest.map(|score| score as i64),
        offsets: today.into_iter().zip(yesterday).map(lowest).collect(),
    })
}

#[async_trait]
impl MarkStore for RedisMarks {
    async fn read(&self, asked: &[Marks]) -> Result<Vec<Known>, String> {
        let day = Self::day();
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for marks in asked {
            pipeline.cmd("ZSCORE").arg(self.highest_key(&marks.at)).arg("offset");
            for day in lookup_days(day) {
                let ask = pipeline.cmd("HMGET").arg(self.marks_key(&marks.at, day));
                marks.marks.iter().for_each(|(mark, _)| {
                    ask.arg(&mark.0[..]);
                });
            }
        }
        let answers: Vec<Value> = self.query(&pipeline).await?;
        let known = asked.iter().zip(answers.chunks_exact(3)).map(|(_, answer)| read(answer));
        known.collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    async fn write(&self, made: &[Marks]) -> Result<(), String> {
        let day = Self::day();
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for marks in made {
            let key = self.marks_key(&marks.at, day);
            let set = pipeline.cmd("HSET").arg(&key);
            marks.marks.iter().for_each(|(mark, offset)| {
                set.arg(&mark.0[..]).arg(*offset);
            });
            set.ignore();
            pipeline.cmd("EXPIRE").arg(&key).arg(MARK_SECONDS).ignore();
            let highest = marks.marks.iter().map(|(_, offset)| *offset).max().unwrap_or(-1);
            let key = self.highest_key(&marks.at);
            // A score is a double, exact for offsets up to 2^53; GT never lowers it.
            pipeline.cmd("ZADD").arg(&key).arg("GT").arg(highest).arg("offset").ignore();
            pipeline.cmd("EXPIRE").arg(&key).arg(HIGHEST_SECONDS).ignore();
        }
        self.query(&pipeline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_to_redis_is_not_held_back() {
        let client = redis_client("redis://localhost:1/0", None).unwrap();
        assert!(client.get_connection_info().tcp_settings().nodelay());
    }

    #[test]
    fn a_mark_is_asked_for_and_kept_for_24_hours_whenever_it_was_made() {
        // Around midnight to the second, and through a day by the quarter of an hour.
        let midnight = 20_600 * DAY;
        for made in (0..DAY).step_by(900).chain([1, DAY - 2, DAY - 1]).map(|second| midnight + second) {
            for age in [0, 1, 60, DAY / 2, DAY - 1, DAY] {
                assert!(lookup_days(day_of(made + age)).contains(&day_of(made)), "made at {made}, asked {age} s later");
            }
        }
        const { assert!(MARK_SECONDS > DAY) };
        // Were the highest offset gone first, marks that are left would be believed of a group that was reset.
        const { assert!(HIGHEST_SECONDS > MARK_SECONDS) };
    }
}
