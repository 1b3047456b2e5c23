//! `verify` against the test's own reckoning: what is right is not found, what is planted is, and a repair mends it.

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use testkit::world::scaled;

use crate::buffer::{Buffer, Engine, Texts, operation};
use crate::cache::Cached;
use crate::cache::server::OwnRedis;
use crate::model::Model;
use crate::on_each;

on_each!(
    what_operations_come_to_is_right_and_what_was_changed_is_found_and_mended,
    rows_of_keys_that_are_folded_to_one_are_told_apart,
    spellings_of_one_key_are_one_row,
    a_row_whose_id_the_database_made_is_missing_when_it_is_gone,
    where_marks_were_purged_it_cannot_be_told,
    what_is_neither_applied_nor_a_letter_is_missing,
    a_copy_in_another_partition_counts_for_nothing,
    what_redis_keeps_otherwise_is_found_and_dropped,
);

/// What `verify` found: name and id of each, in order, and the exit code.
pub fn verified(buffer: &Buffer, more: &[&str]) -> (Vec<String>, Vec<Value>, i32) {
    let output = buffer.world.output(&[&["verify", "database", "--json"], more].concat());
    read(&output)
}

pub fn read(output: &std::process::Output) -> (Vec<String>, Vec<Value>, i32) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<Value> = lines.into_iter().filter(|line| line.get("finding").is_some()).collect();
    let name = |one: &Value| format!("{} {}", one["finding"].as_str().unwrap(), one["id"].as_str().unwrap());
    let mut names: Vec<String> = found.iter().map(name).collect();
    names.sort();
    let code = output.status.code().unwrap();
    assert!([0, 1, 75].contains(&code), "{}", String::from_utf8_lossy(&output.stderr));
    (names, found, code)
}

pub fn assert_right(buffer: &Buffer) {
    let (names, found, code) = verified(buffer, &[]);
    assert_eq!((names, code), (Vec::new(), 0), "{found:?}");
}

pub fn why<'f>(found: &'f [Value], id: &str) -> &'f str {
    found.iter().find(|one| one["id"] == id).unwrap()["reason"].as_str().unwrap()
}

pub fn user(id: u64) -> Value {
    json!({"id": id, "name": format!("n{id}"), "email": format!("x{id}@x.co")})
}

pub const SHOWN: [&str; 4] = ["id", "name", "email", "role"];

fn what_operations_come_to_is_right_and_what_was_changed_is_found_and_mended(engine: Engine) {
    let buffer = Buffer::new(engine, "database-compared");
    let mut model = Model::new(11);
    let mut operations: Vec<Value> = (0..scaled(1_500)).map(|number| model.next(number)).collect();
    operations.push(operation("900", "CREATE", "User", user(900)));
    operations.push(operation("gone", "DELETE", "User", json!({"id": 900})));
    buffer.send(&operations);
    buffer.run_once();
    assert_right(&buffer);

    let rows: Texts = model.rows();
    let id = |place: usize| rows[place][0].clone().unwrap();
    let (missing, altered, emptied) = (id(0), id(1), id(2));
    buffer.execute(&format!("DELETE FROM \"Users\" WHERE \"id\" = {missing}"));
    buffer.execute(&format!("UPDATE \"Users\" SET \"name\" = UPPER(\"name\") WHERE \"id\" = {altered}"));
    buffer.execute(&format!("UPDATE \"Users\" SET \"email\" = 'other' WHERE \"id\" = {emptied}"));
    let add = |id: u64| {
        buffer.execute(&format!(
            "INSERT INTO \"Users\" (\"id\", \"name\", \"email\", \"createdAt\", \"updatedAt\") \
             VALUES ({id}, 'n', '{id}', '2024-01-01', '2024-01-01')"
        ));
    };
    add(900);
    add(901);
    let mut wanted = vec![
        format!("altered User:{altered}"),
        format!("altered User:{emptied}"),
        format!("missing User:{missing}"),
        "phantom User:901".to_owned(),
        "resurrected User:900".to_owned(),
    ];
    wanted.sort();
    let (names, found, code) = verified(&buffer, &[]);
    assert_eq!((&names, code), (&wanted, 1));
    assert_eq!(why(&found, &format!("User:{altered}")), "not as they were written: name");
    assert_eq!(why(&found, &format!("User:{emptied}")), "not as they were written: email");
    let at = found.iter().find(|one| one["id"] == "User:900").unwrap();
    assert_eq!(at["topic"], buffer.topic());

    // A look changes nothing; a repair writes all but what no operation made.
    let (names, found, code) = verified(&buffer, &["--repair"]);
    assert_eq!((&names, code), (&wanted, 1), "{found:?}");
    let mended = buffer.rows("Users", &SHOWN);
    let mut expected = rows.clone();
    expected.push(vec![Some("901".to_owned()), Some("n".to_owned()), Some("901".to_owned()), None]);
    assert_eq!(mended, expected);
    assert_eq!(buffer.world.output(&["verify", "database", "--repair", "--delete-phantoms"]).status.code(), Some(78));
    buffer.execute("DELETE FROM \"Users\" WHERE \"id\" = 901");
    assert_right(&buffer);
}

