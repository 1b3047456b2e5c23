//! Latency: the program under live traffic, at shares of what it takes for ever, and beside it ready-made writes at the same rates.
//!
//! One process of the program is measured from the backlog on, so what it writes is verified once, for all its rows.

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::Utc;
use indicatif::ProgressBar;
use pipeline::Record;

use super::capacity::{CapacitySearch, TriedRate};
use super::latency::{Finishes, SentRecord, measure};
use super::latency_table::{BurstFigures, LatencyMeasured, LatencyRow};
use super::subjects::{BenchSubject, verify_all};
use super::traffic::{Flow, MeasuredWindow, Traffic};
use super::watched::WatchedProgram;
use super::workbench::Workbench;
use crate::cli::headway::{Headway, wall_micros};
use crate::cli::{CommandFailure, block_on};
use crate::config::{BatchSettings, Config};
use crate::synthetic::GeneratorOptions;

/// Shares of the capacity that are measured.
pub(super) const SHARES: [f64; 3] = [0.25, 0.5, 0.8];
/// What runs while there is no burst, and how much more a burst is.
const CALM: f64 = 0.25;
const BURST: f64 = 10.0;
/// The first of each flow does not count.
const WARM_UP: Duration = Duration::from_secs(1);
/// The least that a rate is tried for, in the times of a batch: fewer, and a lag that swings could be one that grows.
const SWINGS: u32 = 8;
/// A rate is given up when so many seconds of it wait.
const HOPELESS: f64 = 5.0;
/// How long it may take until the lag of a burst is gone.
const RECOVERY: Duration = Duration::from_secs(300);
/// Where the backlog is too small to tell a rate.
const SLOW: f64 = 500.0;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct LoadPlan {
    /// Records of the backlog.
    pub backlog: u64,
    pub rounds: u32,
    /// How long each load is measured; a rate of the search half of that.
    pub time: Duration,
    /// A burst in place of the three loads.
    pub burst: bool,
    /// Whether ready-made writes are measured, too.
    pub bare: bool,
    /// Of the live events.
    pub events: GeneratorOptions,
}

/// Measures; blocks the thread.
///
/// # Errors
/// A service that does not answer, or a program that does not go on.
pub(super) fn measure_loads(
    bench: &Workbench,
    plan: &LoadPlan,
    bar: &ProgressBar,
) -> Result<LatencyMeasured, CommandFailure> {
    bar.set_message("the backlog");
    let settings = block_on(bench.settings("live"))?;
    let config = bench.configure(&settings)?;
    let program = bench.watch(settings)?;
    let traffic = Traffic::new(&config, &bench.topic, plan.events.events()?, plan.backlog)?;
    let mut live = LiveLoads { bench, plan, bar, program, traffic, batch: config.batch };
    live.program.await_finished(plan.backlog)?;
    let backlog_rate = rate_of(&live.program.take_moves());
    let search = live.search(backlog_rate.unwrap_or(SLOW))?;
    let capacity = search.capacity();
    let capacity = capacity.ok_or_else(|| CommandFailure::again("the program keeps up with no rate that was tried"))?;
    let rows = live.rounds(capacity, &config)?;
    bar.set_message("verifying");
    let busy = live.program.stop()?;
    let verified = block_on(verify_all(bench.system, &config))?;
    Ok(LatencyMeasured::new(capacity, backlog_rate, search.into_tried(), rows, verified, busy.as_ref()))
}

/// Records a second between the first move and the last; `None` where there are no two.
fn rate_of(moves: &[Headway]) -> Option<f64> {
    let (first, last) = (moves.first()?, moves.last()?);
    let mut next = first.next.clone();
    let before: i64 = next.values().sum();
    moves.iter().for_each(|headway| next.extend(&headway.next));
    let records = next.values().sum::<i64>() - before;
    let micros = last.at.checked_sub(first.at).filter(|micros| *micros > 0)?;
    (records > 0).then(|| records as f64 / micros as f64 * 1e6)
}

struct LiveLoads<'a> {
    bench: &'a Workbench,
    plan: &'a LoadPlan,
    bar: &'a ProgressBar,
    program: WatchedProgram,
    traffic: Traffic,
    batch: BatchSettings,
}

