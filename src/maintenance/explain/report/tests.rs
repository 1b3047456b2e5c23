//! What is said of a document.

use pipeline::dedupe::Mark;

use super::*;
use crate::maintenance::explain::outcomes::{EventContent, RejectCause};
use crate::stores::reader::StoredVersion;

fn event(offset: i64, version: i64, content: u64) -> LoggedEvent {
    let kind = if content == 0 { "deleted" } else { "updated" };
    let what =
        EventContent::Told { version, deleted: content == 0, content, kind, mark: Some(Mark([content as u8; 16])) };
    LoggedEvent {
        topic: "t".into(),
        partition: 0,
        offset,
        source: EventSource::Topic,
        what,
        letter: None,
        committed: true,
    }
}

fn report_of(events: Vec<LoggedEvent>, held: Option<(i64, u64)>, whole: bool) -> ExplainReport {
    let found = held.map(|(version, content)| StoredDocument {
        version: StoredVersion { version, deleted: content == 0, content, passed: None },
        text: None,
    });
    let stores = vec![StoreState { system: "transactions", name: "elasticsearch", found, history: None }];
    let (id, group, notes) = ("a".to_owned(), "g".to_owned(), Vec::new());
    let versions = crate::systems::transactions::DEFINITION.versions;
    let system = "transactions";
    ExplainReport::new(Evidence {
        id,
        system,
        versions,
        group,
        events,
        stores,
        whole,
        horizon: None,
        backfills: Vec::new(),
        notes,
    })
}

#[test]
fn each_difference_says_what_to_do_and_whether_it_is_certain() {
    let log = || vec![event(0, 5, 1), event(1, 7, 2)];
    let cases = [
        (
            log(),
            None,
            true,
            Confidence::Wrong,
            "but elasticsearch holds nothing: run millrace verify transactions --repair",
        ),
        (log(), Some((5, 1)), true, Confidence::Wrong, "holds the older version 5: run millrace verify"),
        (log(), Some((7, 9)), true, Confidence::Wrong, "with another content"),
        (log(), Some((8, 9)), true, Confidence::Wrong, "version 8, which no event has"),
        (log(), Some((8, 9)), false, Confidence::Open, "no longer in the log"),
        (
            vec![event(0, 5, 0)],
            Some((4, 1)),
            true,
            Confidence::Wrong,
            "a delete, but elasticsearch holds version 4 alive",
        ),
        (Vec::new(), Some((4, 1)), true, Confidence::Wrong, "--delete-phantoms"),
        (Vec::new(), Some((4, 1)), false, Confidence::Open, "no longer in the log"),
        (Vec::new(), None, true, Confidence::Right, "no event is about it"),
    ];
    for (events, held, whole, standing, says) in cases {
        let report = report_of(events, held, whole);
        assert!(report.why.contains(says) && report.standing == standing, "{says}: {report:?}");
    }
}

#[test]
fn a_repair_is_not_advised_where_the_topic_has_nothing_to_repair_from() {
    let gone = LoggedEvent { source: EventSource::History, ..event(0, 5, 1) };
    assert!(report_of(vec![gone], None, false).why.contains("cannot write it anew"));
}

#[test]
fn a_newer_dead_letter_and_what_is_to_come_are_noted() {
    let cause = RejectCause { class: "c".into(), reason: "r".into() };
    let letter = LoggedEvent { letter: Some(cause), ..event(1, 9, 3) };
    let pending = LoggedEvent { committed: false, ..event(2, 10, 4) };
    let report = report_of(vec![event(0, 5, 1), letter, pending], Some((5, 1)), true);
    assert_eq!((report.standing, report.why.as_str()), (Confidence::Open, "updated by t/0/0 (version 5)"));
    assert!(report.facts.notes[0].contains("1 of its events to go"), "{:?}", report.facts.notes);
    assert!(report.facts.notes[1].ends_with("millrace dlq replay --system transactions --at t/0/1"));
}
