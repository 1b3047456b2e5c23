//! A person's values taken out of all stores: what stays is ids, versions and times, and no replay brings the values back.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::choices::{OF_TRANSACTIONS, WITH_DOCUMENTS, one_a_topic};
use testkit::database::OwnDatabase;
use testkit::program::printed;
use testkit::services::{elasticsearch, source_of};
use testkit::siblings::Siblings;
use testkit::world::{World, block_on};

use crate::PROGRAM;

/// What stands in each value of hers, and in none of others.
const HERS: &str = "Lovelace";

fn transaction(kind: &str, id: &'static str, user: &str, note: &str, second: u8) -> (&'static str, Value) {
    let transaction = json!({"id": id, "user_id": user, "transaction_type": "p2p", "amount": "1.50", "note": note});
    let time = format!("2026-11-01T10:00:{second:02}Z");
    (id, json!({"event_type": format!("transaction.{kind}"), "timestamp": time, "transaction": transaction}))
}

fn user(kind: &str, id: &'static str, name: &str, second: i64) -> (&'static str, Value) {
    let address =
        json!([{"id": "a1", "email_address": format!("{name}@example.org"), "verification": {"status": "verified"}}]);
    let time = 1_793_000_000_000_i64 + second * 1_000;
    let data = json!({
        "id": id, "object": "user", "first_name": name, "username": name, "email_addresses": address, "created_at": time,
        "primary_email_address_id": "a1", "updated_at": time,
    });
    (id, json!({"type": format!("user.{kind}"), "object": "event", "timestamp": time, "data": data}))
}

fn review(id: &'static str, user: &str, stars: u8, text: &str) -> (&'static str, Value) {
    let time = "2026-11-01T10:00:00Z";
    let data = json!({"id": id, "creatorId": "cr_1", "userId": user, "stars": stars, "title": text, "updatedAt": time});
    (id, json!({"id": id, "type": "review.created", "timestamp": time, "data": data}))
}

fn send_all(siblings: &Siblings) {
    for system in one_a_topic(&WITH_DOCUMENTS) {
        siblings.world.create_topic_named(&siblings.topic(system));
    }
    let bad = {
        let (id, mut event) = transaction("created", "t_bad", "ada", HERS, 9);
        event["transaction"]["amount"] = json!("a lot");
        (id, event)
    };
    let others_bad = {
        let (id, mut event) = transaction("created", "t_other_bad", "bob", "Boole", 9);
        event["transaction"]["amount"] = json!("a lot");
        (id, event)
    };
    siblings.send("transactions", &[
        transaction("created", "t_1", "ada", HERS, 1),
        transaction("updated", "t_1", "ada", "Lovelace again", 2),
        transaction("created", "t_2", "ada", HERS, 3),
        transaction("created", "t_gone", "ada", HERS, 4),
        ("t_gone", json!({"event_type": "transaction.deleted", "timestamp": "2026-11-01T10:00:05Z", "transaction": {"id": "t_gone"}})),
        transaction("created", "t_other", "bob", "Boole", 6),
        others_bad,
        bad,
    ]);
    // Cut off, so nobody can read whose it is but by its bytes.
    siblings
        .world
        .send(&siblings.topic("transactions"), &[("k", r#"{"transaction":{"user_id":"ada","note":"Lovelace"#)]);
    let session = json!({"id": "sess_1", "user_id": "ada", "client_id": "c", "status": "active", "created_at": 1_793_000_000_000_i64,
        "updated_at": 1_793_000_000_000_i64});
    let membership = json!({"id": "mem_1", "public_user_data": {"user_id": "ada"}, "role": "Lovelace",
        "organization": {"id": "org_1", "name": "Lovelace Ltd"}, "updated_at": 1_793_000_000_000_i64});
    siblings.send("users", &[
        user("created", "ada", HERS, 0),
        user("updated", "ada", "Lovelace-King", 5),
        user("created", "bob", "Boole", 0),
        ("ada", json!({"type": "session.created", "object": "event", "timestamp": 1_793_000_000_000_i64, "data": session})),
        ("ada", json!({"type": "organizationMembership.created", "object": "event", "timestamp": 1_793_000_000_000_i64, "data": membership})),
    ]);
    siblings.send("reviews", &[review("rev_1", "ada", 1, HERS), review("rev_2", "bob", 5, "Boole")]);
}

/// Everything that the stores hold, as texts.
fn everything(siblings: &Siblings, database: &OwnDatabase) -> Vec<(&'static str, String)> {
    elasticsearch("POST", &format!("/{}/_refresh", siblings.world.name), None);
    let index = ["t_1", "t_2", "t_gone"].map(|id| source_of(&siblings.world.name, id)).join("\n");
    let audit = block_on(async {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        let all = "SELECT string_agg(row::text, ' ') FROM (SELECT payload, user_id, NULL AS x FROM transaction_state
            UNION ALL SELECT payload, NULL, transaction_id FROM transaction_events) AS row";
        // A union of JSON wants no order.
        sqlx::query_scalar::<_, Option<String>>(all).fetch_one(&mut connection).await.unwrap().unwrap_or_default()
    });
    let collections =
        ["transactions", "users", "organizationMemberships", "userSessions", "algoliaTransactions", "algoliaReviews"];
    let mongodb = siblings.ask(async |database| {
        let mut all = Vec::new();
        for name in collections {
            let mut cursor =
                database.collection::<mongodb::bson::Document>(name).find(mongodb::bson::doc! {}).await.unwrap();
            while cursor.advance().await.unwrap() {
                all.push(mongodb::bson::Document::try_from(cursor.current()).unwrap().to_string());
            }
        }
        all.join("\n")
    });
    let algolia = ["transactions", "reviews"].map(|index| json!(siblings.objects(index)).to_string()).join("\n");
    let letters: Vec<String> = one_a_topic(&WITH_DOCUMENTS)
        .into_iter()
        .flat_map(|system| siblings.world.letters_of(&siblings.topic(system)))
        .map(|letter| String::from_utf8_lossy(letter.payload.as_deref().unwrap_or_default()).into_owned())
        .collect();
    vec![
        ("index", index),
        ("audit", audit),
        ("MongoDB", mongodb),
        ("Algolia", algolia),
        ("letters", letters.join("\n")),
    ]
}

fn erased(siblings: &Siblings, args: &[&str]) -> Value {
    let output = siblings.world.output(&[&["erase", "ada", "--json"], args].concat());
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    printed(&output)
}

fn of<'r>(report: &'r Value, system: &str) -> &'r Value {
    report["stores"].as_array().unwrap().iter().find(|store| store["system"] == system).unwrap()
}

