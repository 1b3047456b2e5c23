//! Follow-ups: what has to be done for a subject after records were stored, such as its rating.
//!
//! One that is refused is the fault of another's document, and never of the record: its subject goes on a durable list before
//! the record's verdict, and is tried again until it succeeds. One that is unavailable is the caller's to wait for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use pipeline::sink::{Failure, FailureKind, Why};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use uuid::Uuid;

/// Subjects that are tried again at once.
const AT_ONCE: usize = 500;
/// How often the metric of what stands is renewed: one that nobody renews goes away.
const RENEWED: Duration = Duration::from_secs(5);
/// Documents that a line of the log names.
const NAMED: usize = 5;

/// A follow-up that is refused: the fault of a document, until somebody mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub subject: String,
    /// The document that is wrong, and where it is.
    pub document: String,
    /// What is wrong with it, and what to do.
    pub why: Why,
}

/// A subject on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub refusal: Refusal,
    /// Another one each time that the subject is put on the list.
    pub token: String,
}

/// Does what follows.
#[async_trait]
pub trait FollowUp: Send + Sync + 'static {
    /// Does it for these subjects, however often it was done before; gives those that are refused.
    ///
    /// # Errors
    /// Why nothing is known of some of them.
    async fn attempt(&self, subjects: &[String]) -> Result<Vec<Refusal>, Failure>;
}

/// Keeps the subjects whose follow-up was refused, in the store of what they follow from.
#[async_trait]
pub trait Refusals: Send + Sync + 'static {
    /// Puts subjects on the list, or renews their entries.
    ///
    /// # Errors
    /// Why not.
    async fn put(&self, listed: &[Listed]) -> Result<(), Failure>;

    /// Takes entries off the list that are still as they were seen.
    ///
    /// # Errors
    /// Why not.
    async fn remove(&self, seen: &[Listed]) -> Result<(), Failure>;

    /// The whole list.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn all(&self) -> Result<Vec<Listed>, Failure>;
}

/// The follow-ups of a system, with the list of those that were refused.
pub struct FollowUps {
    system: &'static str,
    work: Arc<dyn FollowUp>,
    refusals: Arc<dyn Refusals>,
    /// The list as this process knows it, by subject.
    known: Mutex<HashMap<String, Listed>>,
}

impl FollowUps {
    pub fn new(system: &'static str, work: Arc<dyn FollowUp>, refusals: Arc<dyn Refusals>) -> Self {
        Self { system, work, refusals, known: Mutex::default() }
    }

    /// Does what follows for these subjects; those that are refused are on the list when it returns.
    ///
    /// # Errors
    /// Why it has to be done once more. It is never a failure that a record could be blamed for.
    pub async fn run(&self, subjects: &[String]) -> Result<(), Failure> {
        // What is put on the list from now on may be newer than what is done here.
        let seen: Vec<Listed> = {
            let known = self.lock_known();
            subjects.iter().filter_map(|subject| known.get(subject).cloned()).collect()
        };
        self.attempt(subjects, seen).await.map_err(nobodys_fault)
    }

    async fn attempt(&self, subjects: &[String], seen: Vec<Listed>) -> Result<(), Failure> {
        if subjects.is_empty() {
            return Ok(());
        }
        let refused = self.work.attempt(subjects).await?;
        let again: HashSet<&str> = refused.iter().map(|refusal| refusal.subject.as_str()).collect();
        let done: Vec<Listed> =
            seen.into_iter().filter(|listed| !again.contains(listed.refusal.subject.as_str())).collect();
        if !done.is_empty() {
            self.refusals.remove(&done).await?;
            let mut known = self.lock_known();
            for listed in &done {
                if known.get(&listed.refusal.subject).is_some_and(|now| now.token == listed.token) {
                    known.remove(&listed.refusal.subject);
                }
            }
            let (follow_ups, subjects) = (done.len(), documents(&done, |refusal| &refusal.subject));
            tracing::info!(system = self.system, follow_ups, subjects, "Refused follow-ups are done");
        }
        self.note(refused).await
    }

