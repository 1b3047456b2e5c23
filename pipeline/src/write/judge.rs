//! The judge of "is it us or them": whether a write that fails has itself to blame, or its store.
//!
//! It owns what is known of the verdicts, of the writes that are under suspicion, and of those that wait alone. It guarantees
//! that a cause which does not look at the content of a write blames none, and that an outage which looks like one bad write
//! is an outage from the fourth on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rand::Rng;
use tokio::time::Instant;

use crate::mutant;
use crate::record::TopicPartition;
use crate::write::breaker::Breaker;

/// Pairs of tries in an attempt.
const PAIRS: usize = 5;
/// As many writes may be under suspicion, those that were given up on lately among them.
pub(crate) const SUSPECTS: usize = 3;
/// How long one that was given up on counts.
const LATELY: Duration = Duration::from_secs(600);

/// Where a record stands: its partition and offset.
pub(crate) type Coordinate = (TopicPartition, i64);

/// A try of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JudgeStep {
    /// The suspect, alone.
    Write,
    /// The write that changes nothing, the way that the suspect goes.
    Nothing,
    /// As `Nothing`, but its answer does not count. It keeps what fails in turns from meeting the same side each time.
    Blank,
}

/// Five pairs in random order. Where the answers alternate, each try meets either side with the same chance, whatever the
/// other of its pair met: so a pair speaks against a sound write with a chance of a quarter at most.
pub(crate) fn plan(rng: &mut impl Rng) -> VecDeque<JudgeStep> {
    let mut steps = VecDeque::new();
    if mutant!(AttemptsUnpaired) {
        return VecDeque::from([JudgeStep::Write]);
    }
    for _ in 0..PAIRS {
        let mut pair = [JudgeStep::Write, JudgeStep::Nothing];
        if rng.random_bool(0.5) {
            pair.reverse();
        }
        for step in pair {
            if rng.random_bool(0.5) {
                steps.push_back(JudgeStep::Blank);
            }
            steps.push_back(step);
        }
    }
    steps
}

#[derive(Debug, Default)]
struct JudgeState {
    breaker: Breaker,
    /// Writes that failed alone, and neither passed nor were given up on.
    suspects: HashSet<Coordinate>,
    buried: HashMap<Coordinate, Instant>,
    /// Writes that nothing accuses, and that wait alone while the store is otherwise well.
    waiting: HashSet<Coordinate>,
    /// What a person said to go on about.
    pardoned: HashSet<Coordinate>,
    outage: bool,
}

/// Shared by the batches in flight.
#[derive(Debug, Default)]
pub(crate) struct Judge(Mutex<JudgeState>);

