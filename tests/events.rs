//! The commands on the catalogue that need no service: what is shown, the AsyncAPI document, and schemas against an older copy.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in a test a panic is the answer")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

type Twist = Box<dyn FnOnce(&mut Value)>;

const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/events/schemas");

fn events(args: &[&str]) -> Output {
    let folder = std::env::temp_dir();
    Command::new(env!("CARGO_BIN_EXE_millrace"))
        .env_clear()
        .current_dir(folder)
        .arg("events")
        .args(args)
        .output()
        .unwrap()
}

fn printed(args: &[&str]) -> String {
    let output = events(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A copy of the schemas, in which one has been changed.
fn copy(name: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for event in std::fs::read_dir(SCHEMAS).unwrap().map(Result::unwrap) {
        let to = folder.path().join(event.file_name());
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(event.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    let file = folder.path().join(name).join("2.0.schema.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut schema["properties"]["data"]);
    std::fs::write(&file, schema.to_string()).unwrap();
    folder
}

fn check(folder: &Path) -> (Option<i32>, String) {
    let output = events(&["check", folder.to_str().unwrap()]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn changes_that_break_others_are_found_and_the_others_are_not() {
    assert_eq!(check(Path::new(SCHEMAS)).0, Some(0));
    // The older copy had what is not there now.
    let cases: Vec<(&str, Twist)> = vec![
        ("data.gone: the field is removed", Box::new(|data| data["properties"]["gone"] = json!({"type": "string"}))),
        (
            "data.tierId: the type is narrowed",
            Box::new(|data| data["properties"]["tierId"]["type"] = json!(["string", "integer"])),
        ),
        (
            "data.price: the field is required now",
            Box::new(|data| data["required"] = json!(["tierId", "creatorId", "currency"])),
        ),
        (
            "data.name: maxLength is tightened",
            Box::new(|data| data["properties"]["name"]["maxLength"] = json!(1_000_000)),
        ),
        (
            "data.currency: pattern is new",
            Box::new(|data| drop(data["properties"]["currency"].as_object_mut().unwrap().remove("pattern"))),
        ),
    ];
    for (says, older) in cases {
        let (code, text) = check(copy("subscription.tier.created", older).path());
        assert_eq!(code, Some(1), "{says}");
        assert!(text.lines().count() == 1 && text.contains(says), "{says}: {text}");
    }
    let word = copy("subscription.updated", |data| {
        data["properties"]["status"]["enum"].as_array_mut().unwrap().push(json!("paused"));
    });
    assert!(check(word.path()).1.contains("data.status: a value is removed: \"paused\""));
    let harmless: Vec<Twist> = vec![
        Box::new(|data| drop(data["properties"].as_object_mut().unwrap().remove("description"))),
        Box::new(|data| data["properties"]["name"]["maxLength"] = json!(10)),
        Box::new(|data| data["properties"]["tierId"]["description"] = json!("Another.")),
    ];
    for older in harmless {
        let (code, text) = check(copy("subscription.tier.created", older).path());
        assert_eq!(code, Some(0), "{text}");
    }
}

#[test]
fn events_that_are_gone_and_folders_without_schemas_are_told() {
    let folder = copy("media.deleted", |_| {});
    std::fs::rename(folder.path().join("media.deleted"), folder.path().join("media.moved")).unwrap();
    let (code, text) = check(folder.path());
    assert_eq!(code, Some(1));
    assert!(text.contains("media.moved 2.0: the event is removed"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(check(empty.path()).0, Some(64));
    assert_eq!(check(&empty.path().join("nowhere")).0, Some(64));
}

#[test]
fn the_catalogue_is_shown() {
    assert_eq!(printed(&["list"]).lines().count(), 18);
    let shown = printed(&["show", "subscription.created", "--version", "1.0"]);
    for part in ["produced by: subscription service", "subscriberId", "required", "\"$schema\"", "\"version\": \"1.0\""]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown: Value = serde_json::from_str(&printed(&["show", "payment.completed", "--json"])).unwrap();
    assert_eq!(shown["key"], "paymentId");
    assert_eq!(shown["fields"][1]["type"], "`subscription`, `tip`, `post`");
    let document: Value = serde_json::from_str(&printed(&["asyncapi"])).unwrap();
    assert_eq!(
        (&document["asyncapi"], &document["servers"]["kafka0"]["host"]),
        (&json!("3.0.0"), &json!("localhost:9092"))
    );
}