#[test]
fn a_person_leaves_ids_and_versions_in_every_store_and_no_replay_brings_values_back() {
    let mut world = World::new(PROGRAM, "erase");
    let database = OwnDatabase::of(&mut world);
    let siblings = Siblings::in_world(world);
    send_all(&siblings);
    siblings.run_once(&WITH_DOCUMENTS);
    let before = everything(&siblings, &database);
    for (store, text) in &before {
        assert!(text.contains(HERS), "{store} holds her values before: {text}");
    }
    let (letters, rating) = (siblings.letters("transactions"), siblings.objects("creators")["cr_1"]["rating"].clone());
    assert_eq!((letters, &rating["count"]), (3, &json!(2)), "{rating}");

    let nobody = siblings.world.output(&["erase", "ada"]);
    assert_eq!(nobody.status.code(), Some(64), "nobody confirms: {}", String::from_utf8_lossy(&nobody.stderr));
    let looked = erased(&siblings, &["--dry-run"]);
    assert_eq!(everything(&siblings, &database), before, "a look changes nothing");

    let report = erased(&siblings, &["--yes"]);
    assert_counted(&looked, &report);
    let assert_gone = |when: &str| {
        for (store, text) in everything(&siblings, &database) {
            assert!(!text.contains(HERS), "{store} holds her values {when}: {text}");
            assert!(store == "index" || text.contains("Boole"), "{store} holds those of others {when}: {text}");
        }
    };
    assert_gone("after the erasure");
    assert_eq!(siblings.letters("transactions"), letters, "a letter stays, and what it says of where it stood");
    assert_eq!(siblings.objects("creators")["cr_1"]["rating"]["count"], 1);
    let ada = &siblings.collection("users", "clerkId")["ada"];
    let mut fields: Vec<&str> = ada.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["_id", "_version", "clerkId", "createdAt", "deletedAt", "isDeleted", "updatedAt"]);

    // An event that nobody had read yet, older than what was erased.
    siblings.send("transactions", &[transaction("updated", "t_1", "ada", "Lovelace late", 0)]);
    siblings.run_once(&OF_TRANSACTIONS);
    assert_gone("after a late event");
    // From the start once more: the log still has everything.
    for system in WITH_DOCUMENTS.iter() {
        siblings.assert_verified(system);
        siblings.reset(system);
    }
    siblings.run_once(&WITH_DOCUMENTS);
    assert_gone_but_letters(&siblings, &database);
    let repaired = siblings.world.output(&["verify", "transactions", "--repair"]);
    assert!(repaired.status.success(), "{}", String::from_utf8_lossy(&repaired.stdout));
    for system in WITH_DOCUMENTS.iter() {
        siblings.assert_verified(system);
    }
    // The letters of a redelivery hold what the log holds, and go as well.
    erased(&siblings, &["--yes"]);
    assert_gone("after a replay and another erasure");
}

