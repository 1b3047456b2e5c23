//! The throttle of work beside live traffic: a rate, a pause, and the lag of the live consumer, each of which can hold it up.
//!
//! It can be changed while the work goes on. What is not known about the lag holds up as well. What it waits for stands in the
//! status of the work.
//!
//! By hand, because the clocks of `governor` cannot be paused in a test, and its rate cannot be changed.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pipeline::Status;
use pipeline::engine::pacer::Pacer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The part of the status that says what is waited for.
const PART: &str = "throttle";

/// What is known of the lag of the live consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveLag {
    /// Nobody asks.
    Unwatched,
    /// Within its bounds.
    Within,
    /// Beyond one of them, in a sentence.
    Beyond(String),
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// What holds up the work.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    /// Records a second; none: as many as can be.
    rate: Option<NonZeroU32>,
    paused: bool,
    lag: LiveLag,
}

/// Holds up work; shared with whoever changes it.
#[derive(Debug)]
pub struct Throttle {
    setting: watch::Sender<Setting>,
    pacer: Mutex<Pacer>,
    status: Arc<Status>,
}

impl Throttle {
    pub fn new(rate: Option<NonZeroU32>, status: Arc<Status>) -> Self {
        let setting = watch::Sender::new(Setting { rate, paused: false, lag: LiveLag::Unwatched });
        Self { setting, pacer: Mutex::default(), status }
    }

    /// Sets the rate, in records a second; none: as many as can be.
    pub fn set_rate(&self, rate: Option<NonZeroU32>) {
        self.change(|setting| std::mem::replace(&mut setting.rate, rate) != rate);
    }

    pub fn rate(&self) -> Option<NonZeroU32> {
        self.setting.borrow().rate
    }

    /// Lets nothing pass until it is resumed.
    pub fn pause(&self) {
        self.change(|setting| !std::mem::replace(&mut setting.paused, true));
    }

    pub fn resume(&self) {
        self.change(|setting| std::mem::replace(&mut setting.paused, false));
    }

    pub fn is_paused(&self) -> bool {
        self.setting.borrow().paused
    }

    /// Says what is known of the live consumer's lag.
    pub fn set_lag(&self, lag: LiveLag) {
        self.change(|setting| std::mem::replace(&mut setting.lag, lag.clone()) != lag);
    }

    fn change(&self, change: impl FnOnce(&mut Setting) -> bool) {
        self.setting.send_if_modified(change);
    }

    /// Waits until so many records may pass. Dropped before, none of them count.
    pub async fn admit(&self, records: usize) {
        let mut changes = self.setting.subscribe();
        loop {
            let setting = changes.borrow_and_update().clone();
            if let Some(why) = setting.holds() {
                self.status.raise(PART, why);
                // The sender lives as long as this does.
                changes.changed().await.ok();
                continue;
            }
            self.status.clear(PART);
            let Some(rate) = setting.rate else { return self.pacer.lock().forget() };
            let due = Instant::from_std(self.pacer.lock().due(Instant::now().into_std()));
            tokio::select! {
                biased;
                // Of a changed rate, what was waited for so far is not taken off: it is a moment.
                changed = changes.changed() => {
                    changed.ok();
                    self.pacer.lock().forget();
                }
                () = sleep_until(due) => {
                    let takes = Duration::from_secs_f64(records as f64 / f64::from(rate.get()));
                    return self.pacer.lock().pass(takes, due.into_std());
                }
            }
        }
    }
}

impl Setting {
    /// Why nothing may pass.
    fn holds(&self) -> Option<String> {
        if self.paused {
            return Some("paused by hand".to_owned());
        }
        match &self.lag {
            LiveLag::Unwatched | LiveLag::Within => None,
            LiveLag::Beyond(why) => Some(format!("the live consumer comes first: {why}")),
            LiveLag::Unknown(why) => Some(format!("the lag of the live consumer is not known: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(rate: u32) -> Arc<Throttle> {
        Arc::new(Throttle::new(NonZeroU32::new(rate), Arc::default()))
    }

    async fn seconds(work: impl Future<Output = ()>) -> f64 {
        let begun = Instant::now();
        work.await;
        begun.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_holds_over_batches_and_what_was_not_used_is_not_saved_up() {
        let throttle = throttle(100);
        let ten = async {
            for _ in 0..10 {
                throttle.admit(50).await;
            }
        };
        let took = seconds(ten).await;
        assert!((took - 4.5).abs() < 0.01, "the last one has passed, and is not paid for yet: {took}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        throttle.admit(200).await;
        let took = seconds(throttle.admit(1)).await;
        assert!((took - 2.0).abs() < 0.01, "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_can_be_changed_while_it_is_waited_for() {
        let throttle = throttle(1);
        throttle.admit(3_600).await;
        let waiting = tokio::spawn({
            let throttle = throttle.clone();
            async move { seconds(throttle.admit(10)).await }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        throttle.set_rate(NonZeroU32::new(10));
        let took = waiting.await.unwrap();
        assert!((took - 5.0).abs() < 0.01, "{took}");
        throttle.set_rate(None);
        assert!(seconds(throttle.admit(1_000_000)).await < 0.01);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_and_a_lag_that_is_too_large_or_unknown_hold_it_up_and_say_so() {
        let throttle = throttle(1_000_000);
        let says = |part: &str| {
            let standing = throttle.status.standing();
            standing.iter().any(|reason| reason.source == PART && reason.why.contains(part))
        };
        throttle.pause();
        throttle.set_lag(LiveLag::Unknown("nobody answers".to_owned()));
        let mut waiting = tokio::spawn({
            let throttle = throttle.clone();
            async move { throttle.admit(1).await }
        });
        let patient = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(patient, &mut waiting).await.is_err());
        assert!(says("paused"));
        throttle.resume();
        assert!(tokio::time::timeout(patient, &mut waiting).await.is_err());
        assert!(says("not known: nobody answers"));
        throttle.set_lag(LiveLag::Beyond("9 records behind".to_owned()));
        assert!(tokio::time::timeout(patient, &mut waiting).await.is_err());
        assert!(says("9 records behind"));
        throttle.set_lag(LiveLag::Within);
        waiting.await.unwrap();
        assert!(throttle.status.standing().is_empty());
    }
}