/// A table whose key is a text that takes capitals for small letters, and accents for none where they are `folded`.
fn words(buffer: &mut Buffer, accents_differ: bool) {
    buffer.world.set("DATABASE_ENTITIES", "Word=words");
    let (level, accents) = if accents_differ { ("level2", "as_ci") } else { ("level1", "ai_ci") };
    let collation = match buffer.engine {
        Engine::MariaDb => format!("CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_{accents}"),
        Engine::Postgres => {
            buffer.execute(&format!(
                "CREATE COLLATION lax (provider = icu, locale = 'und-u-ks-{level}', deterministic = false)"
            ));
            "COLLATE lax".to_owned()
        }
    };
    buffer.execute(&format!(
        "CREATE TABLE \"words\" (\"id\" VARCHAR(20) {collation} NOT NULL PRIMARY KEY, \"sense\" VARCHAR(20))"
    ));
}

fn senses(buffer: &Buffer) -> Vec<(String, String)> {
    let rows = buffer.rows("words", &["id", "sense"]);
    let mut rows: Vec<(String, String)> =
        rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect();
    rows.sort();
    rows
}

fn word(id: &str, verb: &str, word: &str, sense: &str) -> Value {
    operation(id, verb, "Word", json!({"id": word, "sense": sense}))
}

fn rows_of_keys_that_are_folded_to_one_are_told_apart(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-folds");
    words(&mut buffer, true);
    buffer.send(&[
        word("1", "CREATE", "E", "plain"),
        word("2", "CREATE", "É", "acute"),
        word("3", "UPDATE", "é", "sharp"),
        word("4", "CREATE", "a", "first"),
    ]);
    assert_eq!(buffer.run_once()["applied"], json!(4), "{:?}", buffer.letters());
    assert_right(&buffer);
    buffer.execute("UPDATE \"words\" SET \"sense\" = 'spoilt' WHERE \"id\" IN ('e', 'A')");
    let (names, _, code) = verified(&buffer, &[]);
    assert_eq!((names, code), (vec!["altered Word:E".to_owned(), "altered Word:a".to_owned()], 1));
    // Two keys share one fold, so that row is left alone; of the other nobody else is.
    let (_, found, code) = verified(&buffer, &["--repair"]);
    assert_eq!(code, 1);
    assert!(why(&found, "Word:E").contains("left alone"), "{found:?}");
    let pair = |word: &str, sense: &str| (word.to_owned(), sense.to_owned());
    assert_eq!(senses(&buffer), [pair("E", "spoilt"), pair("a", "first"), pair("É", "sharp")]);
    buffer.execute("DELETE FROM \"words\" WHERE \"id\" = 'É'");
    let (names, ..) = verified(&buffer, &[]);
    assert_eq!(names, ["altered Word:E", "missing Word:É"]);
}

