//! A file of odd payloads, as other languages and databases write them, on which all stores have to agree. What is right stands
//! beside each payload, and is held against the stores by code of the tests' own.

use std::collections::BTreeMap;
use std::fmt;

use mongodb::bson::{Bson, Decimal128, Document};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use testkit::choices::OF_TRANSACTIONS;
use testkit::database::OwnDatabase;
use testkit::services::source_of;
use testkit::siblings::Siblings;
use testkit::world::World;

use crate::PROGRAM;
use crate::values::same;

/// A line a payload: the document's id, what it has to be in microseconds since 1970 or the class of its dead letter, the fields
/// that are kept as JSON text, the payload.
const FILE: &str = include_str!("payloads.tsv");

struct Case {
    id: &'static str,
    end: Result<i64, &'static str>,
    /// The field, or `metadata` and its member.
    kept: Vec<Vec<String>>,
    payload: &'static str,
}

fn cases() -> Vec<Case> {
    let lines = FILE.lines().filter(|line| !line.starts_with('#'));
    let case = |line: &'static str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, end, kept, payload] = columns[..] else { panic!("{line}") };
        Case { id, end: end.parse().map_err(|_| end), kept: serde_json::from_str(kept).unwrap(), payload }
    };
    lines.map(case).collect()
}

/// The members of an object in their order, none left out.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn members(json: &str) -> Vec<(String, Box<RawValue>)> {
    serde_json::from_str::<Members>(json).unwrap_or_else(|error| panic!("{error}: {json}")).0
}

fn member<'m>(members: &'m [(String, Box<RawValue>)], name: &str) -> Option<&'m str> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value.get())
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Kept {
    field: String,
    member: Option<String>,
    json: String,
}

/// A field of the transaction or a member of its `metadata`, and its value.
type Field = (Vec<String>, Box<RawValue>);

/// The fields that pass through, and what has to be kept as text of them.
fn split(case: &Case) -> (Vec<Field>, Vec<Kept>) {
    let event = members(case.payload);
    let mut fields = Vec::new();
    for (name, value) in members(member(&event, "transaction").unwrap()) {
        if name == "metadata" && value.get().starts_with('{') {
            let inner = members(value.get()).into_iter();
            fields.extend(inner.map(|(member, value)| (vec![name.clone(), member], value)));
        } else if !name.starts_with('_') && name != "search_content" {
            fields.push((vec![name], value));
        }
    }
    let (kept, fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(path, _)| case.kept.contains(path));
    let (outer, inner): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(path, _)| path.len() == 1);
    let text = |(path, value): Field| Kept {
        field: path[0].clone(),
        member: path.get(1).cloned(),
        json: value.get().to_owned(),
    };
    (fields, inner.into_iter().chain(outer).map(text).collect())
}

/// The only lone half of a character in the file stands at the end of a text.
fn well_formed(json: &str) -> String {
    json.replace(r"cut \ud83d", r"cut \ufffd")
}

/// Whether MongoDB holds what JSON says: digits, characters, names in any order.
fn holds(held: &Bson, json: &str) -> bool {
    match held {
        Bson::Document(held) => {
            let sent = members(json);
            let same =
                |(name, value): &(String, Box<RawValue>)| held.get(name).is_some_and(|held| holds(held, value.get()));
            held.len() == sent.len() && sent.iter().all(same)
        }
        Bson::Array(held) => {
            let sent: Vec<Box<RawValue>> = serde_json::from_str(json).unwrap();
            held.len() == sent.len() && held.iter().zip(&sent).all(|(held, sent)| holds(held, sent.get()))
        }
        // A number that neither 64 bits nor a decimal hold is a text of its digits.
        Bson::String(held) => *held == json || serde_json::from_str::<String>(json).is_ok_and(|text| text == *held),
        Bson::Int64(held) => held.to_string() == json,
        Bson::Decimal128(held) => json.parse::<Decimal128>().is_ok_and(|sent| sent == *held),
        Bson::Boolean(held) => held.to_string() == json,
        Bson::Null => json == "null",
        _ => false,
    }
}

