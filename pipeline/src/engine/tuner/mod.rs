//! The tuner: finds how large batches are and how many are in flight, by trying other values and keeping what is faster.
//!
//! Pure: what was measured is passed in, a window at a time. It climbs one step at a time, doubling at first, and in smaller
//! steps near the best. A store that turns something away takes one from the number at once, or from the size where there
//! is one batch only. It guarantees its bounds, and that of what is as fast the smaller is kept.

#[cfg(test)]
mod tests;

/// Windows that a difference which is not clear is looked at.
const LOOKS: u32 = 2;
/// A difference that one window shows.
const CLEAR: f64 = 0.12;
/// What a larger value has to gain.
const GAIN: f64 = 0.02;
/// What a smaller value may lose against the best.
const LEVEL: f64 = 0.02;
/// Below this share of the best, the store is another one than it was.
const CHANGED: f64 = 0.9;
/// The first step of the size, and the smallest.
const STEPS: (f64, f64) = (2.0, 1.25);
/// Windows between two tries when the best was found.
const REST: u32 = 8;
/// Windows without a try of more after something was turned away.
const WARY: u32 = 15;
/// What is left of a number of which something was turned away.
const DECREASE: f64 = 0.9;

/// How batches are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryCell {
    /// Records in a batch, at most.
    pub size: usize,
    /// Batches in flight, at most.
    pub number: usize,
}

/// Where the tuner begins, and how far it may go.
#[derive(Clone, Copy, Debug)]
pub struct TunerBounds {
    pub start: DeliveryCell,
    pub least: DeliveryCell,
    pub most: DeliveryCell,
}

/// What a window saw, in which the store was what all waited for.
#[derive(Clone, Copy, Debug)]
pub struct TunerWindow {
    /// Bytes of records a second that were finished.
    pub rate: f64,
    /// Requests that the store asked to wait.
    pub rejected: u64,
    /// Whether the store is about to turn something away.
    pub pressed: bool,
}

/// Why a value was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunerReason {
    /// As configured.
    Start,
    /// To see whether it is better.
    Probe,
    /// The step before was faster, so one more in its direction.
    Faster,
    /// The smaller value before was as fast, so one smaller still.
    Level,
    /// Back, because it was not better.
    Slower,
    Rejected,
    Pressure,
}

impl TunerReason {
    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Probe => "probe",
            Self::Faster => "faster",
            Self::Level => "level",
            Self::Slower => "slower",
            Self::Rejected => "rejected",
            Self::Pressure => "pressure",
        }
    }
}

/// A direction to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Larger,
    More,
    Smaller,
    Fewer,
}

/// In the order in which they are tried.
const DIRECTIONS: [Direction; 4] = [Direction::Larger, Direction::Smaller, Direction::More, Direction::Fewer];

/// The place of the first direction that shrinks.
const SMALLER: usize = 1;

impl Direction {
    fn grows(self) -> bool {
        matches!(self, Self::Larger | Self::More)
    }
}

/// The mean of some windows.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, rate: f64) -> f64 {
        self.sum += rate;
        self.count += 1;
        self.sum / f64::from(self.count)
    }
}

/// Chooses between windows.
#[derive(Debug)]
pub struct Tuner {
    bounds: TunerBounds,
    /// The best so far, and how fast it was lately; `None` while that is not known.
    kept: DeliveryCell,
    base: Option<f64>,
    /// The fastest that was seen since the store was another one.
    best: f64,
    /// What is tried.
    trial: Option<(Direction, DeliveryCell)>,
    looks: Mean,
    /// The factor of a step of the size.
    step: f64,
    /// The place in `DIRECTIONS` that is tried next, and how many of them failed in a row.
    turn: usize,
    failed: usize,
    rest: u32,
    wary: u32,
    /// Whether what is kept was measured just before this try.
    fresh: bool,
}

impl Tuner {
    pub fn new(bounds: TunerBounds) -> Self {
        Self {
            bounds,
            kept: bounds.start,
            base: None,
            best: 0.0,
            trial: None,
            looks: Mean::default(),
            step: STEPS.0,
            turn: 0,
            failed: 0,
            rest: 0,
            wary: 0,
            fresh: false,
        }
    }

    /// What is to be used now.
    pub fn cell(&self) -> DeliveryCell {
        self.trial.map_or(self.kept, |(_, cell)| cell)
    }

    /// The best that was found so far.
    #[cfg(test)]
    fn best_cell(&self) -> DeliveryCell {
        self.kept
    }

    /// Takes in a window. Returns why the cell is another one now.
    pub(crate) fn observe(&mut self, window: TunerWindow) -> Option<TunerReason> {
        let before = self.cell();
        self.take(window).filter(|_| self.cell() != before)
    }

