use std::collections::{HashMap, HashSet};

use enrichers::clerk::{ClerkRecord, Subject, decode};
use serde_json::Value;

use super::super::tests::{options, rich, tally, until};
use super::super::{GeneratorOptions, SyntheticKind};
use super::*;

fn all(options: &GeneratorOptions) -> Vec<UserMessage> {
    events(options).unwrap().collect()
}

fn decoded(payload: &str) -> enrichers::clerk::ClerkEvent<'_> {
    match decode(payload.as_bytes(), Some(until().timestamp_millis())).unwrap() {
        ClerkRecord::Event(event) => *event,
        ClerkRecord::Ignored => panic!("ignored: {payload}"),
    }
}

/// What the program's decoder makes of an event, in the model's words.
fn as_expected(event: &enrichers::clerk::ClerkEvent<'_>) -> ExpectedPerson {
    let mut state =
        ExpectedPerson { version: event.version(), deleted: event.is_delete(), ..ExpectedPerson::default() };
    match event.subject.clone() {
        Subject::User(user) => {
            state.collection = "users";
            let user = user.unwrap_or_default();
            (state.email, state.email_verified) = (user.email, user.email_verified);
            (state.first_name, state.last_name) = (user.first_name, user.last_name);
            (state.username, state.image_url) = (user.username, user.image_url);
        }
        Subject::Membership(membership) => {
            state.collection = "organizationMemberships";
            if let Some(membership) = membership {
                (state.user_id, state.organization_id) = (Some(membership.user_id), Some(membership.organization_id));
                (state.organization_name, state.role) = (membership.organization_name, membership.role);
            }
        }
        Subject::Session(session) => {
            state.collection = "userSessions";
            (state.user_id, state.status) = (Some(session.user_id), session.status);
        }
    }
    state
}

#[test]
fn the_same_options_give_the_same_bytes() {
    assert_eq!(all(&rich(500)), all(&rich(500)));
    assert_ne!(all(&rich(500)), all(&GeneratorOptions { seed: 8, ..rich(500) }));
    let later = GeneratorOptions { until: until() + chrono::Duration::hours(1), ..rich(500) };
    let ids = |options: &GeneratorOptions| all(options).into_iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(&rich(500)), ids(&later));
}

#[test]
fn the_counts_are_exact() {
    let many_deletes = |count| GeneratorOptions { delete_ratio: 0.8, ..options(count) };
    let many = [0, 1, 7, 20, 999, 12_000].map(many_deletes);
    for options in many.into_iter().chain([rich(3000), GeneratorOptions { update_ratio: 3.0, ..rich(100) }]) {
        let counts = options.counts().unwrap();
        assert_eq!(tally(all(&options).iter().map(|event| (event.kind, event.duplicate))), counts);
        let expected = expect_people(&options).unwrap();
        assert_eq!(expected.len() as u64, counts.creates);
        assert_eq!(expected.values().filter(|state| !state.deleted).count() as u64, counts.documents());
    }
    assert!(
        events(&GeneratorOptions { delete_ratio: 0.81, ..options(9) })
            .is_err_and(|why| why.to_string().contains("--delete-ratio"))
    );
}