fn spellings_of_one_key_are_one_row(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-spellings");
    let redis = OwnRedis::new(buffer.world.dir.join("redis"));
    buffer.world.set("REDIS_URL", &redis.url());
    words(&mut buffer, false);
    buffer.send(&[word("1", "CREATE", "É", "acute"), word("2", "UPDATE", "e", "sharp")]);
    assert_eq!(buffer.run_once()["applied"], json!(2), "{:?}", buffer.letters());
    assert_right(&buffer);
    buffer.execute("UPDATE \"words\" SET \"sense\" = 'spoilt'");
    let (names, found, code) = verified(&buffer, &["--repair"]);
    assert_eq!((names, code), (vec!["altered Word:É".to_owned()], 0), "{found:?}");
    assert_eq!(senses(&buffer), [("É".to_owned(), "sharp".to_owned())]);
    // What Redis keeps of it, in whatever spelling it was written.
    let spellings = ["word:É", "word:é", "word:e"];
    spellings.iter().for_each(|key| redis.run::<()>(&["SET", key, r#"{"id":"É","sense":"old"}"#]));
    redis.run::<()>(&["SET", "word:E", r#"{"id":"É","sense":"sharp"}"#]);
    let (names, _, code) = verified(&buffer, &["--repair"]);
    assert_eq!(
        (names, code),
        (
            vec!["cache-stale Word:e", "cache-stale Word:É", "cache-stale Word:É"]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            0
        )
    );
    assert!(redis.values(&spellings.map(str::to_owned)).iter().all(Option::is_none));
    // A row that is made anew has its key as it was written.
    buffer.execute("DELETE FROM \"words\"");
    assert_eq!(verified(&buffer, &["--repair"]).2, 0);
    assert_eq!(senses(&buffer), [("É".to_owned(), "sharp".to_owned())]);
}

fn a_row_whose_id_the_database_made_is_missing_when_it_is_gone(engine: Engine) {
    let buffer = Buffer::new(engine, "database-made-gone");
    let made = |id: &str, score: u64| operation(id, "CREATE", "Rating", json!({"businessId": 1, "score": score}));
    buffer.send(&[made("a", 4), made("b", 5)]);
    buffer.run_once();
    assert_right(&buffer);
    let before = buffer.rows("Ratings", &["id", "score"]);
    buffer.execute("DELETE FROM \"Ratings\" WHERE \"id\" = 1");
    let (names, _, code) = verified(&buffer, &["--repair"]);
    assert_eq!((names, code), (vec!["missing Rating:1".to_owned()], 0));
    assert_eq!(buffer.rows("Ratings", &["id", "score"]), before);
    // Of a bulk nobody has kept the ids: its rows are there, and whose they are cannot be told.
    let rows = json!([{"businessId": 1, "score": 1}, {"businessId": 1, "score": 2}]);
    buffer.send(&[operation("c", "BULK_CREATE", "Rating", rows)]);
    buffer.run_once();
    let (names, _, code) = verified(&buffer, &[]);
    assert_eq!((names, code), (vec!["unexplained Rating:3".to_owned(), "unexplained Rating:4".to_owned()], 75));
}

fn where_marks_were_purged_it_cannot_be_told(engine: Engine) {
    let buffer = Buffer::new(engine, "database-marks-gone");
    buffer.send(&[operation("1", "CREATE", "User", user(1)), operation("2", "CREATE", "User", user(2))]);
    buffer.run_once();
    buffer.execute("DELETE FROM millrace_operations WHERE kafka_offset = 0");
    let (names, found, code) = verified(&buffer, &[]);
    assert_eq!(
        (names, code),
        (vec!["missing 1".to_owned(), "phantom User:1".to_owned()], 1),
        "nothing was purged: {found:?}"
    );
    buffer.execute("INSERT INTO millrace_operations_horizon (only_one, micros) VALUES (1, 9000000000000000)");
    assert_right(&buffer);
    buffer.execute("UPDATE \"Users\" SET \"name\" = 'other' WHERE \"id\" = 1");
    let (names, _, code) = verified(&buffer, &["--repair"]);
    assert_eq!((names, code), (vec!["unexplained User:1".to_owned()], 75));
    assert_eq!(buffer.rows("Users", &["id", "name"])[0][1].as_deref(), Some("other"));
}

/// Has the group commit the end of the log, whatever it has applied.
fn skip(buffer: &Buffer) {
    let (topic, group) = (buffer.topic(), buffer.world.group(&buffer.world.env["KAFKA_GROUP_ID"]));
    let mut ends = TopicPartitionList::new();
    let wait = std::time::Duration::from_secs(30);
    for partition in group.fetch_metadata(Some(&topic), wait).unwrap().topics()[0].partitions() {
        let (_, end) = group.fetch_watermarks(&topic, partition.id(), wait).unwrap();
        ends.add_partition_offset(&topic, partition.id(), Offset::Offset(end)).unwrap();
    }
    group.commit(&ends, CommitMode::Sync).unwrap();
}

fn what_is_neither_applied_nor_a_letter_is_missing(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-lost");
    buffer.execute("CREATE TABLE \"pets\" (\"id\" INT PRIMARY KEY)");
    let entities = "User=Users,Pet=pets";
    buffer.world.set("DATABASE_ENTITIES", entities);
    buffer.send(&[
        operation("1", "CREATE", "User", user(1)),
        operation("pet", "CREATE", "Pet", json!({"id": 1})),
        operation("letter", "CREATE", "Nobody", json!({"id": 1})),
    ]);
    assert_eq!(buffer.run_once()["dead_lettered"], json!(1));
    assert_right(&buffer);
    buffer.send(&[
        operation("nobody", "CREATE", "Nobody", json!({"id": 2})),
        operation("lost", "UPDATE", "User", json!({"id": 1, "name": "lost"})),
    ]);
    buffer.send_raw(&["not json"]);
    skip(&buffer);
    let (names, found, code) = verified(&buffer, &[]);
    let unread = found.iter().find(|one| one["reason"].as_str().unwrap().contains("cannot be read")).unwrap();
    let unread = format!("missing {}", unread["id"].as_str().unwrap());
    let mut wanted = vec!["missing lost".to_owned(), "missing nobody".to_owned(), unread];
    wanted.sort();
    assert_eq!((names, code), (wanted, 1));
    assert!(why(&found, "nobody").starts_with("its entity has no table"), "{found:?}");
    // One that was applied, of an entity that is configured no more.
    buffer.world.set("DATABASE_ENTITIES", "User=Users");
    let (names, found, _) = verified(&buffer, &[]);
    assert!(names.contains(&"missing pet".to_owned()), "{found:?}");
}

fn a_copy_in_another_partition_counts_for_nothing(engine: Engine) {
    let buffer = Buffer::new(engine, "database-copies");
    let delete = operation("d", "DELETE", "User", json!({"id": 1}));
    buffer.send(&[
        operation("c", "CREATE", "User", user(1)),
        delete.clone(),
        operation("again", "CREATE", "User", user(1)),
    ]);
    buffer.run_once();
    let copies: Vec<String> = (0..12).map(|number| format!("key {number}")).collect();
    let text = delete.to_string();
    let records: Vec<(&str, &str)> = copies.iter().map(|key| (key.as_str(), text.as_str())).collect();
    buffer.world.send(&buffer.topic(), &records);
    assert_eq!(buffer.run_once()["superseded"], json!(12));
    assert_right(&buffer);
    buffer.execute("DELETE FROM \"Users\"");
    let (names, _, code) = verified(&buffer, &["--repair"]);
    assert_eq!((names, code), (vec!["missing User:1".to_owned()], 0));
    assert_eq!(buffer.count("Users"), 1);
    // Without marks the first in time counts, and no copy of it.
    buffer.execute("DELETE FROM millrace_operations");
    buffer.execute("INSERT INTO millrace_operations_horizon (only_one, micros) VALUES (1, 9000000000000000)");
    assert_right(&buffer);
    buffer.execute("DELETE FROM \"Users\"");
    assert_eq!(verified(&buffer, &[]).0, ["unexplained User:1"]);
}

fn what_redis_keeps_otherwise_is_found_and_dropped(engine: Engine) {
    let cached = Cached::new(engine, "database-cache-compared", 4);
    let buffer = &cached.buffer;
    let set = |key: &str, value: &str| cached.redis.run::<()>(&["SET", key, value]);
    // As applications write rows: some of the columns, in forms of their own, and fields of their own.
    set("user:1", r#"{"id":"1","name":"n0","createdAt":"2023-11-13T11:55:43.210Z","mine":7}"#);
    set("user:9", "null");
    assert_right(buffer);
    set("user:2", r#"{"id":2,"name":"old"}"#);
    set("user:3", "null");
    buffer.send(&[operation("gone", "DELETE", "User", json!({"id": 4}))]);
    buffer.run_once();
    set("user:4", r#"{"id":4,"name":"n0"}"#);
    let wanted = ["cache-stale User:2", "cache-stale User:3", "cache-stale User:4"];
    let (names, found, code) = verified(buffer, &[]);
    assert_eq!((&names[..], code), (&wanted.map(str::to_owned)[..], 1));
    assert_eq!(why(&found, "User:2"), "Redis keeps user:2: another value of name");
    let (names, _, code) = verified(buffer, &["--repair"]);
    assert_eq!((&names[..], code), (&wanted.map(str::to_owned)[..], 0));
    let keys: Vec<String> = (1..=4).map(|id| format!("user:{id}")).collect();
    let kept: Vec<bool> = cached.redis.values(&keys).iter().map(Option::is_some).collect();
    assert_eq!(kept, [true, false, false, false]);
    assert_right(buffer);
    // A row that is mended is taken away, too.
    set("user:2", r#"{"id":2,"name":"spoilt"}"#);
    buffer.execute("UPDATE \"Users\" SET \"name\" = 'spoilt' WHERE \"id\" = 2");
    assert_eq!(verified(buffer, &["--repair"]).2, 0);
    assert_eq!(cached.redis.values(&["user:2".to_owned()]), [None]);
}
