//! The sibling systems: members that die between the halves of a write, stores that are away, pushes that come late.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pipeline::mutants::Mutant;
use testkit::choices::IN_ALGOLIA;
use testkit::double::Fault;
use testkit::services::{eventually, services};

use crate::family::{Family, SYSTEMS, drained, judge};
use crate::judge::{Judged, Report, happened, verify, violated};
use crate::links::Link;

/// How long a store is away.
const AWAY: Duration = Duration::from_secs(20);
/// How long a push is held back: longer than it takes the group to miss a member, and others to do its work.
const HELD_BACK: Duration = Duration::from_secs(18);

pub fn halves(mutant: Option<Mutant>) -> Judged<Report> {
    let mut family = Family::at_work("halves", mutant, 200);
    family.links.mongodb.slow(40);
    let (mut not_pushed, mut not_rated) = (0, 0);
    for round in 0..5 {
        family.siblings.algolia.fail(Fault::Slow(Duration::from_secs(5)));
        family.send(2 + round, 100);
        eventually("objects that are taken and not pushed", || (family.not_pushed() > 0).then_some(()));
        family.members.kill(0);
        family.note("kills");
        not_pushed += family.not_pushed();
        not_rated += family.not_rated();
        family.siblings.algolia.heal();
        family.start();
    }
    family.heal();
    let report = judge(&mut family)?;
    println!("{not_pushed} objects were taken and not pushed, {not_rated} ratings were not counted yet");
    happened("a kill between version store and push", not_pushed > 0)?;
    happened("a kill between contribution and rating", not_rated > 0)?;
    happened("something was redelivered", report.redelivered > 0)?;
    Ok(report)
}

pub fn mongo_away(mutant: Option<Mutant>) -> Judged<Report> {
    let leave = |_: &Family| services("down", "mongodb");
    away("mongo-away", mutant, &SYSTEMS, leave, |_| services("up", "mongodb"))
}

pub fn algolia_away(mutant: Option<Mutant>) -> Judged<Report> {
    let leave = |family: &Family| family.siblings.algolia.fail(Fault::Status(503));
    away("algolia-away", mutant, &IN_ALGOLIA, leave, |family| family.siblings.algolia.heal())
}

/// A store is away while a stream comes; those that need it lag behind, and nobody else.
fn away(
    name: &'static str,
    mutant: Option<Mutant>,
    needs: &[&str],
    leave: impl Fn(&Family),
    back: impl Fn(&Family),
) -> Judged<Report> {
    let mut family = Family::at_work(name, mutant, 300);
    drained(&family)?;
    leave(&family);
    family.note("outages");
    let begun = Instant::now();
    let before = outcomes(&family);
    family.send(2, 600);
    for system in SYSTEMS.iter().filter(|system| !needs.contains(system)) {
        eventually("those that need nothing of it", || (family.lag(system) == 0).then_some(()));
    }
    sleep(AWAY.saturating_sub(begun.elapsed()));
    let lags: Vec<i64> = SYSTEMS.iter().map(|system| family.lag(system)).collect();
    let meanwhile = outcomes(&family);
    back(&family);
    let seconds = worked_off(&family);
    for ((system, lag), seconds) in SYSTEMS.iter().zip(lags).zip(seconds) {
        let done = meanwhile.get(*system).unwrap_or(&0) - before.get(*system).unwrap_or(&0);
        println!("{name}: {system}: {done} records meanwhile, lag {lag} when it was back, none {seconds:.1} s later");
        match (needs.contains(system), lag) {
            (true, 0) => return violated("the fault happened", format!("{system} needs what was away")),
            (false, 1..) => return violated("others go on", format!("{system} lags by {lag}")),
            _ => {}
        }
    }
    judge(&mut family)
}

/// How long from now each system takes to the end of its log, in seconds.
fn worked_off(family: &Family) -> Vec<f64> {
    let begun = Instant::now();
    let mut seconds = vec![None; SYSTEMS.len()];
    eventually("lag 0", || {
        for (system, seconds) in SYSTEMS.iter().zip(&mut seconds) {
            if seconds.is_none() && family.lag(system) == 0 {
                *seconds = Some(begun.elapsed().as_secs_f64());
            }
        }
        seconds.iter().all(Option::is_some).then_some(())
    });
    seconds.into_iter().map(Option::unwrap).collect()
}

fn outcomes(family: &Family) -> BTreeMap<String, u64> {
    family.members.sums().into_iter().map(|(system, sums)| (system, sums.outcomes)).collect()
}

