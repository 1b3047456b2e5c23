//! What the marks in Redis may never do.

use std::thread::sleep;
use std::time::Duration;

use chrono::TimeDelta;
use pipeline::mutants::Mutant;
use testkit::services::eventually;

use super::time;
use crate::account::{event, stream, unauditable};
use crate::arena::Arena;
use crate::judge::{Judged, Report, happened, judge, log};

pub fn middle(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("middle", mutant);
    arena.without_audit();
    let one = event("copied", "created", time(), "completed", |_| {});
    let payload = one.payload.clone();
    arena.start();
    arena.send(std::slice::from_ref(&one));
    crate::judge::drained(&arena)?;
    // Redis hears nothing of the copy, so all it has is the mark of the first.
    arena.links.redis.cut();
    arena.note("cut links");
    arena.send(&[one]);
    eventually("the copy", || (arena.members.sums().get("transactions")?.duplicates == 1).then_some(()));
    arena.links.heal();
    // Longer than Redis is left alone after it was away.
    sleep(Duration::from_secs(4));
    arena.send(&[event("copied", "updated", time() - TimeDelta::seconds(1), "late", |_| {})]);
    crate::judge::drained(&arena)?;
    arena.members.stop_all();
    arena.forget_deletes();
    let (status, _) = arena.ask("DELETE", &format!("{}/_doc/copied", arena.index()), None);
    happened("the document was lost", status == 200)?;
    arena.note("lost documents");
    let copies = log(&arena)
        .into_iter()
        .filter(|(_, record)| record.payload.as_deref() == payload.as_deref().map(str::as_bytes));
    let copy = copies.map(|(at, _)| at).max_by_key(|(_, offset)| *offset).unwrap();
    let (name, next) = (arena.world().name.clone(), copy);
    let committed = arena.world().committed(&arena.world().group(&name));
    arena.reset_to(&name, |partition| if partition == next.0 { next.1 } else { committed[&partition].unwrap_or(0) });
    arena.note("resets");
    arena.once("transactions");
    judge(&mut arena)
}

pub fn reset(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("reset", mutant);
    arena.send(&stream(1, 1_000));
    arena.once("transactions");
    arena.ask("DELETE", &arena.index(), None);
    arena.note("lost indices");
    arena.world().reset();
    arena.note("resets");
    arena.once("transactions");
    judge(&mut arena)
}

pub fn audit_refuses(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("refuses", mutant);
    let refused = unauditable("nul", time());
    arena.send(std::slice::from_ref(&refused));
    arena.send(&stream(1, 100));
    arena.set("CONSUMER_ENABLE_AUDIT_DB", "false");
    arena.once("transactions");
    arena.send(&[refused]);
    arena.set("CONSUMER_ENABLE_AUDIT_DB", "true");
    arena.once("transactions-audit");
    arena.note("copies");
    arena.once("transactions");
    judge(&mut arena)
}