    fn take(&mut self, window: TunerWindow) -> Option<TunerReason> {
        if window.rejected > 0 || window.pressed {
            let reason = if window.rejected > 0 { TunerReason::Rejected } else { TunerReason::Pressure };
            self.give_way();
            return Some(reason);
        }
        if window.rate <= 0.0 {
            return None;
        }
        self.wary = self.wary.saturating_sub(1);
        match (self.trial, self.base) {
            (Some((direction, cell)), Some(base)) => self.judge(direction, cell, base, window.rate),
            _ => self.stand(window.rate),
        }
    }

    /// Takes one from the number, or from the size where there is one batch; what is tried is given up.
    fn give_way(&mut self) {
        let grew = self.trial.take().is_some_and(|(direction, _)| direction.grows());
        let DeliveryCell { size, number } = self.kept;
        if !grew && number > self.bounds.least.number {
            self.kept.number = ((number as f64 * DECREASE) as usize).max(self.bounds.least.number);
        } else if !grew {
            self.kept.size = ((size as f64 * DECREASE) as usize).max(self.bounds.least.size);
        }
        (self.base, self.best, self.looks, self.wary) = (None, 0.0, Mean::default(), WARY);
    }

    /// A window with what is kept.
    fn stand(&mut self, rate: f64) -> Option<TunerReason> {
        let base = self.base.map_or(rate, |base| f64::midpoint(base, rate));
        self.base = Some(base);
        if base < self.best * CHANGED {
            (self.best, self.step, self.rest, self.failed) = (base, STEPS.0, 0, 0);
            // Of a slower store less is the likelier.
            self.turn = SMALLER;
        }
        self.best = self.best.max(base);
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        self.fresh = true;
        self.probe()
    }

    /// Begins a try in the direction whose turn it is, of those that are possible.
    fn probe(&mut self) -> Option<TunerReason> {
        for _ in DIRECTIONS {
            let Some(&direction) = DIRECTIONS.get(self.turn) else { break };
            if self.begin(direction) {
                return Some(TunerReason::Probe);
            }
            self.pass();
            if self.rest > 0 {
                break;
            }
        }
        None
    }

    fn begin(&mut self, direction: Direction) -> bool {
        let cell = self.step_to(direction);
        let begins = cell != self.kept && !(direction.grows() && self.wary > 0);
        if begins {
            (self.trial, self.looks) = (Some((direction, cell)), Mean::default());
        }
        begins
    }

    /// Whether it found the best, and only looks now and then.
    fn is_calm(&self) -> bool {
        self.failed + 1 >= DIRECTIONS.len() && self.step <= STEPS.1
    }

    /// The next direction; after all failed a smaller step, and after the smallest a rest.
    fn pass(&mut self) {
        self.turn = (self.turn + 1) % DIRECTIONS.len();
        self.failed += 1;
        if self.failed < DIRECTIONS.len() {
            return;
        }
        self.failed = 0;
        if self.step > STEPS.1 {
            self.step = self.step.sqrt().max(STEPS.1);
        } else {
            // Then one direction at a time.
            (self.rest, self.failed) = (REST, DIRECTIONS.len() - 1);
        }
    }

    fn step_to(&self, direction: Direction) -> DeliveryCell {
        let TunerBounds { least, most, .. } = self.bounds;
        let DeliveryCell { size, number } = self.kept;
        let larger = ((size as f64 * self.step).round() as usize).max(size + 1);
        let smaller = ((size as f64 / self.step).round() as usize).min(size.saturating_sub(1));
        match direction {
            Direction::Larger => DeliveryCell { size: larger.min(most.size), number },
            Direction::Smaller => DeliveryCell { size: smaller.max(least.size), number },
            Direction::More => DeliveryCell { size, number: (number + 1).min(most.number) },
            Direction::Fewer => DeliveryCell { size, number: number.saturating_sub(1).max(least.number) },
        }
    }

    /// A window with what is tried.
    fn judge(&mut self, direction: Direction, cell: DeliveryCell, base: f64, rate: f64) -> Option<TunerReason> {
        let mean = self.looks.add(rate);
        let clear = (mean / base - 1.0).abs() >= CLEAR;
        if !clear && self.looks.count < LOOKS + u32::from(self.is_calm()) {
            return None;
        }
        // At rest a false gain costs more than a small one is worth.
        let gain = if self.is_calm() { 2.0 * GAIN } else { GAIN };
        let better = if direction.grows() { mean >= base * (1.0 + gain) } else { mean >= self.best * (1.0 - LEVEL) };
        self.trial = None;
        if !better {
            self.pass();
            // Two tries in a row at most are held against one look at what is kept.
            if std::mem::take(&mut self.fresh) && self.rest == 0 {
                self.probe();
            }
            return Some(TunerReason::Slower);
        }
        let reason = if mean >= base * (1.0 + GAIN) { TunerReason::Faster } else { TunerReason::Level };
        (self.kept, self.base, self.best) = (cell, Some(mean), self.best.max(mean));
        (self.failed, self.rest) = (0, 0);
        if mean >= base * (1.0 + CLEAR) {
            self.step = (self.step * self.step).min(STEPS.0);
        }
        self.begin(direction).then_some(reason)
    }
}