    /// Puts refusals on the list, and says so of those that were not there.
    async fn note(&self, refused: Vec<Refusal>) -> Result<(), Failure> {
        if refused.is_empty() {
            return Ok(());
        }
        metrics::counter!("millrace_follow_ups_refused_total", "system" => self.system).increment(refused.len() as u64);
        let token = Uuid::new_v4().to_string();
        let mut listed: Vec<Listed> = Vec::with_capacity(refused.len());
        let mut subjects = HashSet::new();
        for refusal in refused {
            // A subject may be refused in two places; it is one entry.
            if subjects.insert(refusal.subject.clone()) {
                listed.push(Listed { refusal, token: token.clone() });
            }
        }
        self.refusals.put(&listed).await?;
        let mut new = Vec::new();
        {
            let mut known = self.lock_known();
            for listed in listed {
                if known.insert(listed.refusal.subject.clone(), listed.clone()).is_none() {
                    new.push(listed);
                }
            }
        }
        if let Some(first) = new.first() {
            tracing::warn!(
                system = self.system,
                follow_ups = new.len(),
                documents = documents(&new, |refusal| &refusal.document),
                why = %first.refusal.why,
                "Follow-up refused; the records are stored, and it is tried again"
            );
        }
        Ok(())
    }

    /// Tries everything on the list again; returns how much is left.
    ///
    /// # Errors
    /// Why the list cannot be read, or something on it not be tried.
    pub async fn retry(&self) -> Result<usize, Failure> {
        let listed = self.list().await?;
        for some in listed.chunks(AT_ONCE) {
            let subjects: Vec<String> = some.iter().map(|listed| listed.refusal.subject.clone()).collect();
            self.attempt(&subjects, some.to_vec()).await?;
        }
        Ok(self.lock_known().len())
    }

    /// What is on the list.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn list(&self) -> Result<Vec<Listed>, Failure> {
        let listed = self.refusals.all().await?;
        *self.lock_known() = listed.iter().map(|one| (one.refusal.subject.clone(), one.clone())).collect();
        Ok(listed)
    }

    /// What is on the list, as far as this process knows.
    pub fn standing(&self) -> Vec<Refusal> {
        let mut standing: Vec<Refusal> = self.lock_known().values().map(|listed| listed.refusal.clone()).collect();
        standing.sort_by(|one, other| one.subject.cmp(&other.subject));
        standing
    }

    /// Tries what is on the list again, now and each time that so much time is over, for ever.
    pub async fn keep_trying(&self, every: Duration) {
        let mut due = interval_at(Instant::now(), every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renew = interval_at(Instant::now() + RENEWED, RENEWED);
        loop {
            tokio::select! {
                _ = due.tick() => self.try_once().await,
                _ = renew.tick() => {}
            }
            let standing = self.lock_known().len();
            metrics::gauge!("millrace_follow_ups_refused", "system" => self.system).set(standing as f64);
        }
    }

    async fn try_once(&self) {
        match self.retry().await {
            Ok(0) => {}
            Ok(follow_ups) => {
                let standing: Vec<Listed> = self.lock_known().values().take(NAMED).cloned().collect();
                let why = standing.first().map(|listed| listed.refusal.why.clone()).unwrap_or_default();
                tracing::warn!(
                    system = self.system,
                    follow_ups,
                    documents = documents(&standing, |refusal| &refusal.document),
                    %why,
                    "Follow-ups are refused still"
                );
            }
            // Where it lasts the records cannot be written either, and that is said.
            Err(failure) => {
                tracing::debug!(system = self.system, why = %failure.why, "Refused follow-ups could not be tried again");
            }
        }
    }

    fn lock_known(&self) -> MutexGuard<'_, HashMap<String, Listed>> {
        self.known.lock()
    }
}

/// The first of them.
fn documents(listed: &[Listed], name: impl Fn(&Refusal) -> &String) -> String {
    let mut names: Vec<&str> = listed.iter().take(NAMED).map(|listed| name(&listed.refusal).as_str()).collect();
    if listed.len() > NAMED {
        names.push("…");
    }
    names.join(", ")
}

/// A failure of a follow-up as it is told of a record: one that waits, for the record is in place.
pub(super) fn nobodys_fault(failure: Failure) -> Failure {
    let kind = match failure.kind {
        FailureKind::Refused | FailureKind::TurnedAway => FailureKind::Misconfigured,
        FailureKind::Broken => FailureKind::Unavailable,
        kind => kind,
    };
    Failure::new(kind, failure.why)
}

#[cfg(test)]
mod tests;
