//! Users, memberships and sessions in MongoDB.

use millrace::synthetic::users;
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;
use testkit::model::{assert_people, people};
use testkit::siblings::Siblings;

use crate::PROGRAM;

#[test]
fn users_are_as_the_model_says_and_a_replay_changes_none() {
    let siblings = Siblings::new(PROGRAM, "users");
    let options = siblings.publish("users", 2_000);
    let summary = &siblings.run_once(&["users"])["users"];
    let (counts, expected) = (options.counts().unwrap(), users::expect_people(&options).unwrap());
    let before = people(&siblings);
    assert_people(&siblings, &before, &expected);
    assert_eq!(summary["records"], counts.records());
    let letters = siblings.letters("users") as u64;
    assert_eq!(summary["dead_lettered"], letters, "a letter for each, poison sent twice too");
    assert!(letters >= counts.malformed, "{letters} letters of {} poisoned", counts.malformed);
    siblings.assert_verified("users");

    siblings.reset("users");
    let again = &siblings.run_once(&["users"])["users"];
    assert_eq!(again["records"], counts.records());
    assert_eq!(people(&siblings), before, "a replay changes nothing");
    assert_eq!(siblings.letters("users") as u64, letters * 2, "a replay's letters are told by their coordinates");
    siblings.assert_verified("users");
}

#[test]
fn a_deleted_user_stays_deleted_and_what_others_keep_stays() {
    let siblings = Siblings::new(PROGRAM, "user");
    siblings.create_topic("users");
    let user = |kind: &str, updated: i64, name: &str| {
        let data =
            json!({"id": "user_1", "object": "user", "first_name": name, "email_addresses": [], "updated_at": updated});
        ("user_1", json!({"type": format!("user.{kind}"), "object": "event", "timestamp": updated, "data": data}))
    };
    let deleted = json!({"id": "user_1", "object": "user", "deleted": true});
    let deleted =
        json!({"type": "user.deleted", "object": "event", "timestamp": 1_700_000_500_000_i64, "data": deleted});
    siblings.send("users", &[user("created", 1_700_000_000_000, "Ada")]);
    siblings.run_once(&["users"]);
    siblings.ask(async |database| {
        let users = database.collection::<Document>("users");
        users.update_one(doc! {"clerkId": "user_1"}, doc! {"$set": {"credits": 7}}).await.unwrap();
    });
    siblings.send("users", &[("user_1", deleted), user("updated", 1_700_000_900_000, "Eve")]);
    let summary = &siblings.run_once(&["users"])["users"];
    assert_eq!((&summary["applied"], &summary["superseded"]), (&json!(1), &json!(1)), "the update is newer and late");
    let held = &siblings.collection("users", "clerkId")["user_1"];
    assert!(held.get_bool("isDeleted").unwrap());
    assert_eq!(held.get_str("firstName").unwrap(), "Ada");
    assert_eq!(held.get_i32("credits").unwrap(), 7);
    siblings.assert_verified("users");
    let story = siblings.explain("users", "user_1").to_string();
    assert!(story.contains("superseded"), "{story}");

    let purged = siblings.world.output(&["purge", "users"]);
    assert_eq!(purged.status.code(), Some(64), "{}", String::from_utf8_lossy(&purged.stderr));
    assert!(String::from_utf8_lossy(&purged.stderr).contains("deletes nothing for good"));
}

#[test]
fn a_user_that_another_unique_index_refuses_is_a_letter_that_names_it() {
    let siblings = Siblings::new(PROGRAM, "unique");
    siblings.create_topic("users");
    siblings.ask(async |database| {
        // As an application makes them: the key has its unique index already, under another name.
        let theirs = |field: &str| doc! {"key": {field: 1.0}, "name": format!("users_{field}_key"), "unique": true};
        let indexes = [theirs("username"), theirs("clerkId")];
        database.run_command(doc! {"createIndexes": "users", "indexes": indexes}).await.unwrap();
    });
    let user = |id: &'static str, name: &str| {
        let data = json!({"id": id, "object": "user", "username": name, "email_addresses": [], "updated_at": 1_700_000_000_000_i64});
        (id, json!({"type": "user.created", "object": "event", "timestamp": 1_700_000_000_000_i64, "data": data}))
    };
    siblings.send("users", &[user("user_1", "ada"), user("user_2", "ada"), user("user_3", "eve")]);
    let summary = &siblings.run_once(&["users"])["users"];
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(2), &json!(1)));
    // One that is there already.
    let (key, mut update) = user("user_3", "ada");
    (update["type"], update["data"]["updated_at"]) = (json!("user.updated"), json!(1_700_000_100_000_i64));
    siblings.send("users", &[(key, update)]);
    let summary = &siblings.run_once(&["users"])["users"];
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(0), &json!(1)));
    let letters = siblings.world.letters_of(&siblings.topic("users"));
    let class = letters[0].headers.iter().find(|header| header.name == "millrace.error.class").unwrap();
    assert_eq!(class.value.as_deref(), Some(b"duplicate_key".as_slice()));
    let reason = letters[0].headers.iter().find(|header| header.name == "millrace.error.reason").unwrap();
    let reason = String::from_utf8(reason.value.as_ref().unwrap().to_vec()).unwrap();
    assert!(reason.contains("users_username_key of users") && reason.contains("USERS_ERASE_DELETED"), "{reason}");
    assert!(!reason.contains("ada"), "it quotes no value: {reason}");
    siblings.assert_verified("users");
}

