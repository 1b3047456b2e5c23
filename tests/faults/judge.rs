//! The judge: what must hold when the faults are over. Each invariant has a name, which the report gives.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pipeline::Record;
use serde_json::{Value, json};
use testkit::contents::{self, find_alteration};
use testkit::world::World;

use crate::account::Sent;
use crate::arena::Arena;
use crate::crew::Sums;
use crate::letters::{Log, complete, exact, log_of};

/// How long the backlog may take once nothing is in the way.
const DRAIN: Duration = Duration::from_secs(90);

/// What is demanded of every trial; scenarios demand more.
pub const INVARIANTS: [&str; 12] = [
    "drained in time",
    "records are conserved",
    "letters are exact",
    "what is dead has its letter",
    "nothing sound is dead-lettered",
    "nothing is lost",
    "nothing is resurrected",
    "the newest version wins",
    "the later of equals wins",
    "no value vanishes",
    "nothing is invented",
    "verify finds nothing",
];

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

pub type Judged<T = ()> = Result<T, Violation>;

pub fn violated<T>(invariant: &'static str, what: impl Into<String>) -> Judged<T> {
    Err(Violation { invariant, what: what.into() })
}

/// Asserts that a fault really happened, so that a quiet run cannot pass.
pub fn happened(what: &str, did: bool) -> Judged {
    if did { Ok(()) } else { violated("the fault happened", what) }
}

/// What a trial came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub records: u64,
    pub redelivered: u64,
    pub rebalances: u64,
    pub letters: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub seconds: u64,
}

/// Runs a trial; a panic is a violation as well.
pub fn attempt(trial: impl FnOnce() -> Judged<Report>) -> Judged<Report> {
    let begun = Instant::now();
    let judged = catch_unwind(AssertUnwindSafe(trial));
    let judged = judged.unwrap_or_else(|panic| violated("the trial runs", said(&*panic)));
    judged.map(|report| Report { seconds: begun.elapsed().as_secs(), ..report })
}

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

/// Everything that must hold at the end. Members are stopped on the way.
pub fn judge(arena: &mut Arena) -> Judged<Report> {
    drained(arena)?;
    arena.members.stop_all();
    for (system, _) in arena.systems() {
        let sums = arena.members.sums().get(system).copied().unwrap_or_default();
        conserved(system, sums, arena.account.records, arena.log_was_cut)?;
    }
    let letters = letters_are_right(arena)?;
    newest_versions(arena)?;
    verified(arena)?;
    let sums = arena.members.sums().get("transactions").copied().unwrap_or_default();
    let mut faults = arena.done.clone();
    faults.extend(arena.liar.told());
    Ok(Report {
        records: arena.account.records,
        redelivered: (sums.records - sums.abandoned).saturating_sub(arena.account.records),
        rebalances: arena.members.rebalances(),
        letters,
        faults,
        seconds: 0,
    })
}

