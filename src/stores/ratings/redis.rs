//! Ratings in Redis, for whoever shows them: `creator:<id>:rating` (the prefix is a setting) holds the JSON of a rating and its `seq`.
//!
//! It guarantees that a rating which was counted earlier never takes the place of a later one.

use pipeline::mutant;
use pipeline::sink::Failure;
use pipeline::{redis_client, redis_connection};
use redis::aio::ConnectionManager;
use redis::{Client, FromRedisValue, Pipeline, RedisError, Value as Answer};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::config::Redis;
use crate::stores::follow_up::Refusal;
use crate::stores::ratings::recompute::{Rated, Rating};
use crate::stores::target::SetupError;

/// Ratings in one round trip.
const AT_ONCE: usize = 500;
/// A key holds something of another type.
const WRONG_TYPE: &str = "WRONGTYPE";
/// Sets a rating where none, or one of a lower number, is held.
const SET_IF_LATER: &str = r"
local held = redis.call('GET', KEYS[1])
if held then
  local read, rating = pcall(cjson.decode, held)
  if read and type(rating) == 'table' and tonumber(rating.seq) and tonumber(rating.seq) >= tonumber(ARGV[1]) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return 1";

/// The same, whatever is held: with the bug switched on.
const SET: &str = "redis.call('SET', KEYS[1], ARGV[2])\nreturn 1";

/// The cache of ratings.
pub struct RatingCache {
    client: Client,
    connection: OnceCell<ConnectionManager>,
    address: String,
    /// What the keys begin with.
    prefix: String,
}

impl RatingCache {
    /// Connects nowhere yet.
    ///
    /// # Errors
    /// A sentence that names the variables at fault.
    pub fn new(settings: &Redis, prefix: &str) -> Result<Self, SetupError> {
        // The error may quote the URL, and with it a password.
        let unusable = |_| SetupError::unusable_redis(&settings.address);
        let client = redis_client(settings.url.expose_secret(), settings.ca_cert.as_deref()).map_err(unusable)?;
        Ok(Self { client, connection: OnceCell::new(), address: settings.address.clone(), prefix: prefix.to_owned() })
    }

    /// Sets these ratings, where none that was counted later is held; gives those whose key holds something else.
    ///
    /// # Errors
    /// Why not.
    pub async fn put(&self, rated: &[Rated]) -> Result<Vec<Refusal>, Failure> {
        let mut refused = Vec::new();
        for rated in rated.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            for Rated { subject, seq, rating } in rated {
                let script = if mutant!(CacheUnconditional) { SET } else { SET_IF_LATER };
                let set = pipeline.cmd("EVAL").arg(script).arg(1).arg(self.key(subject));
                set.arg(*seq).arg(text(*seq, rating));
            }
            let foreign = self.each(&mut pipeline).await?.into_iter().zip(rated).filter(|(answer, _)| answer.is_none());
            refused.extend(foreign.map(|(_, rated)| self.refusal(&rated.subject)));
        }
        Ok(refused)
    }

    /// Forgets these ratings, so that any may be set.
    ///
    /// # Errors
    /// Why not.
    pub async fn forget(&self, subjects: &[String]) -> Result<(), Failure> {
        for subjects in subjects.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            subjects.iter().for_each(|subject| {
                pipeline.cmd("DEL").arg(self.key(subject)).ignore();
            });
            self.query::<()>(&pipeline).await?;
        }
        Ok(())
    }

    /// Which of these ratings are held otherwise; what is not held is no matter.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn wrong_subjects(&self, rated: &[Rated]) -> Result<Vec<String>, Failure> {
        let mut pipeline = redis::pipe();
        rated.iter().for_each(|rated| {
            pipeline.cmd("GET").arg(self.key(&rated.subject));
        });
        let held = self.each(&mut pipeline).await?;
        let wrong = |(rated, held): &(&Rated, Option<Answer>)| {
            let text: Vec<u8> = match held {
                Some(Answer::Nil) => return false,
                Some(Answer::BulkString(text)) => text.clone(),
                _ => return true,
            };
            let Ok(held) = serde_json::from_slice::<Value>(&text) else { return true };
            held.get("histogram") != rated.rating.json().get("histogram")
        };
        let compared = rated.iter().zip(held).filter(wrong);
        Ok(compared.map(|(rated, _)| rated.subject.clone()).collect())
    }

    fn refusal(&self, subject: &str) -> Refusal {
        Refusal {
            subject: subject.to_owned(),
            document: format!("{} in Redis at {}", self.key(subject), self.address),
            why:
                "the key holds no text (WRONGTYPE): rename or delete it, or set RATINGS_CACHE_PREFIX to one of our own"
                    .into(),
        }
    }

    /// The answer to each command; none where its key holds something of another type.
    async fn each(&self, pipeline: &mut Pipeline) -> Result<Vec<Option<Answer>>, Failure> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let answers: Vec<Answer> = self.query(pipeline.ignore_errors()).await?;
        let answer = |answer: Answer| match answer {
            Answer::ServerError(error) if error.code() == WRONG_TYPE => Ok(None),
            Answer::ServerError(error) => Err(self.judge(error.into())),
            answer => Ok(Some(answer)),
        };
        answers.into_iter().map(answer).collect()
    }

    /// By the code that the server's answer begins with; an error without one is no answer.
    fn judge(&self, error: RedisError) -> Failure {
        let own = error.code().map(str::to_owned);
        // Of a pipeline each command has its own; the first speaks for all.
        let first = |error: RedisError| error.into_server_errors()?.first().map(|(_, error)| error.code().to_owned());
        match own.or_else(|| first(error)).as_deref() {
            None => Failure::unavailable(format!("no answer from Redis at {}: check REDIS_URL", self.address)),
            Some(code @ ("LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN" | "OOM")) => {
                Failure::unavailable(format!("Redis at {} asks to wait ({code})", self.address))
            }
            Some(code) => Failure::misconfigured(format!(
                "Redis at {} refuses the ratings ({code}): this user needs EVAL, GET, SET and DEL on the keys of RATINGS_CACHE_PREFIX, on one server that takes writes",
                self.address
            )),
        }
    }

    fn key(&self, subject: &str) -> String {
        format!("{}{subject}:rating", self.prefix)
    }

    async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Failure> {
        let failed = |error: RedisError| self.judge(error);
        let connection = self.connection.get_or_try_init(|| redis_connection(&self.client)).await.map_err(failed)?;
        pipeline.query_async(&mut connection.clone()).await.map_err(failed)
    }
}

fn text(seq: i64, rating: &Rating) -> String {
    let mut text = rating.json();
    if let Some(members) = text.as_object_mut() {
        members.insert("seq".to_owned(), seq.into());
    }
    text.to_string()
}
