//! Members that die, sleep, come and go, and cannot be heard.

use std::thread::sleep;
use std::time::{Duration, Instant};

use pipeline::mutants::Mutant;
use testkit::services::{eventually, services};

use super::{STOP, at_work, time};
use crate::account::{event, stream};
use crate::arena::Arena;
use crate::judge::{Judged, Report, committed_is_durable, drained, happened, judge, violated};
use crate::liar::Mode;

pub fn kills(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("kills", mutant, 2_000, 40);
    for kill in 1..=4 {
        arena.await_processed(300 * kill);
        arena.members.kill(0);
        arena.note("kills");
        committed_is_durable(&arena)?;
        arena.start();
    }
    arena.liar.delay(Duration::ZERO);
    drained(&arena)?;
    // Nothing is answered any more; what hangs, all of it new, must not be committed, however long it hangs.
    arena.liar.delay(Duration::from_secs(600));
    arena.send(&stream(2, 500));
    sleep(Duration::from_secs(4));
    happened("a write hung", arena.world().lag() > 0)?;
    arena.members.kill(0);
    arena.note("kills");
    committed_is_durable(&arena)?;
    arena.liar.delay(Duration::ZERO);
    arena.start();
    let report = judge(&mut arena)?;
    happened("something was redelivered", report.redelivered > 0)?;
    Ok(report)
}

pub fn freeze(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("freeze", mutant);
    arena.without_audit();
    arena.start();
    arena.liar.set(Mode::Busy);
    // The first of two equal versions hangs in a member that falls asleep.
    arena.send(&[event("equal", "updated", time(), "pending", |_| {})]);
    arena.members[0].await_reason("asks to wait");
    arena.members[0].signal("STOP");
    arena.note("freezes");
    arena.send(&stream(1, 500));
    arena.liar.set(Mode::Honest);
    arena.send(&[event("equal", "updated", time(), "completed", |_| {})]);
    arena.join();
    eventually("the other member to take over", || (arena.world().lag() == 0).then_some(()));
    arena.members[0].signal("CONT");
    arena.members[0].await_events("Partitions revoked", 1);
    let report = judge(&mut arena)?;
    let status = &arena.ask("GET", &format!("{}/_doc/equal", arena.index()), None).1["_source"]["status"];
    match status == "completed" {
        true => Ok(report),
        false => violated("the later of equals wins", format!("it is {status}")),
    }
}

pub fn members(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("members", mutant, 4_000, 20);
    for visit in 0..6 {
        arena.start();
        if visit % 3 == 2 {
            arena.members.kill(1);
        } else {
            arena.members.stop(1);
        }
        arena.note("visits");
    }
    // Of the one that stays, before it ends.
    happened("the group was rebalanced", arena.members[0].events("Partitions revoked").len() >= 3)?;
    judge(&mut arena)
}

pub fn cooperative(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("cooperative", mutant);
    arena.with_properties("\"partition.assignment.strategy\" = 'cooperative-sticky'");
    arena.liar.delay(Duration::from_millis(20));
    arena.send(&stream(1, 3_000));
    arena.start();
    arena.await_processed(50);
    for visit in 0..4 {
        arena.start();
        if visit % 2 == 1 {
            arena.members.kill(1);
        } else {
            arena.members.stop(1);
        }
        arena.note("visits");
    }
    happened("the group was rebalanced", arena.members[0].events("Partitions revoked").len() >= 2)?;
    judge(&mut arena)
}

pub fn static_member(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("static", mutant);
    arena.with_properties("\"group.instance.id\" = 'member-{place}'");
    arena.liar.delay(Duration::from_millis(20));
    arena.send(&stream(1, 3_000));
    arena.start();
    arena.await_processed(50);
    for kill in 1..=3 {
        arena.members.kill(0);
        arena.note("kills");
        committed_is_durable(&arena)?;
        // It takes its own place again, without a rebalance.
        arena.start();
        arena.await_processed(50 + 200 * kill);
    }
    arena.start();
    arena.note("visits");
    arena.members.stop(1);
    judge(&mut arena)
}

pub fn handover(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("handover", mutant);
    arena.without_audit();
    arena.liar.delay(Duration::from_millis(700));
    arena.send(&stream(1, 1_000));
    arena.start();
    arena.await_processed(100);
    arena.start();
    arena.note("visits");
    arena.await_processed(400);
    arena.liar.delay(Duration::ZERO);
    let report = judge(&mut arena)?;
    happened("the group was rebalanced", report.rebalances > 0)?;
    match report.redelivered {
        0 => Ok(report),
        records => violated("a handover redelivers nothing", format!("{records} records came twice")),
    }
}

pub fn partition_returns(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("returns", mutant);
    arena.without_audit();
    // All that is sent is in flight at once, so that whichever partitions go away have batches that hang.
    arena.set("CONSUMER_BATCH_SIZE", "100");
    arena.set("CONSUMER_MAX_IN_FLIGHT", "12");
    arena.start();
    arena.members[0].await_ready();
    arena.liar.set(Mode::Busy);
    arena.send(&stream(1, 500));
    arena.members[0].await_reason("asks to wait");
    // A visitor takes some partitions away and gives them back, while the batches on them hang.
    arena.start();
    arena.members.stop(1);
    arena.members[0].await_events("Partitions assigned", 3);
    arena.note("visits");
    // Long enough for every hanging batch to notice, and for two commits.
    sleep(Duration::from_secs(6));
    arena.members.kill(0);
    arena.note("kills");
    committed_is_durable(&arena)?;
    arena.liar.set(Mode::Honest);
    arena.start();
    judge(&mut arena)
}

pub fn stop_unheard(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("stop-unheard", mutant, 2_000, 40);
    services("pause", "kafka");
    arena.note("broker freezes");
    let begun = Instant::now();
    arena.members.stop(0);
    arena.note("stops");
    let took = begun.elapsed();
    services("resume", "kafka");
    if took > STOP {
        return violated("a stop ends in time", format!("it took {} s", took.as_secs()));
    }
    committed_is_durable(&arena)?;
    arena.start();
    judge(&mut arena)
}

pub fn long_outage(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("long-outage", mutant);
    arena.with_properties("\"max.poll.interval.ms\" = 6000");
    arena.liar.delay(Duration::from_millis(30));
    arena.send(&stream(1, 2_000));
    arena.start();
    arena.await_processed(50);
    arena.liar.set(Mode::Busy);
    arena.note("outages");
    sleep(Duration::from_secs(5));
    arena.start();
    sleep(Duration::from_secs(8));
    arena.liar.set(Mode::Honest);
    happened("the group was rebalanced", !arena.members[0].events("Partitions revoked").is_empty())?;
    judge(&mut arena)
}
