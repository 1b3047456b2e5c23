//! `millrace publish`: sends synthetic events and reports how many, and what the stores must hold afterwards.
//!
//! It waits for every acknowledgement. It guarantees the order of the events of one key, across retries, and that a
//! message which did not arrive is a failure.

mod publisher;

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use serde::Serialize;

use super::{CommandFailure, print_json};
use crate::config::{Config, Override};
use crate::synthetic::{Counts, GeneratorOptions, SyntheticRecord};
use crate::systems::SYSTEMS;
use crate::systems::definition::{Definition, Generator};
pub(super) use publisher::{DELIVERY, Publisher, producer, set_delivery};

/// `millrace publish`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace publish --count 10000 --update-ratio 0.2 --users 500
  millrace publish --system reviews --count 2000 --seed 7")]
pub struct PublishArgs {
    /// Transactions to create; with --system users, users, memberships and sessions; with --system reviews, reviews; with --system reactions, subjects of the events
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub count: u64,
    /// The user of all transactions
    #[arg(long, default_value = "test_user_123", value_name = "USER_ID", conflicts_with = "users")]
    pub user_id: String,
    /// This many users in place of the one: user_000001 and so on; with --system reviews, this many creators [default there: 100]
    #[arg(long, value_name = "N")]
    pub users: Option<u32>,
    /// The brokers [default: from the configuration]
    #[arg(long, value_name = "SERVERS")]
    pub kafka_servers: Option<String>,
    /// Updates, as a share of the creates
    #[arg(long, default_value_t = 0.1, value_name = "RATIO")]
    pub update_ratio: f64,
    /// Deletes, as a share of the creates; with --system users at most 0.8, as sessions are not deleted
    #[arg(long, default_value_t = 0.0, value_name = "RATIO")]
    pub delete_ratio: f64,
    /// Extra updates that are sent after a newer event of the same document, as a fraction of --count (0.1 is 10 %)
    #[arg(long, default_value_t = 0.0, value_name = "RATIO")]
    pub late_ratio: f64,
    /// The share of the messages that is sent twice
    #[arg(long, default_value_t = 0.0, value_name = "RATIO")]
    pub duplicate_ratio: f64,
    /// More messages that cannot be indexed, as a share of the creates
    #[arg(long, default_value_t = 0.0, value_name = "RATIO")]
    pub malformed_ratio: f64,
    /// More messages that have no payload, as a share of the creates
    #[arg(long, default_value_t = 0.0, value_name = "RATIO")]
    pub null_ratio: f64,
    /// The same seed and --until give the same messages [default: a random one]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// No event is later than this [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<DateTime<Utc>>,
    /// The system whose events are sent
    #[arg(long, default_value = "transactions", value_name = "SYSTEM")]
    pub system: String,
    /// The topic [default: the system's]
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Partitions of the topic, when it is missing and has to be created
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
}

impl PublishArgs {
    /// What the arguments set of the configuration.
    pub fn overrides(&self) -> impl Iterator<Item = Override> {
        let servers = ("kafka.bootstrap_servers", "--kafka-servers", &self.kafka_servers);
        // For any system: the setting's check is that of every topic.
        let topic = ("transactions.topic", "--topic", &self.topic);
        [servers, topic]
            .into_iter()
            .filter_map(|(key, flag, value)| Some(Override { key, flag, value: value.clone()? }))
    }

    fn options(&self) -> Result<GeneratorOptions, CommandFailure> {
        let now = Utc::now();
        let until = self.until.unwrap_or(now);
        if until > now {
            return Err(CommandFailure::usage("--until is in the future: events have happened"));
        }
        Ok(GeneratorOptions {
            count: self.count,
            user_id: self.user_id.clone(),
            users: self.users,
            update_ratio: self.update_ratio,
            delete_ratio: self.delete_ratio,
            late_ratio: self.late_ratio,
            malformed_ratio: self.malformed_ratio,
            null_ratio: self.null_ratio,
            duplicate_ratio: self.duplicate_ratio,
            // Small enough for every reader of JSON.
            seed: self.seed.unwrap_or_else(|| rand::random::<u32>().into()),
            until,
        })
    }
}

/// What is printed in the end.
#[derive(Clone, Debug, Serialize)]
struct PublishReport {
    seed: u64,
    until: String,
    topic: String,
    creates: u64,
    updates: u64,
    deletes: u64,
    late: u64,
    malformed: u64,
    nulls: u64,
    duplicates: u64,
    records: u64,
    /// Living documents to expect.
    documents: u64,
    seconds: f64,
    records_per_second: u64,
}

