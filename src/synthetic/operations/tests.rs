use chrono::{TimeZone, Utc};
use enrichers::operation::decode;

use super::*;
use crate::synthetic::SyntheticKind;

fn options() -> GeneratorOptions {
    let until = Utc.with_ymd_and_hms(2024, 6, 1, 12, 0, 0).unwrap();
    GeneratorOptions {
        count: 400,
        update_ratio: 0.5,
        delete_ratio: 0.2,
        duplicate_ratio: 0.05,
        malformed_ratio: 0.02,
        null_ratio: 0.01,
        ..GeneratorOptions::new(7, until)
    }
}

#[test]
fn the_same_seed_gives_the_same_operations() {
    let all = || events(&options()).unwrap().collect::<Vec<_>>();
    assert_eq!(all(), all());
    assert_eq!(all().len() as u64, options().counts().unwrap().records());
}

#[test]
fn sound_operations_are_decoded_and_their_ids_are_their_own() {
    let mut ids = std::collections::HashSet::new();
    for event in events(&options()).unwrap() {
        let Some(payload) = &event.payload else { continue };
        if event.kind == SyntheticKind::Malformed {
            continue;
        }
        let operation = decode(payload.as_bytes()).unwrap();
        let fresh = ids.insert(operation.metadata.operation_id.unwrap().into_owned());
        assert_eq!(fresh, !event.duplicate, "{payload}");
        assert_eq!(operation.metadata.time_micros, Some(event.micros));
    }
}

#[test]
fn what_is_expected_is_the_fold_of_the_operations() {
    let rows = expect_rows(&options()).unwrap();
    assert_eq!(rows.len(), 400);
    assert_eq!(rows.values().filter(|row| row.deleted).count(), 80);
    assert!(rows.values().all(|row| row.deleted || row.columns.len() >= 2));
}
