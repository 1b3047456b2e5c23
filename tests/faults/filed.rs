//! Backfills beside live traffic: a file with events of the log, and with others that the file alone has.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::Value;
use testkit::program::{Running, printed};

use crate::account::{Message, stream};
use crate::arena::Arena;

/// Events that a file alone has.
const SHARE: u64 = 200;
/// Seeds of events that no log has begin here.
const SEEDS: u64 = 1 << 40;

/// The backfills of a trial.
#[derive(Default)]
pub struct Filed {
    /// Of the files that are read to their ends: what they alone have.
    pub messages: Vec<Message>,
    files: usize,
    open: Option<(Running, Vec<Message>)>,
}

impl Filed {
    fn args(&self) -> [String; 5] {
        let (file, state) = (format!("{}.ndjson", self.files), format!("{}.json", self.files));
        ["backfill".to_owned(), "transactions".to_owned(), file, "--state".to_owned(), state]
    }
}

/// Starts a backfill of a file: a part of what was sent up to now, and events of other documents, in any order. The account knows
/// both.
pub fn begin(arena: &mut Arena, rng: &mut StdRng) {
    let events = stream(SEEDS + rng.random_range(0..SEEDS), SHARE).into_iter();
    let own: Vec<Message> = events.filter(|message| message.sent.is_sound_in_any_order()).collect();
    let mut lines: Vec<String> = own.iter().filter_map(|message| message.payload.clone()).collect();
    lines.extend(arena.account.events().filter(|_| rng.random_bool(0.5)));
    lines.shuffle(rng);
    arena.filed.files += 1;
    let args = arena.filed.args();
    std::fs::write(arena.world().dir.join(&args[2]), lines.join("\n") + "\n").unwrap();
    let running = Running::start(arena.command(&args.each_ref().map(String::as_str)));
    arena.filed.open = Some((running, own));
}

/// Kills it wherever it is, and runs it on to the end.
pub fn finish(arena: &mut Arena) {
    let Some((running, own)) = arena.filed.open.take() else { return };
    running.kill();
    let output = arena.output(&arena.filed.args().each_ref().map(String::as_str));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = printed(&output);
    assert_eq!(summary["finished"], Value::Bool(true));
    if summary["lines"].as_u64() > Some(0) {
        arena.note("backfills resumed");
    }
    arena.filed.messages.extend(own);
}
