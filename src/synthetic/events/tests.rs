use std::collections::{BTreeSet, HashSet};

use ::events::{CloudAttributes, EventName, EventRecord, read};

use super::*;
use crate::synthetic::SyntheticKind;
use crate::synthetic::tests::rich;

fn options() -> GeneratorOptions {
    GeneratorOptions { update_ratio: 1.5, ..rich(600) }
}

#[test]
fn every_event_of_the_catalogue_is_said_and_can_be_read() {
    let (mut names, mut ids) = (BTreeSet::new(), HashSet::new());
    for message in events(&options()).unwrap() {
        let name = EventName::find(message.state.unwrap()).unwrap();
        let Some(payload) = &message.payload else { continue };
        let record = EventRecord {
            topic: name.as_str(),
            payload: payload.as_bytes(),
            timestamp_ms: None,
            cloud: CloudAttributes::default(),
        };
        let event = read(name, &record);
        if message.kind == SyntheticKind::Malformed {
            assert!(event.is_err(), "{payload}");
            continue;
        }
        let event = event.unwrap_or_else(|error| panic!("{payload}: {error}"));
        assert_eq!(event.data.key(), message.key);
        assert_eq!(ids.insert(event.id.to_string()), !message.duplicate, "{payload}");
        names.insert(name);
    }
    assert_eq!(names.len(), EventName::ALL.len(), "{names:?}");
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let all = || events(&options()).unwrap().collect::<Vec<_>>();
    assert_eq!(all(), all());
    assert_eq!(all().len() as u64, options().counts().unwrap().records());
}
