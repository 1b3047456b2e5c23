//! What else is kept: lists, rows that are not there, rows as JSON; and what becomes of generations that are gone.

use serde_json::{Value, json};

use super::readers::{JsonRows, Readers, RustReaders, key_of};
use super::{Cached, Engine, operation};
use crate::on_each;

on_each!(
    a_list_is_read_anew_after_a_write_of_its_entity,
    a_row_that_was_not_there_is_seen_when_it_comes,
    a_row_is_set_as_the_database_has_it,
    a_generation_that_is_gone_refuses_what_was_read_under_it,
    nothing_of_a_row_is_kept_for_a_while_after_its_write,
);

fn a_list_is_read_anew_after_a_write_of_its_entity(engine: Engine) {
    let mut cached = Cached::new(engine, "cache-lists", 3);
    let readers = RustReaders::new(&cached.redis);
    let list = |entity: &str, rows: &str| {
        let load = || async { Ok::<_, ()>(rows.to_owned()) };
        readers.block_on(readers.cache.list(entity, "city=Cali", load)).unwrap()
    };
    assert_eq!((list("User", "[1]").as_str(), list("User", "[2]").as_str()), ("[1]", "[1]"));
    assert_eq!(list("Business", "[3]"), "[3]");
    cached.rename(&[1]);
    cached.buffer.run_once();
    assert_eq!((list("User", "[2]").as_str(), list("User", "[4]").as_str()), ("[2]", "[2]"));
    assert_eq!(list("Business", "[4]"), "[3]", "another entity was not written");
    let commands: String = cached.redis.run(&["INFO", "commandstats"]);
    assert!(!commands.contains("cmdstat_scan") && !commands.contains("cmdstat_keys"), "{commands}");
}

fn a_row_that_was_not_there_is_seen_when_it_comes(engine: Engine) {
    let cached = Cached::new(engine, "cache-made", 1);
    let readers = RustReaders::new(&cached.redis);
    let read = |rows: Option<&str>| {
        let load = || async { Ok::<_, ()>(rows.map(str::to_owned)) };
        readers.block_on(readers.cache.row("Rating", "1", load)).unwrap()
    };
    assert_eq!((read(None), read(Some("{}"))), (None, None), "that there is none is kept");
    // The database makes the id.
    cached.buffer.send(&[operation("c", "CREATE", "Rating", json!({"businessId": 1, "score": 5}))]);
    cached.buffer.run_once();
    assert_eq!(cached.buffer.rows("Ratings", &["id"]), [[Some("1".to_owned())]]);
    assert_eq!(read(Some("{}")).as_deref(), Some("{}"));
}

fn a_row_is_set_as_the_database_has_it(engine: Engine) {
    let mut cached = Cached::new(engine, "cache-set", 2);
    for (name, value) in
        [("DATABASE_CACHE", "set"), ("DATABASE_CACHE_PREFIX", "app:"), ("DATABASE_CACHE_TTL_SECONDS", "50")]
    {
        cached.buffer.world.set(name, value);
    }
    cached.buffer.send(&[
        operation("u", "UPDATE", "User", json!({"id": 1, "name": "Ana \"A\"", "isActive": false})),
        operation(
            "f",
            "CREATE",
            "Finance",
            json!({"id": 7, "businessId": 1, "income": "1234.50", "period": "2024-02-29"}),
        ),
        operation("d", "DELETE", "User", json!({"id": 2})),
    ]);
    cached.buffer.run_once();
    let values = cached.redis.values(&["app:user:1", "app:finance:7", "app:user:2"].map(str::to_owned));
    let read = |at: usize| serde_json::from_str::<Value>(values[at].as_ref().unwrap()).unwrap();
    let at = "2023-11-13T11:55:43.210Z";
    assert_eq!(
        read(0),
        json!({"id": 1, "name": "Ana \"A\"", "email": "1@x.co", "password": null, "phone": null, "role": null, "isActive": false,
               "createdAt": at, "updatedAt": at})
    );
    assert_eq!(
        read(1),
        json!({"id": 7, "businessId": 1, "period": "2024-02-29", "income": "1234.50", "expenses": null, "currency": null,
               "notes": null, "createdAt": at, "updatedAt": at})
    );
    assert_eq!(values[2], None);
    let ttl: i64 = cached.redis.run(&["TTL", "app:user:1"]);
    assert!((1..=50).contains(&ttl), "{ttl}");
}

fn a_generation_that_is_gone_refuses_what_was_read_under_it(engine: Engine) {
    let mut cached = Cached::new(engine, "cache-gone", 2);
    let mut readers = RustReaders::new(&cached.redis);
    let gone: [&dyn Fn(&Cached); 3] = [
        &|_| {},
        // As an eviction takes it.
        &|cached| (1..=2).for_each(|id| cached.redis.run(&["DEL", &format!("{{user:{id}}}:generation")])),
        &|cached| cached.redis.run(&["FLUSHALL"]),
    ];
    for (number, take) in gone.iter().enumerate() {
        readers.begin(&[1, 2]);
        let rows: JsonRows = cached.rows(&[1, 2]);
        take(&cached);
        readers.finish(&rows);
        let held = if number == 0 { 2 } else { 0 };
        assert_eq!(cached.stale(&[1, 2]), (0, held));
        cached.redis.run::<()>(&["DEL", &key_of(1), &key_of(2)]);
    }
    // A value whose generation is gone is not believed.
    let rows = cached.rows(&[1]);
    readers.read(1, &rows);
    cached.redis.run::<()>(&["DEL", "{user:1}:generation"]);
    cached.rename(&[1]);
    cached.buffer.run_once();
    let rows = cached.rows(&[1]);
    assert_eq!(readers.read(1, &rows), rows.get(&1).cloned());
}

fn nothing_of_a_row_is_kept_for_a_while_after_its_write(engine: Engine) {
    let mut cached = Cached::new(engine, "cache-grace", 2);
    cached.buffer.world.set("DATABASE_CACHE_GRACE_MS", "600000");
    let readers = RustReaders::new(&cached.redis);
    // As a replica has it that lags.
    let old = cached.rows(&[1, 2]);
    cached.rename(&[1]);
    cached.buffer.run_once();
    for id in [1, 2] {
        assert_eq!(readers.read(id, &old).as_ref(), old.get(&id));
    }
    let kept = cached.redis.values(&[key_of(1), key_of(2)]);
    assert_eq!((&kept[0], kept[1].as_ref()), (&None, old.get(&2)));
    let left: i64 = cached.redis.run(&["PTTL", "{user:1}:generation"]);
    assert!((1..=600_000).contains(&left), "{left}");
    // When it has passed.
    cached.redis.run::<()>(&["DEL", "{user:1}:generation"]);
    let now = cached.rows(&[1]);
    assert_eq!(readers.read(1, &now).as_ref(), now.get(&1));
    assert_eq!(cached.redis.values(&[key_of(1)])[0].as_ref(), now.get(&1));
}