/// Clerk sends null for what a user, a membership or a session does not have.
#[test]
fn what_is_absent_is_not_written() {
    let siblings = Siblings::new(PROGRAM, "absent");
    siblings.create_topic("users");
    siblings.ask(async |database| {
        for (collection, field) in [("users", "username"), ("organizationMemberships", "organizationSlug")] {
            let index = doc! {"key": {field: 1}, "name": field, "unique": true, "sparse": true};
            database.run_command(doc! {"createIndexes": collection, "indexes": [index]}).await.unwrap();
        }
    });
    let event = |kind: &str, updated: i64, mut data: serde_json::Value| {
        data["updated_at"] = json!(updated);
        let id = data["id"].as_str().unwrap().to_owned();
        (id, json!({"type": kind, "object": "event", "timestamp": updated, "data": data}))
    };
    let send = |events: Vec<(String, serde_json::Value)>| {
        let events: Vec<(&str, serde_json::Value)> =
            events.iter().map(|(id, event)| (id.as_str(), event.clone())).collect();
        siblings.send("users", &events);
        siblings.run_once(&["users"])["users"].clone()
    };
    let user = |id: &str, username: serde_json::Value| json!({"id": id, "object": "user", "username": username, "first_name": null, "email_addresses": [], "x": null});
    let membership = |id: &str, user: &str| json!({"id": id, "public_user_data": {"user_id": user}, "organization": {"id": "org_1", "slug": null}});
    let session = json!({"id": "sess_1", "user_id": "user_1", "client_id": null, "abandon_at": null});
    let first = 1_700_000_000_000;
    let summary = send(vec![
        event("user.created", first, user("user_1", json!(null))),
        event("user.created", first, user("user_2", json!(null))),
        event("user.created", first, user("user_3", json!("eve"))),
        event("organizationMembership.created", first, membership("orgmem_1", "user_1")),
        event("organizationMembership.created", first, membership("orgmem_2", "user_2")),
        event("session.created", first, session),
    ]);
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(6), &json!(0)));
    // What was there and is absent now goes away.
    send(vec![event("user.updated", first + 1_000, user("user_3", json!(null)))]);
    let users = siblings.collection("users", "clerkId");
    for user in users.values() {
        for field in ["username", "firstName", "lastName", "email", "imageUrl", "createdAt"] {
            assert!(!user.contains_key(field), "{field} of {user}");
        }
        // The event itself is kept as it came.
        let data = user.get_document("webhookPayload").unwrap().get_document("data").unwrap();
        assert!(data.get("x") == Some(&Bson::Null) && data.get("first_name") == Some(&Bson::Null), "{data}");
    }
    for (collection, key) in [("organizationMemberships", "membershipId"), ("userSessions", "sessionId")] {
        let written = siblings.collection(collection, key);
        assert!(!written.is_empty());
        for document in written.values() {
            let null: Vec<&String> =
                document.iter().filter(|(_, value)| value.as_null().is_some()).map(|(name, _)| name).collect();
            assert!(null.is_empty(), "{null:?} of {document}");
        }
    }
    siblings.assert_verified("users");
}

