//! Properties of a lane, against a naive model: who waits, who may be tried when, and who has no ladder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test program")]

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::park::lane::{Ladder, Lane};
use pipeline::{Record, TopicPartition};
use proptest::prelude::*;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 3;

fn record(offset: i64) -> Record {
    Record {
        at: TopicPartition::new("t", 0),
        offset,
        timestamp_ms: None,
        key: None,
        payload: None,
        headers: Vec::new(),
    }
}

fn names(keys: &[u8]) -> Vec<String> {
    keys.iter().map(|key| format!("k{key}")).collect()
}

/// What is said of a record that is tried.
#[derive(Clone, Copy, Debug)]
enum Said {
    Passed,
    Later(&'static str),
    /// Rejected at once.
    Bad,
}

#[derive(Clone, Debug)]
enum Step {
    /// A record comes: it is parked if it fails, or if a key of it waits.
    Comes(Vec<u8>, bool),
    Tick(u64),
    /// A run, with what is said of its records in turn; after so many, the rest is left.
    Run(Vec<Said>, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let said = prop_oneof![
        3 => Just(Said::Passed),
        2 => Just(Said::Later("x")),
        1 => Just(Said::Later("y")),
        1 => Just(Said::Bad),
    ];
    prop_oneof![
        5 => (prop::collection::vec(0..6u8, 1..4), any::<bool>()).prop_map(|(keys, fails)| Step::Comes(keys, fails)),
        3 => (1..5u64).prop_map(Step::Tick),
        4 => (prop::collection::vec(said, 1..12), 1..12usize).prop_map(|(said, most)| Step::Run(said, most)),
    ]
}

/// One that waits, as the model has it.
#[derive(Clone, Debug)]
struct Waiter {
    keys: Vec<u8>,
    tries: u32,
    due: Instant,
    /// Classes of letters that it stood behind.
    behind: Vec<String>,
}

#[derive(Default)]
struct Naive(BTreeMap<i64, Waiter>);

impl Naive {
    fn ahead<'n>(&'n self, offset: i64, keys: &'n [u8]) -> impl Iterator<Item = i64> + 'n {
        let shares = move |(_, other): &(&i64, &Waiter)| other.keys.iter().any(|key| keys.contains(key));
        self.0.range(..offset).filter(shares).map(|(offset, _)| *offset)
    }

    fn heads(&self) -> impl Iterator<Item = (i64, &Waiter)> {
        let all = self.0.iter().map(|(offset, waiter)| (*offset, waiter));
        all.filter(|(offset, waiter)| self.ahead(*offset, &waiter.keys).next().is_none())
    }

