//! One synthetic transaction, and the messages about it.
//!
//! It is made of random numbers alone, so the same stream gives the same transaction again. Amounts are digits from the
//! start and never pass through a float.

use chrono::{DateTime, SecondsFormat};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use uuid::{Builder, Uuid};

use super::catalogue::{ASSETS, CURRENCIES, MERCHANTS, NOTES, PEOPLE, STATUS_PATHS};
use super::{SOURCE, SyntheticKind};

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: Uuid,
    transaction_type: &'static str,
    product: &'static str,
    currency: &'static str,
    pub(super) amount: String,
    path: &'static [&'static str],
    /// As JSON.
    metadata: String,
}

impl Transaction {
    pub(super) fn random(rng: &mut ChaCha8Rng) -> Self {
        let id = Builder::from_random_bytes(rng.random()).into_uuid();
        let path = STATUS_PATHS.choose(rng).copied().unwrap_or_default();
        match rng.random_range(0..10_u8) {
            0..6 => Self::card(rng, id, path),
            6..9 => Self::transfer(rng, id, path),
            _ => Self::crypto(rng, id, path),
        }
    }

    fn card(rng: &mut ChaCha8Rng, id: Uuid, path: &'static [&'static str]) -> Self {
        let (name, category, city) = MERCHANTS.choose(rng).copied().unwrap_or_default();
        let name: String = name.chars().map(|c| if c == '#' { digit(rng) } else { c }).collect();
        let last_four = digits(rng, 4);
        let metadata = format!(
            r#"{{"merchant_name":{},"merchant_city":{},"mcc":"{category}","card_last_four":"{last_four}"}}"#,
            quote(&name),
            quote(city),
        );
        let currency = CURRENCIES.choose(rng).copied().unwrap_or_default();
        Self { id, transaction_type: "card", product: "Card", currency, amount: money(rng), path, metadata }
    }

    fn transfer(rng: &mut ChaCha8Rng, id: Uuid, path: &'static [&'static str]) -> Self {
        let peer = PEOPLE.choose(rng).copied().unwrap_or_default();
        let note = NOTES.choose(rng).copied().unwrap_or_default();
        let direction = if rng.random_bool(0.5) { "sent" } else { "received" };
        let metadata = format!(
            r#"{{"peer_name":{},"peer_id":"user_{}","direction":"{direction}","note":{}}}"#,
            quote(peer),
            digits(rng, 6),
            quote(note),
        );
        let currency = CURRENCIES.choose(rng).copied().unwrap_or_default();
        Self { id, transaction_type: "p2p", product: "Transfer", currency, amount: money(rng), path, metadata }
    }

    fn crypto(rng: &mut ChaCha8Rng, id: Uuid, path: &'static [&'static str]) -> Self {
        let (asset, network, decimals, price, start, rest) = ASSETS.choose(rng).copied().unwrap_or_default();
        let address: String = (0..rest).map(|_| char::from_digit(rng.random_range(0..16), 16).unwrap_or('0')).collect();
        let rate = price + rng.random_range(0..=price / 10);
        let cents = digits(rng, 2);
        let metadata = format!(
            r#"{{"asset":"{asset}","network":"{network}","wallet_address":"{start}{address}","fiat_rate":{rate}.{cents},"fiat_currency":"USD"}}"#,
        );
        let whole = rng.random_range(0..20_u32);
        let amount = format!("{whole}.{}", digits(rng, decimals));
        Self { id, transaction_type: "crypto", product: "Crypto", currency: asset, amount, path, metadata }
    }

    /// The status after so many updates.
    pub(super) fn status(&self, revision: u8) -> &'static str {
        self.path.get(usize::from(revision)).or_else(|| self.path.last()).copied().unwrap_or("completed")
    }

    /// The message that creates or updates it.
    pub(super) fn write_message(
        &self,
        kind: SyntheticKind,
        user: &str,
        status: &str,
        created: i64,
        micros: i64,
    ) -> String {
        let event_type = if kind == SyntheticKind::Created { "transaction.created" } else { "transaction.updated" };
        let Self { id, transaction_type, product, currency, amount, metadata, .. } = self;
        let (user, created, now) = (quote(user), time(created), time(micros));
        format!(
            r#"{{"event_type":"{event_type}","transaction":{{"id":"{id}","user_id":{user},"transaction_type":"{transaction_type}","product":"{product}","status":"{status}","currency":"{currency}","amount":{amount},"created_at":"{created}","metadata":{metadata}}},"timestamp":"{now}","source":"{SOURCE}"}}"#
        )
    }

    /// The message that deletes it.
    pub(super) fn deletion_message(&self, user: &str, micros: i64) -> String {
        let (id, user, now) = (self.id, quote(user), time(micros));
        format!(
            r#"{{"event_type":"transaction.deleted","transaction":{{"id":"{id}","user_id":{user}}},"timestamp":"{now}","source":"{SOURCE}"}}"#
        )
    }
}

/// A message that no consumer can make a document of.
pub(super) fn write_malformed(rng: &mut ChaCha8Rng, user: &str, micros: i64) -> String {
    let good = Transaction::random(rng);
    let text = good.write_message(SyntheticKind::Created, user, "pending", micros, micros);
    match rng.random_range(0..5_u8) {
        0 => text.trim_end_matches('}').to_owned(),
        1 => text.replace("transaction.created", "transaction.exploded"),
        2 => text.replace(&format!(r#""id":"{}","#, good.id), ""),
        3 => text.replace(&format!(r#""amount":{}"#, good.amount), r#""amount":"a lot""#),
        _ => text.replace(&format!(r#""timestamp":"{}","#, time(micros)), ""),
    }
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

fn digit(rng: &mut ChaCha8Rng) -> char {
    char::from(b'0' + rng.random_range(0..10_u8))
}

fn digits(rng: &mut ChaCha8Rng, count: u32) -> String {
    (0..count).map(|_| digit(rng)).collect()
}

/// An amount with two decimals; small ones are more frequent than large ones.
fn money(rng: &mut ChaCha8Rng) -> String {
    let ceiling = 10_u64.pow(rng.random_range(3..7));
    let cents = rng.random_range(1..ceiling);
    format!("{}.{:02}", cents / 100, cents % 100)
}

pub(super) fn time(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}
