//! Letters held against the log that they are of.

use std::collections::{BTreeMap, HashMap};

use pipeline::Record;
use pipeline::dead_letters::header;
use pipeline::kafka::read_topic;
use testkit::world::World;

use crate::judge::{Judged, violated};

/// Records by partition and offset.
pub type Log = HashMap<(i32, i64), Record>;

/// How many letters there are, by system and the place of the record.
pub type Found = BTreeMap<(String, i32, i64), u64>;

pub fn log_of(world: &World, topic: &str) -> Log {
    let mut records = HashMap::new();
    read_topic(&world.client(), topic, |record| {
        records.insert((record.at.partition, record.offset), record);
    })
    .unwrap();
    records
}

/// Every letter is a record of the log, byte for byte, by one of these systems, each with its group.
pub fn exact(log: &Log, letters: Vec<Record>, systems: &[(&str, String)], log_was_cut: bool) -> Judged<Found> {
    let mut found = Found::new();
    for letter in letters {
        let text = |name: &str| {
            let value = letter.headers.iter().find(|header| header.name == name)?.value.clone()?;
            String::from_utf8(value.to_vec()).ok()
        };
        let system = text(header::SYSTEM).unwrap_or_default();
        let place = text(header::CONNECT_PARTITION)
            .and_then(|text| text.parse().ok())
            .zip(text(header::CONNECT_OFFSET).and_then(|text| text.parse().ok()));
        if log_was_cut && place.is_some_and(|at| !log.contains_key(&at)) {
            continue;
        }
        let Some((record, (partition, offset))) = place.and_then(|at| Some((log.get(&at)?, at))) else {
            return violated("letters are exact", "a letter without the place of a record");
        };
        let added = |name: &str| header::ALL.contains(&name);
        let own = letter.headers.iter().filter(|header| !added(&header.name));
        let same = letter.payload == record.payload && letter.key == record.key && own.eq(record.headers.iter());
        if !same {
            return violated("letters are exact", format!("the letter of {partition}/{offset} is not what was sent"));
        }
        if !systems.iter().any(|(known, group)| *known == system && text(header::GROUP).as_ref() == Some(group)) {
            let text = format!("a letter of {partition}/{offset} by {system}, which is not on trial");
            return violated("letters are exact", text);
        }
        *found.entry((system, partition, offset)).or_default() += 1;
    }
    Ok(found)
}

/// Every record that is due has a letter of this system, and when `alone`, no other has.
pub fn complete(
    log: &Log,
    found: &Found,
    system: &str,
    due: impl Fn(&Record) -> bool,
    name: impl Fn(&Record) -> &'static str,
    alone: bool,
) -> Judged {
    for ((partition, offset), record) in log {
        let there = found.contains_key(&(system.to_owned(), *partition, *offset));
        let what = || format!("{system}: {partition}/{offset}, {}", name(record));
        match (due(record), there) {
            (true, false) => return violated("what is dead has its letter", what()),
            (false, true) if alone => return violated("nothing sound is dead-lettered", what()),
            _ => {}
        }
    }
    Ok(())
}