/// The system whose events are made, and what makes them.
fn find_generator(name: &str) -> Result<(&'static Definition, Generator), CommandFailure> {
    let of = |system: &'static Definition| Some((system, system.generator?));
    SYSTEMS.iter().filter(|system| system.name == name).find_map(of).ok_or_else(|| {
        let known: Vec<&str> = SYSTEMS.iter().filter_map(of).map(|(system, _)| system.name).collect();
        let known = known.join(", ");
        CommandFailure::usage(format!("--system {name}: no events are made for it; there are {known}"))
    })
}

/// Sends the events and prints the report.
///
/// # Errors
/// Brokers that cannot be reached, a topic that cannot be created, messages that did not arrive.
pub fn run(args: &PublishArgs, config: &Config) -> Result<(), CommandFailure> {
    let options = args.options()?;
    let counts = options.counts()?;
    let (system, generator) = find_generator(&args.system)?;
    let messages = generator(&options)?;
    let known = system.topics(config);
    let topics = match &args.topic {
        Some(topic) => vec![topic.as_str()],
        None => known.iter().map(String::as_str).collect(),
    };
    let mut publisher = Publisher::connect_to(config, topics.clone())?;
    publisher.ensure_topics(args.partitions, config.kafka.topic_replication)?;
    let start = Instant::now();
    for SyntheticRecord { event, key, payload } in messages {
        match topics.iter().find(|topic| event.is_some_and(|event| topic.ends_with(event))) {
            Some(topic) => publisher.put_to(topic, &key, payload.as_deref())?,
            None => publisher.put(&key, payload.as_deref())?,
        }
    }
    publisher.finish(counts.records())?;
    print_json(&report(&options, counts, &topics.join(", "), start.elapsed()))
}

fn report(options: &GeneratorOptions, counts: Counts, topic: &str, time: Duration) -> PublishReport {
    let seconds = time.as_secs_f64();
    PublishReport {
        seed: options.seed,
        until: options.until.to_rfc3339_opts(SecondsFormat::Micros, true),
        topic: topic.to_owned(),
        creates: counts.creates,
        updates: counts.updates,
        deletes: counts.deletes,
        late: counts.late,
        malformed: counts.malformed,
        nulls: counts.nulls,
        duplicates: counts.duplicates,
        records: counts.records(),
        documents: counts.documents(),
        seconds: (seconds * 1000.0).round() / 1000.0,
        records_per_second: (counts.records() as f64 / seconds.max(0.001)).round() as u64,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::cli::CommandExit;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PublishArgs,
    }

    #[test]
    fn everything_goes_to_the_topic_of_the_system_or_the_one_asked_for() {
        let cluster = MockCluster::new(1).unwrap();
        let servers = cluster.bootstrap_servers();
        let config = Config::from_variables([("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers)]).unwrap();
        let reader: BaseConsumer = config.kafka.client_config().create().unwrap();
        for (system, topic, words) in [
            ("users", "clerk-user-events", ["--null-ratio", "0.1"]),
            ("reviews", "review-events", ["--malformed-ratio", "0.1"]),
            ("reviews", "others", ["--topic", "others"]),
        ] {
            cluster.create_topic(topic, 1, 1).unwrap();
            let line =
                ["publish", "--count", "50", "--update-ratio", "0.1", "--system", system].into_iter().chain(words);
            let args = Line::parse_from(line).args;
            run(&args, &config).unwrap();
            let (_, end) = reader.fetch_watermarks(topic, 0, Duration::from_secs(10)).unwrap();
            assert_eq!(end, if topic == "others" { 55 } else { 60 }, "{topic}");
        }
    }

    #[test]
    fn each_system_has_its_topic_and_its_events() {
        let config = Config::from_variables([]).unwrap();
        let options = GeneratorOptions { count: 1, update_ratio: 0.0, ..GeneratorOptions::new(1, Utc::now()) };
        for (name, topic, sent) in [
            ("transactions", "transactions", "\"transaction.created\""),
            ("users", "clerk-user-events", "\"user.created\""),
            ("reviews", "review-events", "\"review.created\""),
            ("ratings", "review-events", "\"review.created\""),
        ] {
            let (system, generator) = find_generator(name).unwrap();
            assert_eq!(system.topics(&config), [topic]);
            let payloads: Vec<_> = generator(&options).unwrap().map(|record| record.payload.unwrap()).collect();
            assert!(payloads.len() == 1 && payloads[0].contains(sent), "{payloads:?}");
        }
        let unknown = ["reaction", "transactions-audit"].map(|name| find_generator(name).unwrap_err());
        assert!(
            unknown
                .iter()
                .all(|error| error.code == CommandExit::Usage && error.to_string().ends_with("users, ratings, reviews"))
        );
        let too_many = GeneratorOptions { delete_ratio: 0.9, ..options };
        assert!(find_generator("users").unwrap().1(&too_many).is_err());
    }
}
