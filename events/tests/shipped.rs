//! The shipped files and the page are what the types say, and every example is what its schema says.
//! `UPDATE_EVENTS=1 cargo test -p events --test shipped` writes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the answer")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use events::{EventName, EventVersion, build_files, example, schema, write};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds a file against a text, or writes it.
fn hold(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_EVENTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == text, "{} is out of date: UPDATE_EVENTS=1 cargo test -p events --test shipped", path.display());
}

fn below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { below(&path, found) } else { _ = found.insert(path) }
    }
}

#[test]
fn the_shipped_files_are_what_the_types_say() {
    let folder = root().join("schemas");
    let files = build_files().unwrap();
    files.iter().for_each(|(path, text)| hold(&folder.join(path), text));
    let mut there = BTreeSet::new();
    below(&folder, &mut there);
    assert_eq!(there, files.iter().map(|(path, _)| folder.join(path)).collect(), "files that belong to no event");
}

#[test]
fn the_page_is_what_the_types_say() {
    hold(&root().join("../docs/events.md"), &events::guide().unwrap());
}

#[test]
fn every_example_is_what_its_schema_says() {
    for name in EventName::ALL {
        for version in EventVersion::ALL {
            let schema = schema(*name, version);
            jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
            let event = example(*name, version).unwrap_or_else(|error| panic!("{name}: {error}"));
            let payload: Value = serde_json::from_slice(&write(&event).unwrap()).unwrap();
            validator.validate(&payload).unwrap_or_else(|error| panic!("{name} {version:?}: {error}"));
            let key = match version {
                EventVersion::V1 => &payload[name.key_field()],
                EventVersion::V2 => &payload["data"][name.key_field()],
            };
            assert_eq!(key, event.data.key(), "the key is in the field that is said to hold it");
        }
    }
}

#[test]
fn the_document_refers_to_what_is_in_it() {
    let document = events::asyncapi("staging.", "a:1,b:2").unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["channels"].as_object().unwrap().len(), 18);
    assert_eq!(document["components"]["messages"].as_object().unwrap().len(), 36);
    assert_eq!(document["channels"]["media.deleted"]["address"], "staging.media.deleted");
    assert_eq!(document["servers"]["kafka1"]["host"], "b:2");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert_eq!(references.len(), 36 + 36 + 20, "messages, their traits, operations");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|inner| collect(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, found)),
        _ => {}
    }
}
