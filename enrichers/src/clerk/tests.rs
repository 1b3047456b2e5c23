use proptest::prelude::*;

use super::*;
use crate::DecodeError;

/// Every fixture: the event type and a webhook of it.
const FIXTURES: &[(&str, &str)] = &[
    ("user.created", include_str!("../../fixtures/clerk/user.created.json")),
    ("user.updated", include_str!("../../fixtures/clerk/user.updated.json")),
    ("user.deleted", include_str!("../../fixtures/clerk/user.deleted.json")),
    ("organizationMembership.created", include_str!("../../fixtures/clerk/organizationMembership.created.json")),
    ("organizationMembership.updated", include_str!("../../fixtures/clerk/organizationMembership.updated.json")),
    ("organizationMembership.deleted", include_str!("../../fixtures/clerk/organizationMembership.deleted.json")),
    ("session.created", include_str!("../../fixtures/clerk/session.created.json")),
    ("session.ended", include_str!("../../fixtures/clerk/session.ended.json")),
    ("session.removed", include_str!("../../fixtures/clerk/session.removed.json")),
    ("session.revoked", include_str!("../../fixtures/clerk/session.revoked.json")),
];
/// When the fixtures' subjects were created, in milliseconds.
const CREATED: i64 = 1_716_883_200_000;
const DAY_MS: i64 = 86_400_000;

fn fixture(event_type: &str) -> &'static str {
    FIXTURES.iter().find(|(name, _)| *name == event_type).unwrap().1
}

fn event(payload: &str) -> ClerkEvent<'_> {
    match decode(payload.as_bytes(), Some(CREATED)).unwrap() {
        ClerkRecord::Event(event) => *event,
        ClerkRecord::Ignored => panic!("ignored"),
    }
}

fn class(payload: impl AsRef<[u8]>) -> &'static str {
    match decode(payload.as_ref(), Some(CREATED)) {
        Ok(ClerkRecord::Event(_)) => "accepted",
        Ok(ClerkRecord::Ignored) => "ignored",
        Err(DecodeError { class, reason }) => {
            assert!(!reason.contains("SECRET"), "{reason}");
            class
        }
    }
}

