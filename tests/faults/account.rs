//! What was sent, and what has to become of it: kept apart from the program's own reckoning.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use millrace::synthetic::{GeneratorOptions, SyntheticKind};
use serde_json::json;

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// An event of a document, and the status that it gives it.
    Event { id: String, version: i64, deleted: bool, status: String },
    /// To be dead-lettered by the primary; the audit ignores it.
    Undecodable,
    /// To be dead-lettered by the primary, whose store refuses it; the audit keeps it.
    Unindexable { id: String, version: i64 },
    /// To be dead-lettered by the audit alone.
    Unauditable { id: String, version: i64 },
    /// Without a payload.
    Null,
}

impl Sent {
    /// Whether it is an event of a document whose versions alone tell which wins. Of equal versions it is the log.
    pub fn is_sound_in_any_order(&self) -> bool {
        matches!(self, Self::Event { id, .. } if !id.starts_with("hand-"))
    }
}

/// A record to send.
#[derive(Clone, Debug)]
pub struct Message {
    pub key: String,
    pub payload: Option<String>,
    pub sent: Sent,
}

/// Every payload that was sent.
#[derive(Debug, Default)]
pub struct Account {
    by_payload: HashMap<Vec<u8>, Sent>,
    pub records: u64,
}

impl Account {
    pub fn note(&mut self, message: &Message) {
        self.records += 1;
        if let Some(payload) = &message.payload {
            self.by_payload.insert(payload.clone().into_bytes(), message.sent.clone());
        }
    }

    /// The payloads of what may be written in any order, in an order of their own.
    pub fn events(&self) -> impl Iterator<Item = String> {
        let events = self.by_payload.iter().filter(|(_, sent)| sent.is_sound_in_any_order());
        let mut payloads: Vec<String> =
            events.filter_map(|(payload, _)| String::from_utf8(payload.clone()).ok()).collect();
        payloads.sort();
        payloads.into_iter()
    }

    /// What a record of the log is; one without a payload is nothing.
    pub fn of(&self, payload: Option<&[u8]>) -> &Sent {
        payload.map_or(&Sent::Null, |payload| &self.by_payload[payload])
    }
}

/// The rank of an event's type among events of one time.
fn rank(kind: &str) -> i64 {
    ["created", "updated", "deleted"].iter().position(|known| *known == kind).unwrap() as i64
}

/// An event made by hand. `change` has the transaction before it is written.
pub fn event(
    id: &str,
    kind: &str,
    time: DateTime<Utc>,
    status: &str,
    change: impl FnOnce(&mut serde_json::Value),
) -> Message {
    let mut transaction =
        json!({"id": id, "user_id": "u", "transaction_type": "card", "status": status, "amount": 1.5});
    change(&mut transaction);
    let time_text = time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let payload =
        json!({"event_type": format!("transaction.{kind}"), "timestamp": time_text, "transaction": transaction});
    let version = time.timestamp_micros() * 4 + rank(kind);
    let sent = Sent::Event { id: id.to_owned(), version, deleted: kind == "deleted", status: status.to_owned() };
    Message { key: id.to_owned(), payload: Some(payload.to_string()), sent }
}

/// A document that the index refuses: a text where its mapping has a number, see [`testkit::services::refuse_strict`].
fn unindexable(id: &str, time: DateTime<Utc>) -> Message {
    let message = event(id, "created", time, "", |transaction| transaction["strict"] = json!("text"));
    let Sent::Event { id, version, .. } = message.sent else { unreachable!() };
    Message { sent: Sent::Unindexable { id, version }, ..message }
}

/// A transaction whose id no SQL text can hold.
pub fn unauditable(id: &str, time: DateTime<Utc>) -> Message {
    let message = event(&format!("{id}\0"), "created", time, "completed", |_| {});
    let Sent::Event { id, version, .. } = message.sent else { unreachable!() };
    Message { sent: Sent::Unauditable { id, version }, ..message }
}

/// An event whose time cannot be.
pub fn undecodable(id: &str, timestamp: &str) -> Message {
    let payload = json!({"event_type": "transaction.created", "timestamp": timestamp,
        "transaction": {"id": id, "user_id": "u", "transaction_type": "card"}});
    Message { key: id.to_owned(), payload: Some(payload.to_string()), sent: Sent::Undecodable }
}

/// A stream with everything in it: creates, updates, deletes, late updates, copies, what cannot be read or indexed, equal
/// versions.
pub fn stream(seed: u64, count: u64) -> Vec<Message> {
    // Fixed, so that a seed gives the same records every day.
    let until: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut options = GeneratorOptions::new(seed, until);
    options.count = count;
    options.users = Some(40);
    (options.update_ratio, options.delete_ratio, options.late_ratio) = (0.3, 0.15, 0.1);
    (options.malformed_ratio, options.null_ratio, options.duplicate_ratio) = (0.005, 0.005, 0.02);
    let mut messages: Vec<Message> = options
        .events()
        .unwrap()
        .map(|event| {
            let version = |rank: i64| event.micros * 4 + rank;
            let document = |rank: i64| Sent::Event {
                id: event.id.to_string(),
                version: version(rank),
                deleted: rank == 2,
                status: event.status.to_owned(),
            };
            let sent = match event.kind {
                SyntheticKind::Created => document(0),
                SyntheticKind::Updated | SyntheticKind::Late => document(1),
                SyntheticKind::Deleted => document(2),
                SyntheticKind::Malformed => Sent::Undecodable,
                SyntheticKind::Null => Sent::Null,
            };
            Message { key: event.key, payload: event.payload, sent }
        })
        .collect();
    let step = (messages.len() / 8).max(1);
    for n in 0..6_usize {
        let id = format!("hand-{seed}-{n}");
        let time = until - TimeDelta::seconds(n as i64);
        // One version twice, with different content: the later wins.
        let equal = ["pending", "completed"].map(|status| event(&id, "updated", time, status, |_| {}));
        let refused = unindexable(&format!("refused-{id}"), time);
        let mut at = n * step;
        for message in [equal[0].clone(), refused.clone(), equal[1].clone(), refused] {
            messages.insert(at.min(messages.len()), message);
            at += step / 5 + 1;
        }
    }
    messages
}
