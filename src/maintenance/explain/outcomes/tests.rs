//! What becomes of events, against the rules of the stores.

use proptest::prelude::*;

use super::*;

/// A delete where the content is 0.
fn event(offset: i64, version: i64, content: u64) -> LoggedEvent {
    let (deleted, mut mark) = (content == 0, [0; 16]);
    mark[0] = version as u8;
    mark[1] = content as u8;
    let kind = if deleted { "deleted" } else { "updated" };
    let what = EventContent::Told { version, deleted, content, kind, mark: Some(Mark(mark)) };
    let topic = "t".into();
    LoggedEvent { topic, partition: 0, offset, source: EventSource::Topic, what, letter: None, committed: true }
}

fn held(version: i64, content: u64) -> Option<StoredVersion> {
    Some(StoredVersion { version, deleted: content == 0, content, passed: None })
}

fn cause() -> RejectCause {
    RejectCause { class: "c".into(), reason: "r".into() }
}

fn outcomes(events: &[LoggedEvent], held: Option<StoredVersion>) -> Vec<EventOutcome> {
    OutcomeJudge::new(events, held).outcomes()
}

#[test]
fn a_winner_that_is_not_in_the_store_is_said_to_be_lost() {
    let log = [event(0, 5, 1), event(1, 7, 2), event(2, 6, 3)];
    let rest = |last: EventOutcome| vec![EventOutcome::Replaced(1), last, EventOutcome::Superseded(1)];
    assert_eq!(outcomes(&log, held(7, 2)), rest(EventOutcome::Applied));
    assert_eq!(outcomes(&log, None), rest(EventOutcome::Lost));
    assert_eq!(outcomes(&log, held(7, 9)), rest(EventOutcome::Different));
    assert_eq!(outcomes(&log, held(8, 9)), rest(EventOutcome::Beaten(8)));
    assert_eq!(outcomes(&log, held(5, 1)), [EventOutcome::Applied, EventOutcome::Lost, EventOutcome::Superseded(1)]);
    assert_eq!(outcomes(&[event(0, 5, 0)], None), [EventOutcome::Deleted]);
}

#[test]
fn what_cannot_be_told_of_two_partitions_is_not_told() {
    let log = [event(0, 5, 1), event(1, 7, 2), LoggedEvent { partition: 1, ..event(0, 6, 3) }];
    assert_eq!(outcomes(&log, held(7, 2)), [EventOutcome::Replaced(1), EventOutcome::Applied, EventOutcome::Older(1)]);
    let log = [event(0, 7, 1), LoggedEvent { partition: 1, ..event(0, 7, 3) }];
    assert_eq!(outcomes(&log, held(7, 1)), [EventOutcome::Applied, EventOutcome::Equal(0)]);
    assert_eq!(outcomes(&log, held(7, 3)), [EventOutcome::Equal(1), EventOutcome::Applied]);
}

#[test]
fn a_letter_in_the_store_was_replayed_and_one_out_of_it_changes_nothing() {
    let letter = LoggedEvent { letter: Some(cause()), ..event(0, 9, 2) };
    let dead = |replayed| EventOutcome::DeadLettered { cause: cause(), replayed };
    let log = [letter, event(1, 5, 1)];
    assert_eq!(outcomes(&log, held(5, 1)), [dead(false), EventOutcome::Applied]);
    assert_eq!(outcomes(&log, held(9, 2)), [dead(true), EventOutcome::Older(0)]);
}

#[test]
fn what_the_group_has_not_committed_may_be_in_the_store() {
    let log = [event(0, 5, 1), LoggedEvent { committed: false, ..event(1, 7, 2) }];
    assert_eq!(outcomes(&log, held(5, 1)), [EventOutcome::Applied, EventOutcome::NotCommitted { held: false }]);
    assert_eq!(outcomes(&log, held(7, 2)), [EventOutcome::Replaced(1), EventOutcome::NotCommitted { held: true }]);
}

proptest! {
    /// What is said of the log of a store that did everything right fits it: one event is in the store, and each other
    /// names the one that outdid it.
    #[test]
    fn an_honest_store_leaves_no_question(
        events in proptest::collection::vec((0_i64..6, 0_u64..3, prop::bool::weighted(0.2)), 1..12),
        committed in 0_usize..12,
    ) {
        let log: Vec<LoggedEvent> = (0..).zip(&events).map(|(offset, (version, content, dead))| LoggedEvent {
            letter: dead.then(cause),
            committed: (offset as usize) < committed,
            ..event(offset, *version, *content)
        }).collect();
        let mut store: Option<StoredVersion> = None;
        let mut seen: Vec<&EventContent> = Vec::new();
        for event in log.iter().filter(|event| event.counts()) {
            let EventContent::Told { version, deleted, content, .. } = event.what else { unreachable!() };
            if !seen.contains(&&event.what) && store.is_none_or(|held| held.version <= version) {
                store = Some(StoredVersion { version, deleted, content, passed: None });
            }
            seen.push(&event.what);
        }
        let judge = OutcomeJudge::new(&log, store);
        prop_assert_eq!(judge.difference(crate::systems::transactions::DEFINITION.versions), None);
        let outcomes = judge.outcomes();
        prop_assert_eq!(outcomes.iter().filter(|outcome| **outcome == EventOutcome::Applied).count(), usize::from(store.is_some()));
        for (number, (event, outcome)) in log.iter().zip(&outcomes).enumerate() {
            let version = |other: usize| log[other].version();
            match outcome {
                EventOutcome::Replaced(by) => prop_assert!(*by > number && version(*by) >= event.version()),
                EventOutcome::Superseded(by) => prop_assert!(*by < number && version(*by) > event.version()),
                EventOutcome::Duplicate(of) => prop_assert!(*of < number && log[*of].what == event.what),
                EventOutcome::DeadLettered { .. } => prop_assert!(event.letter.is_some()),
                EventOutcome::NotCommitted { .. } => prop_assert!(!event.committed),
                EventOutcome::Applied => {}
                other => prop_assert!(false, "{:?} in {:?}", other, outcomes),
            }
        }
    }
}