pub fn late_push(mutant: Option<Mutant>) -> Judged<Report> {
    let mut family = Family::new("late-push", mutant);
    family.start();
    family.members[0].await_ready();
    let before = family.siblings.algolia.requests("batch");
    family.siblings.algolia.fail(Fault::Slow(HELD_BACK));
    let begun = Instant::now();
    family.send(1, 200);
    family.await_pushes(before + 1);
    family.members[0].signal("STOP");
    family.note("freezes");
    family.siblings.algolia.heal();
    family.join();
    drained(&family)?;
    happened("the work was done before the push came", begun.elapsed() < HELD_BACK)?;
    // Nothing tells of it: what is waited for is a stale object, in a mutant as well as in an honest program.
    eventually("the late push", || (family.not_pushed() > 0).then_some(()));
    family.members[0].signal("CONT");
    family.members[0].await_events("Partitions revoked", 1);
    judge(&mut family)
}

pub fn repair(mutant: Option<Mutant>) -> Judged<Report> {
    let mut family = Family::at_work("repair", mutant, 300);
    drained(&family)?;
    family.members.stop_all();
    for (system, index) in [("reviews", "reviews"), ("transactions-algolia", "transactions")] {
        let mut place = 0;
        family.siblings.algolia.change(index, |objects| {
            objects.retain(|_, _| {
                place += 1;
                place % 3 > 0
            });
        });
        family.note("indexes that lost objects");
        let (found, code) = family.siblings.findings(system, &["--repair"]);
        let missing = found.iter().filter(|(name, _)| name == "missing").count();
        println!("{system}: {missing} objects were missing, and the repair ended with {code:?}");
        happened("objects were missing", missing > 0)?;
    }
    judge(&mut family)
}

/// An object that the index refuses leaves the one before it in the version store and in the index.
pub fn refused_object(mutant: Option<Mutant>) -> Judged<Report> {
    let mut family = Family::new("refused", mutant);
    family.start();
    family.members[0].await_ready();
    family.send_review("created", 4, 0, 10);
    drained(&family)?;
    family.send_review("updated", 1, 10, 200_000);
    family.note("objects too large");
    drained(&family)?;
    happened("the object was refused", family.siblings.letters("reviews") == 1)?;
    match family.not_pushed() {
        0 => {}
        rows => return violated("what is refused is given back", format!("{rows} rows are not what the index shows")),
    }
    family.members.stop_all();
    verify(&family.siblings.world, "reviews", false, 0)?;
    Ok(Report { records: 2, letters: 1, faults: family.done.clone(), ..Report::default() })
}

/// A rating that comes to the cache when a later one is there already.
pub fn late_rating(mutant: Option<Mutant>) -> Judged<Report> {
    let mut family = Family::new("late-rating", mutant);
    let (late, url) = Link::beside_redis();
    let usual = family.siblings.world.env["REDIS_URL"].clone();
    family.siblings.world.set("REDIS_URL", &url);
    family.start();
    family.members[0].await_ready();
    family.siblings.world.set("REDIS_URL", &usual);
    family.send(1, 100);
    drained(&family)?;
    late.hold_back(HELD_BACK);
    let asked = evaluations();
    let begun = Instant::now();
    family.send(2, 100);
    eventually("ratings that wait for the cache", || {
        (family.lag("ratings") > 0 && family.not_rated() == 0).then_some(())
    });
    // What is on its way to the cache comes late, whatever becomes of who sent it.
    sleep(Duration::from_secs(1));
    family.members[0].signal("STOP");
    family.note("freezes");
    happened("no rating was cached", evaluations() == asked)?;
    family.send(3, 100);
    family.join();
    drained(&family)?;
    happened("the work was done before the rating came", begun.elapsed() < HELD_BACK)?;
    let asked = evaluations();
    eventually("the late rating", || (evaluations() > asked).then_some(()));
    family.members.kill(0);
    judge(&mut family)
}

/// How often Redis ran a script.
fn evaluations() -> u64 {
    let server = testkit::services::variable("REDIS_URL");
    let mut redis = redis::Client::open(server).unwrap().get_connection().unwrap();
    let text: String = redis::cmd("INFO").arg("commandstats").query(&mut redis).unwrap();
    let calls = text.lines().find_map(|line| line.strip_prefix("cmdstat_eval:calls=")?.split(',').next()?.parse().ok());
    calls.unwrap_or_default()
}