impl Judge {
    fn state(&self) -> MutexGuard<'_, JudgeState> {
        self.0.lock()
    }

    /// Whether a person has to decide.
    pub(crate) fn is_open(&self) -> bool {
        let state = self.state();
        state.breaker.is_open() || state.outage || !state.waiting.is_empty()
    }

    /// Lets go on what waits for a person. Does nothing where nothing does. Returns whether anything did.
    pub(crate) fn proceed(&self) -> bool {
        let mut state = self.state();
        let open = state.breaker.proceed() || state.outage || !state.waiting.is_empty();
        if open {
            let JudgeState { suspects, waiting, pardoned, buried, outage, .. } = &mut *state;
            pardoned.extend(suspects.drain().chain(waiting.drain()));
            buried.clear();
            *outage = false;
        }
        open
    }

    /// Notes the verdicts of a store. Returns whether the breaker keeps rejects from the dead letters.
    pub(crate) fn note(&self, rejected: impl Iterator<Item = bool>) -> bool {
        let mut state = self.state();
        rejected.for_each(|rejected| state.breaker.note(rejected));
        state.breaker.is_open()
    }

    /// Whether the breaker is open because of the store's verdicts.
    pub(crate) fn rejects_most(&self) -> bool {
        self.state().breaker.is_open()
    }

    /// A write failed alone, in a way that may be its own doing.
    pub(crate) fn accuse(&self, write: &Coordinate) {
        let mut state = self.state();
        if !state.pardoned.contains(write) {
            state.buried.remove(write);
            state.suspects.insert(write.clone());
            state.outage |= state.count() > SUSPECTS && !mutant!(BreakerOff);
        }
    }

    /// A write waits alone while the store is well.
    pub(crate) fn waits(&self, write: &Coordinate) {
        self.state().waiting.insert(write.clone());
    }

    /// Whether a person said to go on about this write.
    pub(crate) fn is_pardoned(&self, write: &Coordinate) -> bool {
        self.state().pardoned.contains(write)
    }

    /// A write passed, or is no longer ours.
    pub(crate) fn clear(&self, write: &Coordinate) {
        let mut state = self.state();
        state.waiting.remove(write);
        state.pardoned.remove(write);
        state.acquit(write);
    }

    /// A write that was accused fails in another way now, of which nobody has to be told.
    pub(crate) fn acquit(&self, write: &Coordinate) {
        self.state().acquit(write);
    }

    /// Whether a write whose attempts are exhausted may be given up on: where it is accused, not in an outage.
    pub(crate) fn may_bury(&self, write: &Coordinate) -> bool {
        let mut state = self.state();
        if state.pardoned.remove(write) {
            return true;
        }
        if state.outage && state.suspects.contains(write) {
            return false;
        }
        state.breaker.note(true);
        if state.breaker.is_open() {
            return false;
        }
        if state.suspects.remove(write) {
            state.buried.insert(write.clone(), Instant::now());
        }
        true
    }
}

impl JudgeState {
    fn acquit(&mut self, write: &Coordinate) {
        if self.suspects.remove(write) && self.count() <= SUSPECTS {
            self.outage = false;
        }
    }

    fn count(&mut self) -> usize {
        self.buried.retain(|_, at| at.elapsed() < LATELY);
        self.suspects.len() + self.buried.len()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn record(offset: i64) -> Coordinate {
        (TopicPartition::new("topic", 0), offset)
    }

    #[test]
    fn where_answers_alternate_a_pair_speaks_against_a_sound_write_once_in_four_times() {
        let mut rng = StdRng::seed_from_u64(7);
        let (mut sick, mut against, mut pairs) = (false, 0, 0);
        for _ in 0..20_000 {
            let (mut failed, mut passed) = (Vec::new(), Vec::new());
            for step in plan(&mut rng) {
                sick = !sick;
                match step {
                    JudgeStep::Write => failed.push(sick),
                    JudgeStep::Nothing => passed.push(!sick),
                    JudgeStep::Blank => {}
                }
            }
            assert_eq!((failed.len(), passed.len()), (PAIRS, PAIRS));
            pairs += PAIRS;
            against += failed.iter().zip(&passed).filter(|(failed, passed)| **failed && **passed).count();
        }
        let share = against as f64 / pairs as f64;
        assert!((0.24..0.26).contains(&share), "{share}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_fourth_suspect_is_an_outage_until_one_passes() {
        let judge = Judge::default();
        for offset in 0..3 {
            judge.accuse(&record(offset));
            judge.accuse(&record(offset));
        }
        assert!(!judge.is_open() && judge.may_bury(&record(0)));
        judge.accuse(&record(3));
        assert!(judge.is_open() && !judge.may_bury(&record(1)), "one that was given up on lately counts");
        tokio::time::advance(2 * LATELY).await;
        assert!(!judge.may_bury(&record(1)), "time alone ends no outage");
        judge.clear(&record(2));
        assert!(!judge.is_open() && judge.may_bury(&record(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_may_give_up_on_what_stands_and_not_on_what_comes() {
        let judge = Judge::default();
        assert!(!judge.proceed());
        (0..4).for_each(|offset| judge.accuse(&record(offset)));
        judge.waits(&record(9));
        assert!(judge.proceed() && !judge.proceed());
        assert!((0..4).all(|offset| judge.may_bury(&record(offset))) && judge.is_pardoned(&record(9)));
        (10..14).for_each(|offset| judge.accuse(&record(offset)));
        assert!(judge.is_open() && !judge.may_bury(&record(10)));
    }
}
