use std::collections::HashSet;

use enrichers::review::decode;

use super::super::tests::{options, rich, tally, until};
use super::super::{GeneratorOptions, SyntheticKind};
use super::*;

fn all(options: &GeneratorOptions) -> Vec<ReviewMessage> {
    events(options).unwrap().collect()
}

fn decoded(payload: &str) -> enrichers::review::ReviewEvent<'_> {
    decode(payload.as_bytes(), Some(until().timestamp_millis())).unwrap()
}

#[test]
fn the_same_options_give_the_same_bytes() {
    assert_eq!(all(&rich(500)), all(&rich(500)));
    assert_ne!(all(&rich(500)), all(&GeneratorOptions { seed: 8, ..rich(500) }));
}

#[test]
fn the_counts_are_exact() {
    for options in [options(0), options(1), rich(3000), GeneratorOptions { delete_ratio: 1.0, ..rich(300) }] {
        let counts = options.counts().unwrap();
        assert_eq!(tally(all(&options).iter().map(|event| (event.kind, event.duplicate))), counts);
        let expected = expect_reviews(&options).unwrap();
        assert_eq!(expected.reviews.len() as u64, counts.creates);
        assert_eq!(expected.reviews.values().filter(|review| !review.deleted).count() as u64, counts.documents());
        assert_eq!(expected.ratings.values().map(|rating| rating.count).sum::<u64>(), counts.documents());
    }
}

#[test]
fn an_event_decodes_as_its_kind_says() {
    let mut classes = HashSet::new();
    for event in all(&rich(3000)) {
        let Some(payload) = event.payload.as_deref() else {
            assert_eq!((event.kind, event.state), (SyntheticKind::Null, None));
            continue;
        };
        let Some(state) = event.state else {
            assert_eq!(event.kind, SyntheticKind::Malformed);
            classes.insert(decode(payload.as_bytes(), None).unwrap_err().class);
            continue;
        };
        let message = decoded(payload);
        assert_eq!((message.id.as_ref(), message.time_micros), (event.id.as_str(), event.micros));
        assert_eq!((message.version(), event.key), (state.version, event.id.clone()));
        match event.kind {
            SyntheticKind::Created => assert_eq!(message.kind, enrichers::TransactionKind::Created),
            SyntheticKind::Deleted => assert_eq!(message.kind, enrichers::TransactionKind::Deleted),
            _ => assert_eq!(message.kind, enrichers::TransactionKind::Updated),
        }
    }
    let known = ["not_json", "unknown_event_type", "missing_id", "bad_stars", "missing_field", "bad_timestamp"];
    assert_eq!(classes, HashSet::from(known));
}

#[test]
fn the_model_is_what_the_decoded_events_come_to() {
    for options in [options(200), rich(3000), GeneratorOptions { late_ratio: 1.0, delete_ratio: 1.0, ..rich(500) }] {
        let mut reviews: HashMap<String, (i64, Option<enrichers::review::Review>)> = HashMap::new();
        for event in all(&options) {
            let Some(payload) = event.payload.filter(|_| event.kind != SyntheticKind::Malformed) else { continue };
            let message = decoded(&payload);
            let known = reviews.entry(message.id.to_string()).or_default();
            if message.version() >= known.0 {
                *known = (message.version(), message.review);
            }
        }
        let mut stars: HashMap<String, Vec<u64>> = HashMap::new();
        let expected = expect_reviews(&options).unwrap();
        assert_eq!(reviews.len(), expected.reviews.len());
        for (id, (version, review)) in reviews {
            let model = &expected.reviews[&id];
            assert_eq!((version, review.is_none()), (model.version, model.deleted));
            let given = stars.entry(model.creator_id.clone()).or_default();
            if let Some(review) = review {
                given.push(review.stars.into());
                let said = (review.creator_id, review.stars, review.title);
                assert_eq!(said, (model.creator_id.clone(), model.stars, Some(model.title.clone())));
            }
        }
        assert_eq!(stars.len(), expected.ratings.len());
        for (creator, given) in stars {
            let rating = expected.ratings[&creator];
            assert_eq!((rating.count, rating.sum), (given.len() as u64, given.iter().sum()));
            let counted = [1, 2, 3, 4, 5].map(|stars| given.iter().filter(|given| **given == stars).count() as u64);
            assert_eq!(rating.histogram, counted);
        }
    }
}

#[test]
fn few_creators_have_most_reviews_and_most_are_good() {
    let ratings = expect_reviews(&options(10_000)).unwrap().ratings;
    assert!((90..=100).contains(&ratings.len()));
    let first: u64 = (1..=20).map(|creator| ratings[&format!("cr_{creator:06}")].count).sum();
    assert!((4_000..7_000).contains(&first), "{first}");
    let good: u64 = ratings.values().map(|rating| rating.histogram[3] + rating.histogram[4]).sum();
    assert!((7_500..8_100).contains(&good), "{good}");
    assert!(ratings.values().map(|rating| rating.histogram[0]).sum::<u64>() > 500);
    assert_eq!(expect_reviews(&GeneratorOptions { users: Some(3), ..options(200) }).unwrap().ratings.len(), 3);
}

#[test]
fn a_late_event_is_older() {
    let mut newest: HashMap<String, ExpectedReview> = HashMap::new();
    let mut of_deleted = 0;
    for event in all(&rich(3000)).into_iter().filter(|event| !event.duplicate) {
        let Some(state) = event.state else { continue };
        if event.kind == SyntheticKind::Late {
            assert!(newest[&event.id].version > state.version);
            of_deleted += u64::from(newest[&event.id].deleted);
        } else {
            assert!(newest.insert(event.id, state.clone()).is_none_or(|known| known.version < state.version));
        }
        assert!(event.micros < until().timestamp_micros());
    }
    assert!(of_deleted > 50, "{of_deleted}");
}
