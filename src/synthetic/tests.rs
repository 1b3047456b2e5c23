use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::*;

/// Messages by kind, given with whether they are repetitions.
pub(super) fn tally(messages: impl Iterator<Item = (SyntheticKind, bool)>) -> Counts {
    let mut seen = Counts { creates: 0, updates: 0, deletes: 0, late: 0, malformed: 0, nulls: 0, duplicates: 0 };
    for (kind, duplicate) in messages {
        let slot = match kind {
            _ if duplicate => &mut seen.duplicates,
            SyntheticKind::Created => &mut seen.creates,
            SyntheticKind::Updated => &mut seen.updates,
            SyntheticKind::Deleted => &mut seen.deletes,
            SyntheticKind::Late => &mut seen.late,
            SyntheticKind::Malformed => &mut seen.malformed,
            SyntheticKind::Null => &mut seen.nulls,
        };
        *slot += 1;
    }
    seen
}

pub(super) fn until() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

pub(super) fn options(count: u64) -> GeneratorOptions {
    GeneratorOptions { count, ..GeneratorOptions::new(7, until()) }
}

/// Some of everything.
pub(super) fn rich(count: u64) -> GeneratorOptions {
    GeneratorOptions {
        users: Some(50),
        update_ratio: 0.7,
        delete_ratio: 0.2,
        late_ratio: 0.1,
        malformed_ratio: 0.05,
        null_ratio: 0.02,
        duplicate_ratio: 0.1,
        ..options(count)
    }
}

fn all(options: &GeneratorOptions) -> Vec<SyntheticEvent> {
    options.events().unwrap().collect()
}

#[test]
fn the_same_options_give_the_same_bytes() {
    assert_eq!(all(&rich(500)), all(&rich(500)));
    let other = GeneratorOptions { seed: 8, ..rich(500) };
    assert_ne!(all(&rich(500)), all(&other));
    // The time moves with the end, the transactions stay.
    let later = GeneratorOptions { until: until() + chrono::Duration::hours(1), ..rich(500) };
    let ids = |options: &GeneratorOptions| all(options).into_iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(&rich(500)), ids(&later));
}

#[test]
fn the_messages_of_a_seed_stay_what_they_are() {
    let mut digest = Sha256::new();
    for event in all(&rich(1000)).iter().chain(&all(&options(1000))) {
        digest.update(&event.key);
        digest.update(event.payload.as_deref().unwrap_or("null"));
    }
    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "07ea361c83b55fb6caae665ecc2a67dfaff6114603a2f7bde548e503d341f5c4");
}

#[test]
fn the_counts_are_exact() {
    for options in
        [options(0), options(1), options(1000), rich(9999), GeneratorOptions { update_ratio: 3.0, ..rich(100) }]
    {
        let counts = options.counts().unwrap();
        assert_eq!(tally(all(&options).iter().map(|event| (event.kind, event.duplicate))), counts);
    }
    let counts = options(1000).counts().unwrap();
    assert_eq!((counts.records(), counts.documents()), (1100, 1000));
}

#[test]
fn the_expected_state_is_what_the_counts_promise() {
    for options in [options(1000), rich(5000), GeneratorOptions { delete_ratio: 1.0, ..rich(300) }] {
        let expected = options.expect_documents().unwrap();
        let counts = options.counts().unwrap();
        assert_eq!(expected.len() as u64, counts.creates);
        assert_eq!(expected.values().filter(|document| !document.deleted).count() as u64, counts.documents());
    }
}

#[test]
fn an_event_refers_to_a_living_transaction_and_is_newer() {
    let mut living: HashMap<Uuid, i64> = HashMap::new();
    let mut deleted: HashMap<Uuid, i64> = HashMap::new();
    let mut late_of_deleted = 0;
    let mut times = HashSet::new();
    for event in all(&rich(5000)).iter().filter(|event| !event.duplicate) {
        assert!(event.kind == SyntheticKind::Late || times.insert(event.micros));
        assert!(event.micros < until().timestamp_micros());
        match event.kind {
            SyntheticKind::Created => assert!(living.insert(event.id, event.micros).is_none()),
            SyntheticKind::Updated => assert!(living.insert(event.id, event.micros).unwrap() < event.micros),
            SyntheticKind::Deleted => {
                assert!(living.remove(&event.id).unwrap() < event.micros);
                deleted.insert(event.id, event.micros);
            }
            SyntheticKind::Late => {
                late_of_deleted += u64::from(deleted.contains_key(&event.id));
                assert!(living.get(&event.id).or(deleted.get(&event.id)).unwrap() > &event.micros);
            }
            SyntheticKind::Malformed | SyntheticKind::Null => assert!(event.id.is_nil()),
        }
    }
    assert!(late_of_deleted > 100, "{late_of_deleted}");
}