/// A small sound webhook.
fn small(event_type: &str, data: &str) -> String {
    format!(r#"{{"type":"{event_type}","object":"event","timestamp":1716883200000,"data":{data}}}"#)
}

fn user_with(fields: &str) -> String {
    small("user.updated", &format!(r#"{{"id":"user_1","email_addresses":[],{fields}}}"#))
}

#[test]
fn every_fixture_is_an_event_of_its_type() {
    for (event_type, payload) in FIXTURES {
        let event = event(payload);
        let (of, kind) = event_type.split_once('.').unwrap();
        assert_eq!(event.kind.name(), kind);
        assert_eq!(event.payload, *payload);
        assert_eq!(
            event.id,
            serde_json::from_str::<serde_json::Value>(payload).unwrap()["data"]["id"].as_str().unwrap()
        );
        let known = match &event.subject {
            Subject::User(user) => ("user", user.is_some()),
            Subject::Membership(membership) => ("organizationMembership", membership.is_some()),
            Subject::Session(_) => ("session", true),
        };
        assert_eq!(known, (of, kind != "deleted"));
        assert_eq!(event.is_delete(), kind == "deleted");
        assert!(is_about(payload.as_bytes(), &event.id) && !is_about(payload.as_bytes(), "user_1"));
    }
}

#[test]
fn a_user_has_the_primary_address() {
    let Subject::User(Some(user)) = event(fixture("user.updated")).subject else { panic!() };
    let expected = User {
        email: Some("john.doe@example.com".to_owned()),
        email_verified: true,
        first_name: Some("John".to_owned()),
        last_name: Some("Doe Updated".to_owned()),
        username: Some("johndoe".to_owned()),
        image_url: Some("https://img.clerk.com/yyyyy".to_owned()),
        created_at: Some(CREATED),
        updated_at: Some(CREATED + 300_000),
    };
    assert_eq!(user, expected);
    let other = fixture("user.created").replace(
        r#""primary_email_address_id": "idn_2g7np7Hrk0SN6kj5EDMLDaKNL0S""#,
        r#""primary_email_address_id": "idn_2g7np7Hrk0SN6kj5EDMLDaKNL0T""#,
    );
    let Subject::User(Some(user)) = event(&other).subject else { panic!() };
    assert_eq!((user.email.as_deref(), user.email_verified), (Some("john@example.org"), false));
    assert_eq!(user.username, None);
}

#[test]
fn a_user_may_have_no_address() {
    for fields in [
        r#""primary_email_address_id":null"#,
        r#""primary_email_address_id":"idn_1""#,
        r#""first_name":null,"created_at":null,"image_url":null"#,
    ] {
        let payload = user_with(fields);
        let Subject::User(Some(user)) = event(&payload).subject else { panic!() };
        assert_eq!(user, User::default());
    }
    // An address without an id belongs to no one.
    let anonymous = r#"{"id":"user_1","email_addresses":[{"email_address":"a@example.com"},7]}"#;
    let payload = small("user.created", anonymous);
    let Subject::User(Some(user)) = event(&payload).subject else { panic!() };
    assert_eq!(user.email, None);
}

#[test]
fn odd_values_are_kept_or_named_and_never_left_out() {
    let fields =
        r#""first_name":"cut \ud83d","last_name":7.10,"username":"","\ude00":[1E400,12345678901234567890123,1.10]"#;
    let payload = user_with(fields);
    let event = event(&payload);
    let Subject::User(Some(user)) = &event.subject else { panic!() };
    assert_eq!(user.first_name.as_deref(), Some("cut \u{fffd}"));
    assert_eq!((user.last_name.as_deref(), user.username.as_deref()), (Some("7.10"), Some("")));
    assert_eq!(event.payload, payload.replace("\\ud83d", "\\ufffd").replace("\\ude00", "\\ufffd"));
    for (fields, class_of) in [
        (r#""first_name":{"SECRET":1}"#, "bad_field"),
        (r#""username":true"#, "bad_field"),
        (r#""created_at":"SECRET""#, "bad_timestamp"),
        (r#""created_at":[1]"#, "bad_timestamp"),
    ] {
        assert_eq!(class(user_with(fields)), class_of, "{fields}");
    }
}

#[test]
fn a_membership_and_a_session() {
    let Subject::Membership(Some(membership)) = event(fixture("organizationMembership.updated")).subject else {
        panic!()
    };
    let expected = OrganizationMembership {
        user_id: "user_2h8op3Isl1QR7tKu5FGNfaLKEoU".to_owned(),
        organization_id: "org_2g7np7Hrk0SN6kj5EDMLDaKNL0S".to_owned(),
        organization_name: Some("Acme Corp".to_owned()),
        organization_slug: Some("acme-corp".to_owned()),
        role: Some("org:admin".to_owned()),
        created_at: Some(CREATED),
        updated_at: Some(CREATED + 300_000),
    };
    assert_eq!(membership, expected);
    let Subject::Session(session) = event(fixture("session.created")).subject else { panic!() };
    let expected = Session {
        user_id: "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S".to_owned(),
        client_id: Some("client_2g7np7Hrk0SN6kj5EDMLDaKNL0S".to_owned()),
        status: Some("active".to_owned()),
        created_at: Some(CREATED),
        updated_at: Some(CREATED),
        last_active_at: Some(CREATED),
        expire_at: Some(CREATED + DAY_MS),
        abandon_at: Some(CREATED + 30 * DAY_MS),
    };
    assert_eq!(session, expected);
}

#[test]
fn the_time_is_the_first_that_is_there() {
    let time = |payload: &str| event(payload).time_micros;
    assert_eq!(time(&user_with(r#""updated_at":1716883200123"#)), 1_716_883_200_123_000);
    assert_eq!(time(&user_with(r#""updated_at":null"#)), CREATED * 1_000);
    assert_eq!(time(&user_with(r#""updated_at":1716883201"#)), 1_716_883_201_000_000);
    let neither = user_with(r#""updated_at":null"#).replace("1716883200000", "null");
    let recorded = |record| match decode(neither.as_bytes(), record) {
        Ok(ClerkRecord::Event(event)) => event.time_micros,
        Ok(ClerkRecord::Ignored) => panic!("ignored"),
        Err(reject) => panic!("{reject}"),
    };
    assert_eq!(recorded(Some(CREATED + 5)), (CREATED + 5) * 1_000);
    for record in [None, Some(-1), Some(i64::MAX)] {
        assert_eq!(decode(neither.as_bytes(), record).unwrap_err().class, "bad_timestamp");
    }
}

#[test]
fn versions_order_by_time_then_rank_and_a_deletion_is_last() {
    let version = |name: &str| event(fixture(name)).version();
    assert_eq!(version("user.created"), CREATED * 4_000);
    assert_eq!(version("user.updated"), (CREATED + 300_000) * 4_000 + 1);
    assert_eq!(version("session.created"), CREATED * 4_000);
    for ended in ["session.ended", "session.removed", "session.revoked"] {
        assert_eq!(version(ended), CREATED * 4_000 + 1);
    }
    let last_day = small("user.updated", r#"{"id":"user_1","email_addresses":[],"updated_at":"9999-12-31T23:59:59Z"}"#);
    let ClerkRecord::Event(last) = decode(last_day.as_bytes(), None).unwrap() else { panic!() };
    let first_day = small("user.deleted", r#"{"id":"user_1","deleted":true,"updated_at":0}"#);
    let first = event(&first_day);
    assert!(first.version() > last.version());
    for event in [&first, &last, &event(fixture("user.deleted")), &event(fixture("session.ended"))] {
        assert_eq!(micros_of(event.version()), event.time_micros);
    }
    assert_eq!(version_at(1), 4);
}

#[test]
fn message_ids_tell_messages_apart() {
    let ids: std::collections::HashSet<_> = FIXTURES.iter().map(|(_, payload)| event(payload).message_id).collect();
    assert_eq!(ids.len(), FIXTURES.len());
    let again = event(fixture("user.created")).message_id;
    assert_eq!(again, event(fixture("user.created")).message_id);
}

#[test]
fn other_types_are_ignored() {
    for event_type in ["user.exploded", "session.pending", "organization.created", "email.created", ""] {
        assert_eq!(class(small(event_type, "null")), "ignored", "{event_type}");
    }
    for event_type in ["null", "7", "{}"] {
        let payload = small("user.updated", "{}").replace("\"user.updated\"", event_type);
        assert_eq!(class(payload), "unknown_event_type", "{event_type}");
    }
    assert_eq!(class("{}"), "unknown_event_type");
}

#[test]
fn what_is_no_json_object() {
    assert_eq!(class(b"\xff"), "not_utf8");
    for payload in ["", "SECRET", r#"{"type":"user.created""#, r#"{"type":"user.created"}x"#] {
        assert_eq!(class(payload), "not_json", "{payload}");
    }
    for payload in ["[]", "7", "null", "\"SECRET\""] {
        assert_eq!(class(payload), "not_an_object", "{payload}");
    }
    let deep = |levels: usize| user_with(&format!("\"x\":{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert_eq!(class(deep(88)), "accepted");
    assert_eq!(class(deep(89)), "too_deep");
}

#[test]
fn ids() {
    let with = |id: &str| class(small("user.deleted", &format!(r#"{{"deleted":true,"id":{id}}}"#)));
    for id in ["null", "\"\"", "true", "1.5", "[]", r#"{"SECRET":1}"#] {
        assert_eq!(with(id), "missing_id", "{id}");
    }
    assert_eq!(class(small("user.deleted", "{}")), "missing_id");
    assert_eq!(with(&format!("\"{}\"", "é".repeat(256))), "accepted");
    assert_eq!(with(&format!("\"{}\"", "é".repeat(257))), "id_too_long");
    assert_eq!(with(r#""a\u0000b""#), "accepted");
    for (written, id) in [
        (r#""\u0061""#, "a"),
        ("12", "12"),
        (r#""a\u0000b""#, "a\0b"),
        ("99999999999999999999", "99999999999999999999"),
    ] {
        let payload = small("session.ended", &format!(r#"{{"id":{written},"user_id":"u"}}"#));
        assert_eq!(event(&payload).id, id);
        assert!(is_about(payload.as_bytes(), id));
    }
    assert_eq!(with(r#""a","id":"b""#), "duplicate_field");
    assert_eq!(class(r#"{"type":"user.deleted","type":"user.created"}"#), "duplicate_field");
}

#[test]
fn a_broken_event_is_about_the_id_that_it_names() {
    for payload in [
        r#"{"type":7,"data":{"id":"a"}}"#,
        r#"{"data":{"object":"user","id":"a","first_name":"#,
        r#"{"type":"organization.created","data":{"id":"a"}}"#,
    ] {
        assert!(is_about(payload.as_bytes(), "a"), "{payload}");
    }
    for payload in [r#"{"id":"a","data":{}}"#, r#"{"data":{"user_id":"a"}}"#, r#"{"data_id":"a"}"#, "a"] {
        assert!(!is_about(payload.as_bytes(), "a"), "{payload}");
    }
}

#[test]
fn required_fields() {
    for data in ["null", "7", "[]", "\"SECRET\""] {
        assert_eq!(class(small("user.created", data)), "missing_field", "{data}");
    }
    for addresses in ["", ",\"email_addresses\":null", ",\"email_addresses\":{\"SECRET\":1}"] {
        assert_eq!(class(small("user.created", &format!(r#"{{"id":"user_1"{addresses}}}"#))), "missing_field");
    }
    assert_eq!(class(small("user.deleted", r#"{"id":"user_1"}"#)), "accepted");
    let membership = |data: &str| class(small("organizationMembership.created", &format!(r#"{{"id":"m"{data}}}"#)));
    assert_eq!(membership(r#","public_user_data":{"user_id":"u"},"organization":{"id":"o"}"#), "accepted");
    assert_eq!(membership(r#","public_user_data":{"user_id":"u"},"organization":{"id":""}"#), "missing_field");
    assert_eq!(membership(r#","public_user_data":{"user_id":"u"}"#), "missing_field");
    assert_eq!(membership(r#","public_user_data":null,"organization":{"id":"o"}"#), "missing_field");
    assert_eq!(class(small("organizationMembership.deleted", r#"{"id":"m"}"#)), "accepted");
    assert_eq!(class(small("session.removed", r#"{"id":"s","user_id":7}"#)), "missing_field");
}

#[test]
fn timestamps() {
    let with = |time: &str| class(user_with(&format!(r#""updated_at":{time}"#)));
    for time in ["\"SECRET\"", "true", "{}", "1E400", "\"\""] {
        assert_eq!(with(time), "bad_timestamp", "{time}");
    }
    assert_eq!(with("-1"), "timestamp_out_of_range");
    assert_eq!(with(&(CREATED + DAY_MS).to_string()), "accepted");
    assert_eq!(with(&(CREATED + DAY_MS + 1).to_string()), "timestamp_out_of_range");
    let sent = |time: &str| class(small("user.deleted", r#"{"id":"user_1"}"#).replace("1716883200000", time));
    assert_eq!(sent("\"SECRET\""), "bad_timestamp");
    assert_eq!(sent("4099766400000"), "timestamp_out_of_range");
    assert_eq!(sent("1716883200"), "accepted");
}

proptest! {
    #[test]
    fn a_damaged_webhook_is_judged_and_what_it_names_is_what_it_is_about(
        which in 0..FIXTURES.len(), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let mut payload = FIXTURES[which].1.as_bytes().to_vec();
        let at = at.index(payload.len());
        if cut { payload.truncate(at) } else { payload[at] = byte }
        if let Ok(ClerkRecord::Event(event)) = decode(&payload, Some(CREATED)) {
            prop_assert!(is_about(&payload, &event.id));
            prop_assert_eq!(micros_of(event.version()), event.time_micros);
        }
    }
}
