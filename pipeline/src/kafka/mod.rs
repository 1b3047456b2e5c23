//! Kafka: the feed that fills the engine, and the producer that takes its dead letters.

mod ask;
mod assignment;
mod call;
mod commit;
mod consumer;
mod context;
mod dead_letters;
mod ends;
mod fetched_message;
mod follow;
mod gaps;
mod inspect;
mod lag;
mod losses;
mod membership;
mod monitor;
mod offer;
mod offsets;
mod oversize;
mod poll;
mod rate_limiter;
mod read;
mod rebalance;
mod rights;
mod stalls;
mod starts;
mod state;
mod steady;
mod stuck;
mod take;
mod topics;

pub use consumer::{FeedError, FeedOptions, stop_limit};
pub use dead_letters::{KafkaDeadLetters, copy_headers, letters_client};
pub use follow::{FollowFrom, follow};
pub use inspect::{GroupPosition, Inspection, Topic, inspect, standings, topic_names};
pub use poll::KafkaFeed;
pub use rate_limiter::{RateLimit, RateLimiter};
pub use read::{PartitionReader, Ranges, ranges, read_ranges, read_topic};
pub use state::{StateError, StateTopic};
pub use topics::{TopicError, ensure_dead_letter_topics, fit_batch, fit_largest_message, letter_bytes};

use std::time::Duration;

/// How long a request to the brokers may take before it is tried again or reported.
const REQUEST: Duration = Duration::from_secs(10);
/// The session of clients that join no group; short, so that whatever `max.poll.interval.ms` a user set is allowed beside it.
const NO_SESSION: &str = "6000";