#[test]
fn an_event_decodes_as_its_kind_says() {
    let mut types = HashMap::new();
    for event in all(&rich(3000)) {
        let Some(payload) = event.payload.as_deref() else {
            assert_eq!((event.kind, event.state), (SyntheticKind::Null, None));
            continue;
        };
        let Some(state) = event.state else {
            assert_eq!(event.kind, SyntheticKind::Malformed);
            *types.entry(decode(payload.as_bytes(), None).unwrap_err().class.to_owned()).or_insert(0) += 1;
            continue;
        };
        let message = decoded(payload);
        assert_eq!((message.id.as_ref(), message.time_micros), (event.id.as_str(), event.micros));
        assert_eq!(as_expected(&message), state);
        let value: Value = serde_json::from_str(payload).unwrap();
        let user = ["/data/public_user_data/user_id", "/data/user_id", "/data/id"].map(|at| value.pointer(at));
        assert_eq!(user.into_iter().flatten().next().unwrap(), &event.key);
        let kind = value["type"].as_str().unwrap().split_once('.').unwrap().1;
        match event.kind {
            SyntheticKind::Created => assert_eq!(kind, "created"),
            SyntheticKind::Deleted => assert_eq!(kind, "deleted"),
            _ => assert!(["updated", "ended", "removed", "revoked"].contains(&kind)),
        }
        *types.entry(value["type"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let classes = ["not_json", "not_an_object", "missing_id", "unknown_event_type", "bad_timestamp", "missing_field"];
    assert!(classes.iter().all(|class| types.remove(*class).is_some()));
    assert_eq!(types.len(), 10, "{types:?}");
}

#[test]
fn the_model_is_what_the_decoded_events_come_to() {
    for options in [options(200), rich(3000), GeneratorOptions { late_ratio: 1.0, delete_ratio: 0.8, ..rich(800) }] {
        let mut folded: HashMap<String, ExpectedPerson> = HashMap::new();
        for event in all(&options) {
            let Some(payload) = event.payload.filter(|_| event.kind != SyntheticKind::Malformed) else { continue };
            let message = decoded(&payload);
            let known = folded.entry(message.id.to_string()).or_default();
            if message.version() >= known.version {
                *known = as_expected(&message);
            }
        }
        assert_eq!(folded, expect_people(&options).unwrap());
    }
}

#[test]
fn users_memberships_and_sessions_have_their_shares() {
    let mut shares: HashMap<&str, u64> = HashMap::new();
    expect_people(&options(2000)).unwrap().values().for_each(|state| *shares.entry(state.collection).or_default() += 1);
    let shares = ["users", "organizationMemberships", "userSessions"].map(|collection| shares[collection]);
    assert_eq!(shares, [1400, 300, 300]);
}

#[test]
fn a_membership_or_session_is_of_a_user_created_before() {
    let mut users = HashSet::new();
    for event in all(&options(2000)).into_iter().filter(|event| event.kind == SyntheticKind::Created) {
        match event.state.unwrap().user_id {
            None => assert!(users.insert(event.id)),
            Some(user) => assert!(users.contains(&user) && event.key == user),
        }
    }
}

#[test]
fn a_late_event_is_older_and_says_something_else() {
    let mut newest: HashMap<String, ExpectedPerson> = HashMap::new();
    let mut of_deleted = 0;
    for event in all(&rich(3000)).into_iter().filter(|event| !event.duplicate) {
        let Some(state) = event.state else { continue };
        if event.kind == SyntheticKind::Late {
            let known = &newest[&event.id];
            assert!(known.version > state.version);
            of_deleted += u64::from(known.deleted);
            let same = ExpectedPerson { version: known.version, ..state };
            assert!(known.deleted || *known != same);
        } else {
            assert!(newest.insert(event.id, state.clone()).is_none_or(|known| known.version < state.version));
        }
        assert!(event.micros % 1_000 == 0 && event.micros < until().timestamp_micros());
    }
    assert!(of_deleted > 50, "{of_deleted}");
}

#[test]
fn users_differ_in_what_they_have() {
    let users: Vec<_> =
        expect_people(&rich(3000)).unwrap().into_values().filter(|state| state.collection == "users").collect();
    let living = || users.iter().filter(|user| !user.deleted);
    assert!(living().any(|user| user.email.is_none() && !user.email_verified));
    assert!(living().any(|user| user.email.is_some() && !user.email_verified));
    assert!(living().any(|user| user.last_name.is_none()) && living().any(|user| user.username.is_some()));
    let addresses: HashSet<_> = living().filter_map(|user| user.email.as_deref()).collect();
    assert!(addresses.len() > 1_000 && addresses.iter().any(|address| address.contains("+1@")));
    let domains = ["@example.com", "@example.org", "@example.net"];
    assert!(addresses.iter().all(|address| domains.iter().any(|domain| address.ends_with(domain))));
}
