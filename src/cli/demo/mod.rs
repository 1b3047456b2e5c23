//! `millrace demo`: the whole main job with nothing installed.
//!
//! A broker inside this process speaks Kafka's protocol, the consumers are the ones that `run` runs, and a SQLite file is
//! index and audit. It guarantees that "ok" was checked: against the publisher's own account, document by document.
//!
//! The broker drops what exceeds 5 MiB a partition, as stored; the demo's events, compressed, are far below. It cannot create
//! topics on request, so dead-letter topics are looked for before they are created.

mod check;
mod show;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::Utc;
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pipeline::Tally;
use pipeline::dead_letters::topic_of;
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::members::{Ended, all, consumers, health};
use super::publish::Publisher;
use super::run::stop_on_signal;
use super::{CommandFailure, print_line as print};
use crate::config::{Config, Database, IndexStore, LogFormat};
use crate::run::consumer::RunOptions;
use crate::run::http::HttpServer;
use crate::run::telemetry;
use crate::stores::sqlite::Sqlite;
use crate::synthetic::GeneratorOptions;
use crate::systems::transactions;

const PARTITIONS: i32 = 6;
const CREATES: u64 = 14_000;
/// Nothing in this process takes this long; a broker or a disk that does has a problem.
const STALL: Duration = Duration::from_secs(60);

/// `millrace demo`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace demo
  millrace demo --keep --file demo.db")]
pub struct DemoArgs {
    /// Go on serving afterwards, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// The database file to make [default: a new one in the temporary folder]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The same seed gives the same transactions [default: a random one]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// 20,000 messages: creates, updates, deletes, events that come late, messages sent twice, and some that are no events.
fn events(seed: u64) -> GeneratorOptions {
    GeneratorOptions {
        count: CREATES,
        users: Some(500),
        update_ratio: 0.25,
        delete_ratio: 0.1,
        late_ratio: 0.05,
        malformed_ratio: 20.0 / CREATES as f64,
        duplicate_ratio: 380.0 / 19_620.0,
        ..GeneratorOptions::new(seed, Utc::now())
    }
}

/// What the demo needs of the configuration; the environment is not asked, so that nothing in it can be in the way.
fn config(brokers: String, file: &std::path::Path, log_level: Option<&str>) -> Result<Config, CommandFailure> {
    let level = log_level.unwrap_or("error");
    let variables = [
        ("KAFKA_BOOTSTRAP_SERVERS", brokers.as_str()),
        ("CONSUMER_BATCH_SIZE", "500"),
        ("CONSUMER_BATCH_TIMEOUT", "0.2"),
        ("REDIS_URL", "none"),
        ("HTTP_PORT", "0"),
        ("LOG_LEVEL", level),
    ];
    let mut config = Config::from_variables(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))?;
    config.log.format = config.log.format.or(Some(LogFormat::Pretty));
    config.transactions.store = IndexStore::Sqlite(file.to_owned());
    config.transactions.audit = true;
    config.database = Some(Database::Sqlite { path: file.to_owned() });
    Ok(config)
}

/// The file to make: one that is not there yet.
fn new_file(args: &DemoArgs) -> Result<PathBuf, CommandFailure> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => {
            let name = format!("millrace-demo-{}-{}.db", Utc::now().format("%Y%m%d-%H%M%S"), std::process::id());
            std::env::temp_dir().join(name)
        }
    };
    if file.exists() {
        return Err(CommandFailure::usage(format!(
            "--file {}: it exists, and the demo makes a new one",
            file.display()
        )));
    }
    Ok(file)
}

/// Runs the demo.
///
/// # Errors
/// Whatever went wrong; findings when the result is not what the publisher's own account says.
pub fn run(args: &DemoArgs, log_level: Option<&str>) -> Result<(), CommandFailure> {
    let file = new_file(args)?;
    let cluster = MockCluster::new(1).map_err(broker_failure)?;
    let config = config(cluster.bootstrap_servers(), &file, log_level)?;
    create_topics(&cluster, &config).map_err(broker_failure)?;
    telemetry::init(&config.log)?;
    print(&format!("Broker   {} (inside this process)", config.kafka.bootstrap_servers))?;
    print(&format!("Store    {} (SQLite)", file.display()))?;
    let options = events(args.seed.unwrap_or_else(|| rand::random::<u32>().into()));
    publish(&config, &options)?;
    super::block_on(consume(&config, &options, args.keep))?;
    // The broker lives until here.
    drop(cluster);
    Ok(())
}

fn broker_failure(error: KafkaError) -> CommandFailure {
    CommandFailure::internal(format!("the demo's broker failed: {error}"))
}

fn create_topics(cluster: &MockCluster<'_, DefaultProducerContext>, config: &Config) -> Result<(), KafkaError> {
    for topic in transactions::DEFINITION.topics(config) {
        cluster.create_topic(&topic, PARTITIONS, 1)?;
        cluster.create_topic(&topic_of(&topic), 1, 1)?;
    }
    cluster.create_topic(&config.kafka.state_topic, 1, 1)
}

