//! What a backfill tells the state topic of itself, every few seconds and at its end.
//!
//! It never holds the backfill up: without Kafka a backfill goes on, and `millrace jobs` shows what was told last.

use std::sync::Arc;
use std::time::Duration;

use pipeline::kafka::StateTopic;
use pipeline::state::now;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{BackfillError, BackfillProgress, BackfillReport, Checkpoint, SourcePart, StopReason, TextFormat};
use crate::config::Config;
use crate::maintenance::jobs::{self, BEAT, Job, JobSource, JobState};
use crate::maintenance::throttle::Throttle;
use crate::run::blocking::blocking;

/// Sources that an entry names, so that it fits into a message.
const NAMED: usize = 200;
/// How long it is waited for a connection to a broker.
const CONNECT: Duration = Duration::from_secs(2);

/// Tells the state topic of a backfill.
pub struct JobReporter {
    id: String,
    job: Job,
    state: StateTopic,
    servers: String,
    replication: Option<i32>,
    progress: Arc<BackfillProgress>,
    throttle: Arc<Throttle>,
    /// Records that were finished at the sign of life before, and when that was.
    before: (u64, Instant),
    /// Whether it was said that nothing can be told.
    said: bool,
}

impl JobReporter {
    /// Of a backfill that begins now, with what its lines are, and the time of its documents where they are bare.
    pub fn new(
        parts: &[Box<dyn SourcePart>],
        checkpoint: &Checkpoint,
        (format, as_of): (TextFormat, Option<String>),
        config: &Config,
        (progress, throttle): (Arc<BackfillProgress>, Arc<Throttle>),
    ) -> Self {
        let source = |part: &dyn SourcePart| JobSource {
            name: part.name().to_owned(),
            identity: part.identity().clone(),
            lines: super::behind(part, checkpoint),
            finished: false,
            failed: None,
        };
        let job = Job {
            command: "backfill".to_owned(),
            system: checkpoint.purpose.system.clone(),
            target: checkpoint.purpose.target.clone(),
            choice: checkpoint.purpose.choice.clone(),
            format: format.name().to_owned(),
            as_of,
            host: jobs::host(),
            process: std::process::id(),
            begun_at: now(),
            seen_at: now(),
            state: JobState::Running,
            why: None,
            sources: parts.iter().take(NAMED).map(|part| source(&**part)).collect(),
            more_sources: parts.len().saturating_sub(NAMED),
            lines: parts.iter().map(|part| super::behind(&**part, checkpoint)).sum(),
            read: 0,
            size: checkpoint.size_left(parts),
            rate: 0.0,
            versions: checkpoint.versions,
        };
        Self {
            id: checkpoint.job.clone(),
            job,
            state: StateTopic::new(&config.kafka.client_config(), &config.kafka.state_topic),
            servers: config.kafka.bootstrap_servers.clone(),
            replication: config.kafka.topic_replication.map(i32::from),
            progress,
            throttle,
            before: (0, Instant::now()),
            said: false,
        }
    }

    /// Gives signs of life until it is stopped.
    pub async fn beat(mut self, stop: CancellationToken) -> Self {
        loop {
            self.look();
            self.tell().await;
            tokio::select! {
                () = stop.cancelled() => return self,
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }

    /// Tells how it ended.
    pub async fn end(mut self, ended: &Result<BackfillReport, BackfillError>) {
        self.look();
        (self.job.state, self.job.why) = match ended {
            Ok(report) => end_of(report),
            Err(error) => (JobState::Failed, Some(error.to_string())),
        };
        self.tell().await;
    }

    fn look(&mut self) {
        let standing = self.progress.status.standing();
        let whys: Vec<String> =
            standing.into_iter().map(|reason| format!("{}: {}", reason.source, reason.why)).collect();
        self.job.state = match () {
            () if self.throttle.is_paused() => JobState::Paused,
            () if whys.is_empty() => JobState::Running,
            () => JobState::Waiting,
        };
        self.job.why = (!whys.is_empty()).then(|| whys.join("; "));
        let finished = self.progress.tally.lock().total();
        let (known, at) = std::mem::replace(&mut self.before, (finished, Instant::now()));
        let took = at.elapsed().as_secs_f64();
        self.job.rate =
            if took > 0.0 { ((finished.saturating_sub(known)) as f64 / took * 10.0).round() / 10.0 } else { 0.0 };
        self.job.read = BackfillProgress::count(&self.progress.read);
        self.job.versions = *self.progress.versions.lock();
        let parts = self.progress.parts.lock();
        for (source, part) in self.job.sources.iter_mut().zip(parts.iter()) {
            (source.lines, source.finished) = (part.lines, part.finished);
            source.failed.clone_from(&part.failed);
        }
        if !parts.is_empty() {
            self.job.lines = parts.iter().map(|part| part.lines).sum();
        }
    }

    /// Writes the entry, if Kafka is there.
    async fn tell(&mut self) {
        self.job.seen_at = now();
        if let Err(why) = self.write().await
            && !std::mem::replace(&mut self.said, true)
        {
            tracing::warn!(why, job = self.id, "`millrace jobs` is not told of this backfill; it goes on all the same");
        }
    }

    async fn write(&self) -> Result<(), String> {
        // The client would look for its brokers for long.
        self.connect().await?;
        self.state.ensure(self.replication).await.map_err(|error| error.to_string())?;
        let entry = jobs::entry(&self.id, &self.job).map_err(|error| error.to_string())?;
        let state = self.state.clone();
        let write = move || state.write(&[entry]).map_err(|error| error.to_string());
        blocking(std::convert::identity::<String>, write).await
    }

    async fn connect(&self) -> Result<(), String> {
        for server in self.servers.split(',') {
            if let Ok(Ok(_)) = timeout(CONNECT, TcpStream::connect(server.trim())).await {
                return Ok(());
            }
        }
        Err(format!("none of {} answers", self.servers))
    }
}

fn end_of(report: &BackfillReport) -> (JobState, Option<String>) {
    let failed = report.parts.iter().find_map(|part| Some(format!("{}: {}", part.name, part.failed.as_ref()?)));
    match (&report.stopped, failed) {
        (Some(StopReason::Halted(why)), _) => (JobState::Failed, Some(why.clone())),
        (_, Some(why)) => (JobState::Failed, Some(why)),
        (Some(StopReason::Told), None) if report.parts.iter().any(|part| !part.finished) => (JobState::Stopped, None),
        _ if report.rejected > 0 => (JobState::Finished, Some(format!("{} lines are rejected", report.rejected))),
        _ => (JobState::Finished, None),
    }
}