/// Somebody deletes an account and registers again with the same address.
#[test]
fn who_was_deleted_may_register_again_where_the_deleted_keep_nothing() {
    let mut siblings = Siblings::new(PROGRAM, "again");
    siblings.world.set("USERS_ERASE_DELETED", "true");
    siblings.create_topic("users");
    siblings.ask(async |database| {
        let index = doc! {"key": {"email": 1}, "name": "their_email", "unique": true, "sparse": true};
        database.run_command(doc! {"createIndexes": "users", "indexes": [index]}).await.unwrap();
    });
    let user = |id: &'static str, time: i64| {
        let address = json!([{"id": "a", "email_address": "ada@example.org"}]);
        let data = json!({"id": id, "email_addresses": address, "primary_email_address_id": "a", "first_name": "Ada",
            "created_at": time, "updated_at": time});
        (id, json!({"type": "user.created", "timestamp": time, "data": data}))
    };
    let deleted =
        json!({"type": "user.deleted", "timestamp": 1_700_000_500_000_i64, "data": {"id": "user_1", "deleted": true}});
    siblings
        .send("users", &[user("user_1", 1_700_000_000_000), ("user_1", deleted), user("user_2", 1_700_000_900_000)]);
    let summary = &siblings.run_once(&["users"])["users"];
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(3), &json!(0)), "{summary}");
    let held = &siblings.collection("users", "clerkId")["user_1"];
    let mut fields: Vec<&str> = held.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["_id", "_version", "clerkId", "createdAt", "deletedAt", "isDeleted", "updatedAt"]);
    siblings.assert_verified("users");
    siblings.reset("users");
    let summary = &siblings.run_once(&["users"])["users"];
    assert_eq!(summary["dead_lettered"], 0, "{summary}");
    assert_eq!(siblings.collection("users", "clerkId")["user_1"].get("email"), None);
}

/// What a browser may write into a user, MongoDB cannot always hold: the member is kept as text, and the user is there.
#[test]
fn what_mongodb_cannot_hold_of_a_user_costs_that_member_alone() {
    let siblings = Siblings::new(PROGRAM, "odd-users");
    siblings.create_topic("users");
    let metadata = [
        ("nul", r#"{"a\u0000b":1.50,"good":1}"#, json!([["/data/unsafe_metadata/a\0b", "1.50"]])),
        (
            "twice",
            r#"{"x":[{"y":1,"y":{"z" : 2},"good":1}]}"#,
            json!([["/data/unsafe_metadata/x/0/y", "1"], ["/data/unsafe_metadata/x/0/y", "{\"z\" : 2}"]]),
        ),
        ("slash", r#"{"a/b~":{"\u0000":null},"good":1}"#, json!([["/data/unsafe_metadata/a~1b~0/\0", "null"]])),
        ("dollar", r#"{"$set":{"$oid":"5"},"a.b":1,"":2,"n":1e400,"good":1}"#, json!([])),
        ("none", r#"{"good":1}"#, json!([])),
    ];
    let event = |id: &str, metadata: &str| {
        format!(
            r#"{{"type":"user.created","timestamp":1700000000000,"data":{{"id":"{id}","first_name":"Ada","email_addresses":[],"unsafe_metadata":{metadata}}}}}"#
        )
    };
    let events: Vec<(&str, String)> = metadata.iter().map(|(id, metadata, _)| (*id, event(id, metadata))).collect();
    let records: Vec<(&str, &str)> = events.iter().map(|(id, event)| (*id, event.as_str())).collect();
    siblings.world.send(&siblings.topic("users"), &records);
    let running = siblings.start(&["users"]);
    testkit::services::eventually("all users are there", || {
        (siblings.collection("users", "clerkId").len() == metadata.len()).then_some(())
    });
    testkit::services::eventually("the members are counted", || {
        (running.metric(r#"millrace_unindexed_fields_total{system="users"}"#) == Some(4.0)).then_some(())
    });
    assert!(running.terminate().success());
    let held = siblings.collection("users", "clerkId");
    for (id, _, expected) in &metadata {
        let kept = held[*id].get_array("_unindexed").cloned().unwrap_or_default();
        let kept: Vec<_> = kept
            .iter()
            .map(|kept| {
                let kept = kept.as_document().unwrap();
                assert_eq!(kept.get_str("field").unwrap(), "webhookPayload");
                json!([kept.get_str("member").unwrap(), kept.get_str("json").unwrap()])
            })
            .collect();
        assert_eq!(json!(kept), *expected, "{id}");
        assert_eq!(held[*id].get_str("firstName").unwrap(), "Ada");
        assert!(held[*id].get_document("webhookPayload").unwrap().to_string().contains("good"), "{id}");
    }
    siblings.assert_verified("users");
    let story = siblings.explain("users", "nul").to_string();
    assert!(story.contains("unindexed"), "{story}");
}