impl LiveLoads<'_> {
    fn search(&mut self, start: f64) -> Result<CapacitySearch, CommandFailure> {
        let mut search = CapacitySearch::new(start);
        while let Some(rate) = search.next_rate() {
            self.bar.set_message(format!("looking for the capacity: {rate:.0}/s"));
            search.observe(self.try_rate(rate)?);
        }
        Ok(search)
    }

    /// How long a batch is filled at a rate: so long the lag rises before it falls.
    fn swing(&self, rate: f64) -> Duration {
        self.batch.timeout.min(Duration::from_secs_f64(self.batch.size as f64 / rate))
    }

    fn try_rate(&mut self, rate: f64) -> Result<TriedRate, CommandFailure> {
        let flow = Flow { rate, time: WARM_UP + (self.plan.time / 2).max(self.swing(rate) * SWINGS) };
        let (mut samples, mut hopeless) = (Vec::new(), None);
        let program = &self.program;
        self.traffic.send(flow, |elapsed, total| {
            let (seconds, lag) = (elapsed.as_secs_f64(), total.saturating_sub(program.count()) as f64);
            if elapsed >= WARM_UP {
                samples.push((seconds, lag));
            }
            hopeless = (lag > rate * HOPELESS).then(|| lag / seconds);
            if hopeless.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.settle()?;
        Ok(match hopeless {
            Some(growth) => TriedRate { rate, growth, sustainable: false },
            None => TriedRate::judge(rate, &samples),
        })
    }

    /// Waits until all that was sent is finished; what was sent, and the moves.
    fn settle(&mut self) -> Result<(Vec<SentRecord>, Finishes), CommandFailure> {
        let sent = self.traffic.finish()?;
        self.program.await_finished(self.traffic.total())?;
        Ok((sent, Finishes::new(&self.program.take_moves())))
    }

    fn rounds(&mut self, capacity: f64, config: &Config) -> Result<Vec<LatencyRow>, CommandFailure> {
        let ready = if self.plan.bare && !self.plan.burst {
            super::paced::read(config, &self.bench.topic)?
        } else {
            Vec::new()
        };
        let mut rows = Vec::new();
        for round in 0..self.plan.rounds {
            if self.plan.burst {
                rows.push(self.burst(round, capacity)?);
                self.bar.inc(1);
                continue;
            }
            for share in SHARES {
                self.bar.set_message(format!("round {}: {:.0} % of the capacity", round + 1, share * 100.0));
                rows.push(self.load(round, share, capacity)?);
                if self.plan.bare {
                    rows.push(self.bare(round, share, capacity, &ready)?);
                }
                self.bar.inc(1);
            }
        }
        Ok(rows)
    }

    fn window(&self, rate: f64) -> MeasuredWindow {
        MeasuredWindow { from: WARM_UP, to: WARM_UP + self.plan.time, tail: self.swing(rate) }
    }

    fn load(&mut self, round: u32, share: f64, capacity: f64) -> Result<LatencyRow, CommandFailure> {
        let rate = capacity * share;
        let window = self.window(rate);
        let begun = self.traffic.send(window.flow(rate), |_, _| ControlFlow::Continue(()))?;
        let (mut sent, finishes) = self.settle()?;
        sent.retain(|record| window.holds(Duration::from_micros(record.intended.saturating_sub(begun))));
        let (latency, publishing, unfinished) = measure(&sent, &finishes)?;
        let row = LatencyRow::new(round, BenchSubject::Program, share, rate, window.length());
        Ok(LatencyRow { latency, publishing: Some(publishing), unfinished, ..row })
    }

    fn bare(&self, round: u32, share: f64, capacity: f64, ready: &[Record]) -> Result<LatencyRow, CommandFailure> {
        let rate = capacity * share;
        let window = self.window(rate);
        let settings = block_on(self.bench.settings(&format!("paced{round}-{:.0}", share * 100.0)))?;
        let config = self.bench.configure(&settings)?;
        let (latency, time) = block_on(super::paced::write(&config, ready, window.flow(rate), window))?;
        Ok(LatencyRow { latency, ..LatencyRow::new(round, BenchSubject::BareWrites, share, rate, time) })
    }

    /// Live traffic with a burst; the records count from the begin of the burst until the lag is what it was before.
    fn burst(&mut self, round: u32, capacity: f64) -> Result<LatencyRow, CommandFailure> {
        self.bar.set_message(format!("round {}: a burst", round + 1));
        let rate = capacity * CALM;
        let program = &self.program;
        let mut calm = 0;
        let before = Flow { rate, time: WARM_UP + self.plan.time };
        self.traffic.send(before, |elapsed, total| {
            // What waits for the first batch to be cut is no lag of the program's.
            if elapsed > WARM_UP {
                calm = calm.max(total.saturating_sub(program.count()));
            }
            ControlFlow::Continue(())
        })?;
        let mut most = 0;
        let flow = Flow { rate: rate * BURST, time: self.plan.time / 5 };
        let mut look = |total: u64| {
            let lag = total.saturating_sub(program.count());
            most = most.max(lag);
            lag
        };
        let begun = self.traffic.send(flow, |_, total| {
            look(total);
            ControlFlow::Continue(())
        })?;
        let over = begun + flow.time.as_micros() as u64;
        let mut recovered = None;
        self.traffic.send(Flow { rate, time: RECOVERY }, |_, total| {
            if look(total) > calm {
                return ControlFlow::Continue(());
            }
            recovered = Some(wall_micros().saturating_sub(over) as f64 / 1e6);
            ControlFlow::Break(())
        })?;
        let (mut sent, finishes) = self.settle()?;
        sent.retain(|record| record.intended >= begun);
        let (latency, publishing, unfinished) = measure(&sent, &finishes)?;
        let figures = BurstFigures {
            rate: flow.rate,
            seconds: flow.time.as_secs_f64(),
            lag_before: calm,
            most_lag: most,
            recovered_seconds: recovered,
        };
        let time = flow.time + Duration::from_secs_f64(recovered.unwrap_or_default());
        let row = LatencyRow::new(round, BenchSubject::Program, CALM, rate, time);
        Ok(LatencyRow { latency, publishing: Some(publishing), unfinished, burst: Some(figures), ..row })
    }
}

/// Live events are made of a seed of their own, so that none is one of the backlog's.
pub(super) fn live_events(backlog: &GeneratorOptions) -> GeneratorOptions {
    /// More than any run sends.
    const ENDLESS: u64 = 100_000_000;
    GeneratorOptions { count: ENDLESS, seed: !backlog.seed, until: Utc::now(), ..backlog.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_a_backlog_lies_between_its_first_batch_and_its_last() {
        let headway = |at, partition, next| Headway { at, next: [(partition, next)].into() };
        let moves = [headway(1_000_000, 0, 500), headway(1_500_000, 1, 700), headway(3_000_000, 0, 1_000)];
        assert_eq!(rate_of(&moves), Some(600.0));
        assert_eq!((rate_of(&moves[..1]), rate_of(&[])), (None, None));
    }
}