fn publish(config: &Config, options: &GeneratorOptions) -> Result<(), CommandFailure> {
    let counts = options.counts()?;
    let begun = Instant::now();
    let topic = config.topic(transactions::NAME);
    let publisher = Publisher::connect(config, &topic)?;
    options.events()?.try_for_each(|event| publisher.send(&event))?;
    publisher.finish(counts.records())?;
    print(&format!(
        "Events   {} in {:.1} s: {} creates, {} updates, {} deletes, {} late, {} malformed, {} of them sent twice\n",
        counts.records(),
        begun.elapsed().as_secs_f64(),
        counts.creates,
        counts.updates,
        counts.deletes,
        counts.late,
        counts.malformed,
        counts.duplicates,
    ))
}

async fn consume(config: &Config, options: &GeneratorOptions, keep: bool) -> Result<(), CommandFailure> {
    let records = options.counts()?.records();
    let run = RunOptions { once: !keep, stop: CancellationToken::new() };
    let consumers = consumers(&[transactions::NAME.to_owned()], config, &run)?;
    let health = health(&consumers);
    let tallies: Vec<_> = consumers.iter().map(|member| (member.name(), member.current().now().tally)).collect();
    stop_on_signal(&consumers, config, &run.stop)?;
    let stop = run.stop.clone();
    let running = tokio::spawn(async move { all(consumers, false, &stop).await });
    let took = progress(&tallies, records, &run.stop).await?;
    if !keep {
        check_end(running.await)?;
        return report(config, options, &tallies, &took).await;
    }
    report(config, options, &tallies, &took).await?;
    let server = HttpServer::bind(&config.http).await?;
    print(&format!("\nServing  http://{}/health until Ctrl-C. More events:", server.addr()))?;
    print(&format!("  millrace publish --kafka-servers {}", config.kafka.bootstrap_servers))?;
    let serving = run.stop.child_token();
    let metrics = telemetry::metrics()?;
    let http = tokio::spawn(server.serve(health, metrics, serving));
    let answer = check_end(running.await);
    http.await.ok();
    answer
}

fn check_end(ended: Result<Ended, JoinError>) -> Result<(), CommandFailure> {
    let (_, failed) = ended.map_err(|error| CommandFailure::internal(error.to_string()))?;
    failed.map_or(Ok(()), Err)
}

/// Shows how far the systems are; returns how long each took, from its first outcome to its last.
async fn progress(
    tallies: &[(&'static str, watch::Receiver<Tally>)],
    records: u64,
    stop: &CancellationToken,
) -> Result<Vec<Duration>, CommandFailure> {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{prefix:20} [{bar:40}] {human_pos:>7}/{human_len}")
        .map_err(|error| CommandFailure::internal(error.to_string()))?;
    let shown: Vec<ProgressBar> = tallies
        .iter()
        .map(|(name, _)| bars.add(ProgressBar::new(records).with_style(style.clone()).with_prefix(*name)))
        .collect();
    let mut begun = vec![None; tallies.len()];
    let mut took = vec![None; tallies.len()];
    let (mut moved, mut seen) = (Instant::now(), 0);
    while took.iter().any(Option::is_none) {
        let mut sum = 0;
        for (((_, tally), bar), (begun, took)) in tallies.iter().zip(&shown).zip(begun.iter_mut().zip(&mut took)) {
            let done = tally.borrow().total();
            sum += done;
            bar.set_position(done);
            if done == 0 {
                *begun = Some(Instant::now());
            }
            if done >= records && took.is_none() {
                *took = Some(begun.map_or(Duration::ZERO, |begun: Instant| begun.elapsed()));
                bar.finish();
            }
        }
        if sum > seen {
            (moved, seen) = (Instant::now(), sum);
        }
        if moved.elapsed() > STALL {
            return Err(CommandFailure::again(format!(
                "nothing moved for {} s; run with --log-level info",
                STALL.as_secs()
            )));
        }
        if stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(20))).await.is_none() && sum < records {
            return Err(CommandFailure::again("stopped before the end"));
        }
    }
    bars.clear().ok();
    Ok(took.into_iter().flatten().collect())
}

/// Prints outcomes, the check and three searches.
async fn report(
    config: &Config,
    options: &GeneratorOptions,
    tallies: &[(&'static str, watch::Receiver<Tally>)],
    took: &[Duration],
) -> Result<(), CommandFailure> {
    let IndexStore::Sqlite(path) = &config.transactions.store else { return Ok(()) };
    let sqlite = Sqlite::new(path);
    let outcomes: Vec<(&'static str, Tally)> = tallies.iter().map(|(name, tally)| (*name, *tally.borrow())).collect();
    show::outcomes(&outcomes, took)?;
    let findings = check::check(config, options, &sqlite, &outcomes).await?;
    show::searches(&sqlite).await?;
    show::ways_on(path)?;
    match findings {
        0 => Ok(()),
        count => Err(CommandFailure::findings(format!(
            "{count} findings: the store is not what the publisher's account says"
        ))),
    }
}