/// Liveness: the groups commit the end of the log within a stated time.
pub fn drained(arena: &Arena) -> Judged {
    let deadline = Instant::now() + DRAIN;
    for (system, group) in arena.systems() {
        while arena.world().lag_of(&group) != 0 {
            if Instant::now() > deadline {
                let why: Vec<String> = arena.members.iter().map(|member| member.ready().1).collect();
                let lag = arena.world().lag_of(&group);
                return violated("drained in time", format!("{system} has {lag} records to go; {}", why.join("; ")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// Conservation: every record of the log was counted at least once, and each count has its outcome.
pub fn conserved(system: &str, sums: Sums, records: u64, log_was_cut: bool) -> Judged {
    if sums.outcomes + sums.abandoned != sums.records {
        return violated("records are conserved", format!("{system}: the outcomes of {sums:?} do not add up"));
    }
    if sums.outcomes < records && !log_was_cut {
        let text = format!("{system}: {records} records in the log, {} outcomes", sums.outcomes);
        return violated("records are conserved", text);
    }
    Ok(())
}

/// The log, by coordinates.
pub fn log(arena: &Arena) -> Log {
    log_of(arena.world(), &arena.world().name)
}

/// Every record that has to be dead-lettered is, byte for byte, by the right system, and no other is.
fn letters_are_right(arena: &Arena) -> Judged<u64> {
    let log = log(arena);
    let found = exact(&log, arena.world().letters(), &arena.systems(), arena.log_was_cut)?;
    let due = |system: &str, record: &Record| {
        matches!(
            (system, arena.account.of(record.payload.as_deref())),
            ("transactions", Sent::Undecodable | Sent::Unindexable { .. })
                | ("transactions-audit", Sent::Unauditable { .. })
        )
    };
    let name = |record: &Record| name_of(arena.account.of(record.payload.as_deref()));
    for (system, _) in arena.systems() {
        complete(&log, &found, system, |record| due(system, record), name, arena.expect_letters)?;
    }
    Ok(found.values().sum())
}

fn name_of(sent: &Sent) -> &'static str {
    match sent {
        Sent::Event { .. } => "a sound event",
        Sent::Undecodable => "undecodable",
        Sent::Unindexable { .. } => "refused by the index",
        Sent::Unauditable { .. } => "refused by the audit",
        Sent::Null => "without payload",
    }
}

/// What a document is to be, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    version: i64,
    deleted: bool,
    /// Of a living one, as the store shows it.
    status: Option<String>,
    /// Of a living one: the transaction, or the event to the letter in the audit.
    content: Value,
}

impl State {
    fn shown(&self) -> String {
        let Self { version, deleted, status, .. } = self;
        format!("version {version}, deleted {deleted}, status {status:?}")
    }

    /// What the store does not hold as it was sent, if anything.
    fn find_alteration(&self, held: &Self) -> Option<String> {
        match &self.content {
            Value::String(_) => (self.content != held.content).then(|| "the payload".to_owned()),
            sent => find_alteration(sent, &held.content),
        }
    }
}

/// What a record makes of its document, as the primary or the audit sees it.
fn state_of(sent: &Sent, payload: Option<&[u8]>, audit: bool) -> Option<(String, State)> {
    let (id, version, deleted, status) = match sent {
        Sent::Event { id, version, deleted, status } => (id, *version, *deleted, Some(status.clone())),
        Sent::Unauditable { id, version } if !audit => (id, *version, false, Some("completed".to_owned())),
        // An object is no status to have a column for.
        Sent::Unindexable { id, version } if audit => (id, *version, false, None),
        _ => return None,
    };
    let content = match payload {
        _ if deleted => Value::Null,
        Some(payload) if audit => String::from_utf8_lossy(payload).into(),
        payload => contents::sent_transaction(payload),
    };
    let status = status.filter(|status| !deleted && !status.is_empty());
    Some((id.clone(), State { version, deleted, status, content }))
}

/// The newest state of each document that records below these offsets have, as one system sees them; files of the primary too.
fn newest(arena: &Arena, system: &str, below: impl Fn(i32) -> i64) -> HashMap<String, State> {
    let audit = system == "transactions-audit";
    let mut log: Vec<((i32, i64), Record)> = log(arena).into_iter().collect();
    log.sort_by_key(|(at, _)| *at);
    let logged = log.iter().filter(|((partition, offset), _)| *offset < below(*partition));
    let logged = logged.filter_map(|(_, record)| {
        let payload = record.payload.as_deref();
        state_of(arena.account.of(payload), payload, audit)
    });
    let filed = arena.filed.messages.iter().filter(|_| !audit);
    let filed = filed.filter_map(|one| state_of(&one.sent, one.payload.as_deref().map(str::as_bytes), audit));
    let mut newest: HashMap<String, State> = HashMap::new();
    for (id, state) in logged.chain(filed) {
        // Of equal versions the later in the partition.
        if newest.get(&id).is_none_or(|known| known.version <= state.version) {
            newest.insert(id, state);
        }
    }
    newest
}

/// What the index holds, tombstones too.
fn indexed(arena: &Arena) -> HashMap<String, State> {
    let index = arena.index();
    arena.ask("POST", &format!("{index}/_refresh"), None);
    let first = json!({"size": 5000, "sort": ["_doc"], "version": true});
    let (mut status, mut page) = arena.ask("POST", &format!("{index}/_search?scroll=1m"), Some(&first));
    let mut held = HashMap::new();
    while let Some(hits) = page["hits"]["hits"].as_array().filter(|hits| status == 200 && !hits.is_empty()) {
        for hit in hits {
            let source = &hit["_source"];
            let deleted = source["_deleted"] == Value::Bool(true);
            let state = State {
                version: hit["_version"].as_i64().unwrap(),
                deleted,
                status: source["status"].as_str().map(str::to_owned),
                content: if deleted { Value::Null } else { source.clone() },
            };
            held.insert(hit["_id"].as_str().unwrap().to_owned(), state);
        }
        let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
        (status, page) = arena.ask("POST", "/_search/scroll", Some(&next));
    }
    held
}

/// What the audit holds, tombstones too.
fn audited(arena: &Arena) -> HashMap<String, State> {
    let rows = arena.audited.states();
    let state = |(id, version, deleted, status, payload): (_, _, _, _, Option<String>)| {
        (id, State { version, deleted, status, content: payload.map_or(Value::Null, Value::String) })
    };
    rows.into_iter().map(state).collect()
}

fn held(arena: &Arena, system: &str) -> HashMap<String, State> {
    if system == "transactions" { indexed(arena) } else { audited(arena) }
}

/// By the account of what was sent, not by the program's own reckoning.
fn newest_versions(arena: &Arena) -> Judged {
    for (system, _) in arena.systems() {
        let (newest, held) = (newest(arena, system, |_| i64::MAX), held(arena, system));
        for (id, sent) in &newest {
            let Some(held) = held.get(id) else {
                if sent.deleted {
                    continue;
                }
                return violated("nothing is lost", format!("{system}: {id} is missing"));
            };
            // What is held may come from a record that is gone.
            if held.version > sent.version && arena.log_was_cut {
                continue;
            }
            let text = || format!("{system}: {id}: {} was sent, {} is held", sent.shown(), held.shown());
            match () {
                () if sent.deleted && !held.deleted => return violated("nothing is resurrected", text()),
                () if sent.version != held.version => return violated("the newest version wins", text()),
                () if (sent.deleted, &sent.status) != (held.deleted, &held.status) => {
                    return violated("the later of equals wins", text());
                }
                () => {}
            }
            if let Some(field) = sent.find_alteration(held) {
                return violated("no value vanishes", format!("{system}: {id}: {field} is not as it was sent"));
            }
        }
        match held.keys().find(|id| !newest.contains_key(*id)) {
            Some(id) if !arena.log_was_cut => {
                return violated("nothing is invented", format!("{system}: {id} was never sent"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// After a kill, with nobody at work: what the groups have committed is in the stores.
pub fn committed_is_durable(arena: &Arena) -> Judged {
    for (system, group) in arena.systems() {
        let committed = arena.world().committed(&arena.world().group(&group));
        let held = held(arena, system);
        let below = |partition: i32| committed.get(&partition).copied().flatten().unwrap_or(0);
        for (id, sent) in newest(arena, system, below) {
            if !held.get(&id).map_or(sent.deleted, |held| held.version >= sent.version) {
                let text = format!("{system}: {id} has to be at {} at least", sent.version);
                return violated("what is committed is durable", text);
            }
        }
    }
    Ok(())
}

/// The program's own answer.
fn verified(arena: &Arena) -> Judged {
    arena.systems().iter().try_for_each(|(system, _)| {
        let filed = if *system == "transactions" { arena.filed.messages.len() } else { 0 };
        verify(arena.world(), system, arena.log_was_cut, filed)
    })
}

/// What `verify` says of a system. A log that was cut may leave it unable to tell, and so many events of files may be unexplained.
pub fn verify(world: &World, system: &str, log_was_cut: bool, filed: usize) -> Judged {
    let output = world.output(&["verify", system, "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<&str> = text.lines().collect();
    let sums = lines.pop().unwrap_or_default();
    let findings = serde_json::from_str::<Value>(sums).unwrap_or_default()["findings"].take();
    let explained = |(name, count): (&String, &Value)| {
        name == "unexplained" && count.as_u64().is_some_and(|count| count <= filed as u64)
    };
    let explained = findings.as_object().is_some_and(|all| !all.is_empty() && all.iter().all(explained));
    // 75: it cannot be told of documents that are older than the log, or of a file.
    let untold = (log_was_cut || explained) && output.status.code() == Some(75);
    if output.status.success() || untold {
        return Ok(());
    }
    let first = lines.first().copied().unwrap_or_default();
    let errors = String::from_utf8_lossy(&output.stderr);
    violated("verify finds nothing", format!("{system}: {findings} {first} {errors}"))
}
