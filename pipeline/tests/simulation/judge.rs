//! The end of a run: store and dead letters against the log.

use std::collections::BTreeMap;

use crate::model::World;
use crate::world::Log;

/// Store and dead letters against the log.
pub fn judge(world: &World) {
    let log: Log = world.log.lock().unwrap().clone();
    let broker = world.broker.lock().unwrap();
    let floor = &broker.floor;
    let wanted = log.fold(floor, |event| World::excused(&broker, &log, event));
    let most = log.fold(floor, |_| false);
    let found = world.store.lock().unwrap().documents.clone();
    for (document, want) in &wanted {
        let found = found.get(document);
        let right = found == Some(want) || (most.get(document) != Some(want) && found.is_some_and(|f| f.0 >= want.0));
        world.check(right, || format!("{document}: wanted {want:?}, found {found:?}"));
    }
    for document in found.keys().filter(|document| !most.contains_key(*document)) {
        world.check(false, || format!("{document} should not be"));
    }
    let letters = world.letters.lock().unwrap();
    let mut dead = BTreeMap::new();
    for (at, partition) in &log.partitions {
        for event in &partition.events {
            if let Some(class) = event.dead() {
                dead.insert((at.clone(), event.record.offset), (class, &event.record));
            }
        }
    }
    for (coordinates, (class, record)) in &dead {
        let kept = letters.kept.get(coordinates);
        let below = record.offset < floor.get(&record.at).copied().unwrap_or(0);
        world.check(kept.is_some() || below, || format!("no letter for {coordinates:?} {class}"));
        let Some(kept) = kept else { continue };
        let same =
            kept.key == record.key && kept.payload == record.payload && kept.headers.starts_with(&record.headers);
        world.check(same, || format!("the letter for {coordinates:?} is not what was read"));
        world.check(kept.class == *class, || format!("{coordinates:?} is {class}, its letter says {}", kept.class));
    }
    for coordinates in letters.kept.keys().filter(|coordinates| !dead.contains_key(*coordinates)) {
        world.check(false, || format!("a letter for {coordinates:?}, which is well"));
    }
}
