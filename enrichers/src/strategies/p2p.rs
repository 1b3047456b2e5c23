//! Transfers between people: who the other one is, which way the money went, and the note.

use std::borrow::Cow;

use super::{Details, ProducerFields, Strategy, tidy};

pub(super) const STRATEGY: Strategy = Strategy {
    types: &[
        "p2p",
        "p2p_transfer",
        "p2p_payment",
        "p2p_sent",
        "p2p_received",
        "peer_to_peer",
        "peer_transfer",
        "peer",
    ],
    details: &["counterparty", "direction", "note"],
    enrich,
    #[cfg(test)]
    samples: SAMPLES,
};

#[cfg(test)]
const SAMPLES: &[(&str, &str)] = &[
    ("p2p_python", r#"{"event_type": "transaction.created", "transaction": {"id": "p-1", "user_id": "user_1", "transaction_type": "p2p", "product": "Transfers", "status": "completed", "currency": "PEN", "amount": -25.00, "created_at": "2024-01-02 03:04:05", "metadata": {"peer_name": "Jos\u00e9  Nu\u00f1ez", "peer_id": "user_2", "message": "almuerzo \ud83c\udf55\ncon \"Mar\u00eda\""}}, "timestamp": "2024-01-02 03:04:05+00:00", "source": "p2p-service"}"#),
    ("p2p_javascript_received", r#"{"event_type":"transaction.updated","transaction":{"id":"p-2","user_id":"user_2","transaction_type":"P2P-Transfer","status":"completed","currency":"USD","amount":12,"metadata":{"sender_id":"user_1","sender":{"name":"Zoë Łukasz","avatar":"z.png"},"recipient_id":"user_2","note":"thanks"}},"timestamp":"2024-01-02T03:04:05.678Z","source":"app"}"#),
];

const INCOMING: &str = "incoming";
const OUTGOING: &str = "outgoing";
/// Names of the other one that do not tell the direction.
const PEER: &[&str] = &["peer_name", "counterparty_name", "peer", "counterparty"];
const SENDER: &[&str] = &["sender_name", "from_name", "sender"];
const RECIPIENT: &[&str] = &["recipient_name", "receiver_name", "beneficiary_name", "to_name", "recipient", "receiver"];
const SENDER_ID: &[&str] = &["sender_id", "from_user_id", "sender_user_id"];
const RECIPIENT_ID: &[&str] = &["recipient_id", "to_user_id", "receiver_id", "recipient_user_id"];
/// What stands for a name where none is given.
const HANDLE: &[&str] = &["peer_username", "peer_handle", "peer_email", "peer_phone", "peer_id"];
const NOTE: &[&str] = &["note", "memo", "message", "comment"];

fn enrich(facts: &ProducerFields<'_, '_>, details: &mut Details<'_>) {
    let direction = direction(facts);
    if let Some(name) = counterparty(facts, direction).and_then(|name| tidy(&name)) {
        details.add("counterparty", &name);
        details.search.add(&name);
    }
    if let Some(direction) = direction {
        details.add("direction", direction);
    }
    if let Some(note) = facts.text(NOTE).and_then(|note| tidy(&note)) {
        details.add("note", &note);
        details.search.add(&note);
    }
}

fn counterparty<'a>(facts: &ProducerFields<'_, 'a>, direction: Option<&str>) -> Option<Cow<'a, str>> {
    let side = match direction {
        Some(INCOMING) => facts.name(SENDER),
        Some(_) => facts.name(RECIPIENT),
        None => None,
    };
    facts.name(PEER).or(side).or_else(|| facts.text(HANDLE))
}

/// By what the producer says; else by which side the user is on, or which side alone is named; else by a minus.
/// A plain positive amount tells nothing: producers write it both ways.
fn direction(facts: &ProducerFields<'_, '_>) -> Option<&'static str> {
    by_word(facts).or_else(|| by_sides(facts)).or_else(|| facts.amount_is_negative()?.then_some(OUTGOING))
}

fn by_word(facts: &ProducerFields<'_, '_>) -> Option<&'static str> {
    [&["direction"], &["transfer_type"], &["transaction_type"]].iter().find_map(|names| {
        let word = facts.text(*names)?.to_ascii_lowercase();
        match word.as_str() {
            "in" | "incoming" | "inbound" | "received" | "receive" | "credit" | "p2p_received" => Some(INCOMING),
            "out" | "outgoing" | "outbound" | "sent" | "send" | "debit" | "p2p_sent" => Some(OUTGOING),
            _ => None,
        }
    })
}

fn by_sides(facts: &ProducerFields<'_, '_>) -> Option<&'static str> {
    let user = facts.transaction.text("user_id");
    let sender = facts.text(SENDER_ID);
    let recipient = facts.text(RECIPIENT_ID);
    if sender.is_some() && sender == user {
        return Some(OUTGOING);
    }
    if recipient.is_some() && recipient == user {
        return Some(INCOMING);
    }
    match (facts.name(SENDER).is_some(), facts.name(RECIPIENT).is_some()) {
        (true, false) => Some(INCOMING),
        (false, true) => Some(OUTGOING),
        _ => None,
    }
}