/// The look and the erasure count alike.
fn assert_counted(looked: &Value, report: &Value) {
    for part in ["stores", "letters"] {
        let counts = |report: &Value| {
            report[part].as_array().unwrap().iter().map(|one| one["documents"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(counts(looked), counts(report), "{part}");
    }
    for (system, documents) in
        [("transactions", 2), ("transactions-audit", 2), ("transactions-mongo", 2), ("reviews", 1), ("ratings", 1)]
    {
        assert_eq!(of(report, system)["documents"], documents, "{report}");
    }
    assert_eq!(of(report, "transactions-audit")["emptied"], 4, "every event with her name: {report}");
    assert_eq!(of(report, "users")["emptied"], 3, "user, membership and session: {report}");
    assert_eq!(
        (&report["letters"][0]["emptied"], &report["letters"][0]["left"]),
        (&json!(2), &Value::Null),
        "{report}"
    );
    assert_eq!(report["logs"].as_array().unwrap().len(), 3, "{report}");
}

/// A replay of the log makes letters anew; the stores take nothing.
fn assert_gone_but_letters(siblings: &Siblings, database: &OwnDatabase) {
    for (store, text) in everything(siblings, database).into_iter().filter(|(store, _)| *store != "letters") {
        assert!(!text.contains(HERS), "{store} holds her values after a replay: {text}");
    }
}

#[test]
fn one_file_and_a_ledger_in_postgres_forget_a_person_too() {
    let mut world = World::new(PROGRAM, "erase-file");
    let database = OwnDatabase::of(&mut world);
    world.set("TRANSACTIONS_STORE", &format!("sqlite:{}", world.dir.join("index.db").display()));
    let mut siblings = Siblings::in_world(world);
    siblings.world.env.remove("MONGODB_URL");
    send_all_transactions(&siblings);
    siblings.run_once(&["transactions", "transactions-algolia"]);
    let report = erased(&siblings, &["--yes", "--system", "transactions", "--system", "transactions-algolia"]);
    assert_eq!(of(&report, "transactions")["documents"], 1, "{report}");
    assert_eq!(of(&report, "transactions-algolia")["documents"], 1, "{report}");
    // The same file as audit.
    siblings.world.set("DATABASE_URL", &format!("sqlite:{}", siblings.world.dir.join("audit.db").display()));
    siblings.reset("transactions-audit");
    siblings.run_once(&["transactions-audit"]);
    let report = erased(&siblings, &["--yes", "--system", "transactions-audit"]);
    let audit = of(&report, "transactions-audit");
    assert!(audit["documents"].as_u64().unwrap() + audit["emptied"].as_u64().unwrap() >= 2, "{report}");
    for name in ["index.db", "audit.db"] {
        siblings.world.output(&["verify", "transactions", "--json"]);
        let path = siblings.world.dir.join(name);
        let text = block_on(async {
            let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
            let table = if name == "index.db" {
                "SELECT group_concat(source) FROM documents"
            } else {
                "SELECT group_concat(payload) FROM transaction_events"
            };
            sqlx::query_scalar::<_, Option<String>>(table).fetch_one(&mut connection).await.unwrap().unwrap_or_default()
        });
        assert!(!text.contains(HERS) && text.contains("Boole"), "{name}: {text}");
    }
    let ledger = block_on(async {
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        let all = "SELECT string_agg(concat(object, previous_object), ' ') FROM algolia_ledger";
        sqlx::query_scalar::<_, Option<String>>(all).fetch_one(&mut connection).await.unwrap().unwrap_or_default()
    });
    assert!(!ledger.contains(HERS) && ledger.contains("Boole"), "{ledger}");
    siblings.world.env.insert("MONGODB_URL".to_owned(), testkit::services::variable("MONGODB_URL"));
}

fn send_all_transactions(siblings: &Siblings) {
    siblings.world.create_topic(&[]);
    siblings.send(
        "transactions",
        &[
            transaction("created", "t_1", "ada", HERS, 1),
            transaction("updated", "t_1", "ada", "Lovelace again", 2),
            transaction("created", "t_other", "bob", "Boole", 6),
        ],
    );
}

#[test]
fn the_history_takes_nothing_else_away() {
    let mut world = World::new(PROGRAM, "erase-trigger");
    let database = OwnDatabase::of(&mut world);
    let siblings = Siblings::in_world(world);
    send_all_transactions(&siblings);
    siblings.run_once(&["transactions-audit"]);
    let refused = |statement: &'static str| {
        block_on(async {
            let mut connection = PgConnection::connect(&database.url).await.unwrap();
            sqlx::raw_sql(statement)
                .execute(&mut connection)
                .await
                .map(|done| done.rows_affected())
                .map_err(|error| error.to_string())
        })
    };
    for statement in [
        "DELETE FROM transaction_events",
        "UPDATE transaction_events SET payload = '{}'",
        "UPDATE transaction_events SET version = 1, payload = '{\"_erased\":true}'",
        "UPDATE transaction_events SET recorded_at = now() + interval '1 day', payload = '{\"_erased\":true}'",
    ] {
        let why = refused(statement).unwrap_err();
        assert!(why.contains("append-only"), "{statement}: {why}");
    }
    assert_eq!(refused("UPDATE transaction_events SET payload = '{\"_erased\":true}'"), Ok(3));
}