    /// The run that has to begin: heads that are due, first by time, then whoever only waits for those.
    fn check_run(&self, run: &[i64], now: Instant, most: usize) {
        assert!(run.windows(2).all(|pair| pair[0] < pair[1]), "in the order of the log: {run:?}");
        assert!(run.len() <= most);
        for offset in run {
            let waiter = &self.0[offset];
            assert!(waiter.due <= now, "{offset} is not due");
            let mut ahead = self.ahead(*offset, &waiter.keys);
            assert!(ahead.all(|other| run.contains(&other)), "{offset} overtakes");
        }
        if run.len() < most {
            for (offset, waiter) in &self.0 {
                let mut ahead = self.ahead(*offset, &waiter.keys);
                let left = waiter.due <= now && !run.contains(offset) && ahead.all(|other| run.contains(&other));
                assert!(!left, "{offset} was left out of {run:?}");
            }
        }
    }
}

/// One run: what is said of each until something is not passed on its keys.
fn run(lane: &mut Lane, naive: &mut Naive, ladder: &Ladder, now: Instant, said: &[Said], most: usize) {
    let offsets: Vec<i64> = lane.begin(now, most).iter().map(|record| record.offset).collect();
    naive.check_run(&offsets, now, most);
    assert_eq!(lane.running(), offsets.len());
    assert!(offsets.is_empty() || lane.due_at().is_none(), "one run at a time");
    let (mut stopped, mut done) = (Vec::new(), Vec::new());
    for (offset, said) in offsets.iter().zip(said) {
        let waiter = naive.0[offset].clone();
        if waiter.keys.iter().any(|key| stopped.contains(key)) {
            stopped.extend(waiter.keys);
            continue;
        }
        let class = match said {
            Said::Passed => {
                done.push(*offset);
                continue;
            }
            Said::Later(class) => {
                let may = waiter.tries < ATTEMPTS && !waiter.behind.iter().any(|dead| dead == class);
                assert_eq!(lane.may_wait(*offset, class, ladder), may, "{offset}: {waiter:?}");
                if may {
                    lane.note_try(*offset, now, ladder);
                    let entry = naive.0.get_mut(offset).unwrap();
                    entry.tries += 1;
                    entry.due = now + SECOND * (1 << (entry.tries - 1));
                    stopped.extend(waiter.keys);
                    continue;
                }
                class
            }
            Said::Bad => "bad",
        };
        assert_eq!(lane.tries(*offset), waiter.tries);
        lane.gave_up(*offset, class.into());
        for (_, other) in naive.0.range_mut(offset + 1..) {
            if other.keys.iter().any(|key| waiter.keys.contains(key)) {
                other.behind.push(class.to_owned());
            }
        }
        stopped.extend(waiter.keys);
        done.push(*offset);
    }
    done.iter().for_each(|offset| drop(naive.0.remove(offset)));
    lane.end(done.into_iter());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lane_is_what_the_model_says(steps in prop::collection::vec(step(), 1..120)) {
        let ladder = Ladder::new(ATTEMPTS, SECOND);
        let (mut lane, mut naive, mut now) = (Lane::default(), Naive::default(), Instant::now());
        for (offset, step) in steps.into_iter().enumerate() {
            let offset = offset as i64;
            match step {
                Step::Comes(keys, fails) => {
                    let behind = naive.ahead(offset, &keys).next().is_some();
                    prop_assert_eq!(lane.holds(&names(&keys)), behind);
                    if behind || fails {
                        let (tries, due) = if behind { (0, now) } else { (1, now + SECOND) };
                        lane.push(record(offset), &names(&keys), tries, now, due);
                        naive.0.insert(offset, Waiter { keys, tries, due, behind: Vec::new() });
                    }
                }
                Step::Tick(seconds) => now += SECOND * seconds as u32,
                Step::Run(said, most) => run(&mut lane, &mut naive, &ladder, now, &said, most),
            }
            prop_assert_eq!(lane.lowest(), naive.0.keys().next().copied());
            prop_assert_eq!((lane.len(), lane.running()), (naive.0.len(), 0));
            prop_assert_eq!(lane.due_at(), naive.heads().map(|(_, waiter)| waiter.due).min());
            prop_assert_eq!(lane.bytes() == 0, naive.0.is_empty());
        }
        // Whatever waits can be worked off.
        while !lane.is_empty() {
            now = lane.due_at().unwrap().max(now);
            run(&mut lane, &mut naive, &ladder, now, &[Said::Passed; 200], 200);
        }
        prop_assert!(naive.0.is_empty() && lane.bytes() == 0 && lane.oldest().is_none());
    }
}

#[test]
fn the_pauses_of_a_ladder_double_without_a_cap() {
    let ladder = Ladder::new(5, 5 * SECOND);
    let pauses: Vec<u64> = (1..).map_while(|tries| ladder.pause(tries)).map(|pause| pause.as_secs()).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 80]);
    assert_eq!(Ladder::new(0, SECOND).pause(1), None);
    assert_eq!(Ladder::new(40, SECOND).pause(40), Some(SECOND * u32::MAX));
}

#[test]
fn a_system_says_which_failures_have_one_reason() {
    let ladder = Ladder { same_reason: |dead, now| dead == "parent" && now == "no_row", ..Ladder::new(3, SECOND) };
    let (mut lane, now, keys) = (Lane::default(), Instant::now(), names(&[1]));
    lane.push(record(0), &keys, 1, now, now);
    lane.push(record(1), &keys, 0, now, now);
    lane.gave_up(0, "parent".into());
    lane.push(record(2), &keys, 0, now, now);
    assert!(!lane.may_wait(1, "no_row", &ladder) && lane.may_wait(1, "parent", &ladder));
    assert!(lane.may_wait(2, "no_row", &ladder), "it came when the letter was there already");
}
