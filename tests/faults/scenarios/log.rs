//! The broker and its topics.

use std::thread::sleep;
use std::time::{Duration, Instant};

use pipeline::mutants::Mutant;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use testkit::services::services;
use testkit::world::block_on;

use super::at_work;
use crate::account::stream;
use crate::arena::{Arena, SESSION};
use crate::judge::{Judged, Report, drained, happened, judge, log, violated};
use crate::liar::Mode;

pub fn broker(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("broker", mutant, 3_000, 40);
    services("kill", "kafka");
    arena.note("broker kills");
    sleep(Duration::from_secs(2));
    services("start", "kafka");
    arena.links.kafka.slow(300);
    arena.note("slow links");
    sleep(Duration::from_secs(4));
    arena.links.heal();
    services("pause", "kafka");
    arena.note("broker freezes");
    sleep(SESSION + Duration::from_secs(3));
    services("resume", "kafka");
    arena.send(&stream(2, 1_000));
    arena.links.kafka.cut();
    arena.note("cut links");
    sleep(SESSION + Duration::from_secs(2));
    arena.links.heal();
    judge(&mut arena)
}

pub fn partitions_added(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("partitions", mutant, 1_500, 20);
    let name = arena.world().name.clone();
    let more = NewPartitions::new(&name, 9);
    let done = block_on(arena.world().admin().create_partitions([&more], &AdminOptions::new())).unwrap();
    happened("partitions were added", done.iter().all(Result::is_ok))?;
    arena.note("additions");
    arena.send(&stream(2, 1_500));
    let report = judge(&mut arena)?;
    happened("the new ones were used", log(&arena).keys().any(|(partition, _)| *partition >= 6))?;
    Ok(report)
}

pub fn retention(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = at_work("retention", mutant, 2_000, 40);
    arena.members.kill(0);
    let mut cut = TopicPartitionList::new();
    for (partition, next) in arena.world().committed(&arena.world().group(&arena.world().name)) {
        let to = Offset::Offset(next.unwrap_or(0) + 20);
        cut.add_partition_offset(&arena.world().name, partition, to).unwrap();
    }
    block_on(arena.world().admin().delete_records(&cut, &AdminOptions::new())).unwrap();
    arena.note("cuts");
    happened("the log was cut", (log(&arena).len() as u64) < arena.account.records)?;
    arena.log_was_cut = true;
    arena.start();
    judge(&mut arena)
}

/// How long a member may take to find out what is gone.
const TOLD: Duration = Duration::from_secs(30);

/// No record follows what retention took, so only the end of the log shows that something is gone.
pub fn retention_running(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("retention-running", mutant);
    arena.without_audit();
    arena.send(&stream(1, 300));
    arena.start();
    arena.await_processed(300);
    arena.liar.set(Mode::Busy);
    arena.send(&stream(2, 3_000));
    arena.members[0].await_reason("asks to wait");
    // Long enough for what was fetched ahead to be thrown away by a pause.
    sleep(Duration::from_secs(3));
    let mut all = TopicPartitionList::new();
    for partition in 0..crate::arena::PARTITIONS {
        all.add_partition_offset(&arena.world().name, partition, Offset::End).unwrap();
    }
    block_on(arena.world().admin().delete_records(&all, &AdminOptions::new())).unwrap();
    arena.note("cuts");
    arena.log_was_cut = true;
    arena.liar.set(Mode::Honest);
    drained(&arena)?;
    // What is gone leaves no lag, so the member may still be at work; the two have to meet.
    let told_by = Instant::now() + TOLD;
    loop {
        let seen = arena.members.sums()["transactions"].records;
        let gone = arena.account.records - seen;
        let counted =
            arena.members[0].metric("millrace_lost_to_retention_total{system=\"transactions\"}").unwrap_or(0.0);
        if gone > 0 && counted == gone as f64 {
            break;
        }
        if Instant::now() > told_by {
            happened("records were lost", gone > 0)?;
            return violated("a loss is told", format!("{gone} records are gone, {counted} are counted"));
        }
        sleep(Duration::from_millis(200));
    }
    let (status, why) = arena.members[0].ready();
    if status != 503 || !why.contains("deleted by retention") {
        return violated("a loss is told", format!("/readyz answers {status}: {why}"));
    }
    arena.members.kill(0);
    arena.start();
    arena.members[0].await_reason("deleted by retention");
    let counted = arena.members[0].metric("millrace_lost_to_retention_total{system=\"transactions\"}");
    if counted.is_some_and(|counted| counted > 0.0) {
        return violated("a loss is told", "it was counted again after a restart");
    }
    for (args, code) in [
        (vec!["losses", "transactions"], 1),
        (vec!["doctor", "transactions"], 1),
        (vec!["losses", "transactions", "--acknowledge-all"], 0),
        (vec!["losses", "transactions"], 0),
    ] {
        let output = arena.world().output(&args);
        if output.status.code() != Some(code) {
            return violated("a loss is told", format!("{args:?}: {output:?}"));
        }
        if args.first() == Some(&"doctor") && !String::from_utf8_lossy(&output.stdout).contains("deleted by retention")
        {
            return violated("a loss is told", format!("doctor says nothing of it: {output:?}"));
        }
    }
    arena.members[0].await_ready();
    judge(&mut arena)
}

pub fn topic_anew(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("anew", mutant);
    arena.without_audit();
    arena.send(&stream(1, 1_000));
    arena.once("transactions");
    arena.world().delete_topic();
    arena.ask("DELETE", &arena.index(), None);
    arena.note("topics made anew");
    arena.forget();
    arena.world().create_topic(&[]);
    arena.send(&stream(2, 200));
    let letters = arena.world().letters().len();
    arena.once("transactions");
    happened("letters of the new topic", arena.world().letters().len() > letters)?;
    // The old topic's letters name places that hold other records now.
    arena.forget_letters();
    arena.world().reset();
    arena.once("transactions");
    judge(&mut arena)
}

pub fn aborted(mutant: Option<Mutant>) -> Judged<Report> {
    let mut arena = Arena::new("aborted", mutant);
    arena.send(&stream(1, 500));
    let name = arena.world().name.clone();
    let mut client = arena.world().client();
    let producer: BaseProducer = client.set("transactional.id", &name).create().unwrap();
    let wait = Duration::from_secs(20);
    producer.init_transactions(wait).unwrap();
    producer.begin_transaction().unwrap();
    for partition in 0..crate::arena::PARTITIONS {
        let record = BaseRecord::to(&name).partition(partition).key("aborted").payload("never to be seen");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(wait).unwrap();
    producer.abort_transaction(wait).unwrap();
    arena.note("aborted transactions");
    arena.once("transactions");
    judge(&mut arena)
}