#[test]
fn a_repetition_follows_its_original() {
    let mut seen: HashMap<String, (String, usize)> = HashMap::new();
    let mut distances = HashSet::new();
    let options = GeneratorOptions { null_ratio: 0.0, ..rich(3000) };
    for (place, event) in all(&options).into_iter().enumerate() {
        let payload = event.payload.unwrap();
        if event.duplicate {
            let (key, first) = &seen[&payload];
            assert_eq!(*key, event.key);
            distances.insert(place - first);
        } else {
            assert!(seen.insert(payload, (event.key, place)).is_none());
        }
    }
    assert!(distances.len() > 20 && distances.iter().all(|distance| *distance < 130), "{distances:?}");
}

#[test]
fn the_messages_have_the_documented_form() {
    let mut types = HashSet::new();
    let mut states = HashSet::new();
    for event in
        all(&rich(1000)).iter().filter(|event| !matches!(event.kind, SyntheticKind::Malformed | SyntheticKind::Null))
    {
        let text = event.payload.as_ref().unwrap();
        let message: Value = serde_json::from_str(text).unwrap();
        let keys: Vec<_> = message.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["event_type", "source", "timestamp", "transaction"]);
        assert_eq!(message["source"], SOURCE);
        let transaction = &message["transaction"];
        assert_eq!(transaction["id"], event.id.to_string());
        assert_eq!(transaction["user_id"], event.key);
        if event.kind == SyntheticKind::Deleted {
            continue;
        }
        let keys: Vec<_> = transaction.as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["amount", "created_at", "currency", "id", "metadata", "product", "status", "transaction_type", "user_id"];
        assert_eq!(keys, expected);
        assert!(transaction["amount"].is_number());
        assert!(text.contains(&format!(r#""amount":{},"#, event.amount)));
        let decimals = event.amount.split_once('.').unwrap().1.len();
        match transaction["transaction_type"].as_str().unwrap() {
            "crypto" => assert!((8..=18).contains(&decimals)),
            _ => assert_eq!(decimals, 2),
        }
        types.insert(transaction["transaction_type"].to_string());
        states.insert((event.kind != SyntheticKind::Created, event.status));
    }
    assert_eq!(types.len(), 3);
    assert!(states.contains(&(false, "pending")) && states.contains(&(true, "completed")));
}

#[test]
fn malformed_messages_come_in_several_kinds() {
    let events = all(&GeneratorOptions { malformed_ratio: 1.0, update_ratio: 0.0, ..options(200) });
    let bad: Vec<_> = events.iter().filter(|event| event.kind == SyntheticKind::Malformed).collect();
    assert!(bad.iter().any(|event| serde_json::from_str::<Value>(event.payload.as_ref().unwrap()).is_err()));
    assert!(bad.iter().any(|event| event.payload.as_ref().unwrap().contains("exploded")));
    assert!(bad.iter().any(|event| event.payload.as_ref().unwrap().contains("a lot")));
}

#[test]
fn users_are_one_or_as_many_as_asked() {
    assert!(all(&options(100)).iter().all(|event| event.key == "test_user_123"));
    let users: HashSet<_> = all(&rich(2000)).into_iter().map(|event| event.key).collect();
    assert_eq!(users.len(), 50);
    assert!(users.contains("user_000001") && users.contains("user_000050"));
}

#[test]
fn ratios_that_cannot_be_are_named() {
    for (wrong, name) in [
        (GeneratorOptions { update_ratio: -0.1, ..options(1) }, "--update-ratio"),
        (GeneratorOptions { update_ratio: f64::NAN, ..options(1) }, "--update-ratio"),
        (GeneratorOptions { delete_ratio: 1.1, ..options(1) }, "--delete-ratio"),
        (GeneratorOptions { duplicate_ratio: 2.0, ..options(1) }, "--duplicate-ratio"),
        (GeneratorOptions { users: Some(0), ..options(1) }, "--users"),
    ] {
        assert!(wrong.counts().unwrap_err().to_string().starts_with(name));
    }
}