fn assert_held(case: &Case, source: &str, document: &Document) {
    let (fields, kept) = split(case);
    let index = members(source);
    let index_metadata = member(&index, "metadata").filter(|json| json.starts_with('{')).map(members);
    for (path, sent) in &fields {
        let sent = well_formed(sent.get());
        let (indexed, stored) = match &path[..] {
            [name] => (member(&index, name), document.get(name)),
            [_, name] => (
                index_metadata.as_ref().and_then(|metadata| member(metadata, name)),
                document.get_document("metadata").unwrap().get(name),
            ),
            _ => unreachable!(),
        };
        assert!(indexed.is_some_and(|held| same(held, &sent)), "{}: {path:?} is {indexed:?} in the index", case.id);
        assert!(stored.is_some_and(|held| holds(held, &sent)), "{}: {path:?} is {stored:?} in MongoDB", case.id);
    }
    for path in &case.kept {
        let indexed = match &path[..] {
            [name] => member(&index, name),
            path => index_metadata.as_ref().and_then(|metadata| member(metadata, &path[1])),
        };
        assert_eq!(indexed, None, "{}: {path:?}", case.id);
    }
    let indexed: Option<Vec<Kept>> = member(&index, "_unindexed").map(|json| serde_json::from_str(json).unwrap());
    assert_eq!(indexed.unwrap_or_default(), kept, "{}: in the index", case.id);
    let stored = document.get_array("_unindexed").cloned().unwrap_or_default();
    let stored: Vec<Kept> =
        stored.into_iter().map(|kept| mongodb::bson::deserialize_from_bson(kept).unwrap()).collect();
    assert_eq!(stored, kept, "{}: in MongoDB", case.id);
}

#[test]
fn all_stores_agree_on_odd_payloads() {
    let mut world = World::new(PROGRAM, "payloads");
    let database = OwnDatabase::of(&mut world);
    let siblings = Siblings::in_world(world);
    let cases = cases();
    let records: Vec<(&str, &str)> = cases.iter().map(|case| (case.id, case.payload)).collect();
    siblings.world.create_topic(&[]);
    siblings.world.send(&siblings.topic("transactions"), &records);
    let sound = cases.iter().filter(|case| case.end.is_ok()).count();
    let summaries = siblings.run_once(&OF_TRANSACTIONS);
    let letters: BTreeMap<String, String> = siblings.world.letters().iter().map(class_of).collect();
    for case in &cases {
        assert_eq!(letters.get(case.id).map(String::as_str), case.end.err(), "{}: {}", case.id, case.payload);
    }
    for system in OF_TRANSACTIONS.iter().copied() {
        assert_eq!(summaries[system]["applied"], sound, "{system}: {}", summaries[system]);
    }

    let rows = database.rows();
    let (documents, objects) = (siblings.collection("transactions", "_id"), siblings.objects("transactions"));
    assert_eq!((rows.len(), documents.len()), (sound, sound));
    for case in &cases {
        let Ok(micros) = case.end else { continue };
        let (updated, deleted) = (case.payload.contains("n.updated"), case.payload.contains("n.deleted"));
        let document = documents.get(case.id).unwrap_or_else(|| panic!("{} is not in MongoDB", case.id));
        let version = micros * 4 + if deleted { 2 } else { i64::from(updated) };
        assert_eq!(document.get_i64("_version").unwrap(), version, "{}", case.id);
        assert_eq!(objects.contains_key(case.id), !deleted, "{}: in Algolia", case.id);
        if !deleted {
            assert_eq!(rows[case.id].0.as_deref(), Some(case.payload), "{}, byte for byte", case.id);
            assert_held(case, &source_of(&siblings.world.name, case.id), document);
        }
    }
    OF_TRANSACTIONS.iter().for_each(|system| siblings.assert_verified(system));
}

/// The key of a letter and its class.
fn class_of(letter: &pipeline::Record) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let class = letter.headers.iter().find(|header| header.name == "millrace.error.class").unwrap();
    (text(letter.key.as_ref().unwrap()), text(class.value.as_ref().unwrap()))
}

#[test]
fn one_file_holds_odd_payloads_too() {
    let mut world = World::new(PROGRAM, "payloads-file");
    let store = format!("sqlite:{}", world.dir.join("store.db").display());
    world.set("DATABASE_URL", &store);
    world.set("TRANSACTIONS_STORE", &store);
    let cases = cases();
    let records: Vec<(&str, &str)> = cases.iter().map(|case| (case.id, case.payload)).collect();
    world.create_topic(&[]);
    world.send(&world.name, &records);
    let sound = cases.iter().filter(|case| case.end.is_ok()).count();
    for (system, summary) in world.run_all_once() {
        assert_eq!(summary["applied"], sound, "{summary}");
        let output = world.output(&["verify", &system, "--json"]);
        assert_eq!(output.status.code(), Some(0), "{system}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
