//! A transaction event on its way into an audit store: its state row and its line in the history.
//!
//! The audit keeps the raw event. A deleted transaction leaves a tombstone in the state; its history stays.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use enrichers::TransactionEvent;
use pipeline::sink::{Content, Reject, Write};
use pipeline::{Record, TopicPartition};
use sha2::{Digest, Sha256};

use crate::stores::reader::text_content;

/// Events in one request; more brings no throughput and longer locks.
pub(super) const MAX_ITEMS: usize = 2_000;
/// Bytes in one request.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;
/// What a row weighs besides its payload.
const ROW_BYTES: usize = 300;
/// Digits before and behind the point that PostgreSQL's `numeric` holds.
const NUMERIC_DIGITS: (i64, i64) = (131_072, 16_383);

/// One event with what the audit has columns for.
#[derive(Clone, Debug)]
pub struct AuditRow {
    pub id: String,
    pub version: i64,
    pub deleted: bool,
    pub event_type: &'static str,
    /// The event's time in microseconds since 1970.
    pub micros: i64,
    pub message: [u8; 32],
    pub payload: Bytes,
    pub at: TopicPartition,
    pub offset: i64,
    /// Nothing of a deleted transaction.
    pub columns: Columns,
}

/// The fields of a transaction that have columns of their own.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    pub user_id: Option<String>,
    pub transaction_type: Option<String>,
    pub product: Option<String>,
    pub status: Option<String>,
    pub currency: Option<String>,
    /// Digits as they came, with their exponent; a number that `numeric` holds.
    pub amount: Option<String>,
}

impl AuditRow {
    /// # Errors
    /// An id that no SQL database can hold, or an amount that `numeric` cannot.
    pub fn new(event: &TransactionEvent<'_>, record: &Record) -> Result<Self, Reject> {
        if event.id.contains('\0') {
            return Err(Reject::new("nul_in_id", "transaction.id holds a NUL character, which SQL text cannot"));
        }
        Ok(Self {
            id: event.id.clone().into_owned(),
            version: event.version(),
            deleted: event.is_delete(),
            event_type: event.kind.event_type(),
            micros: event.timestamp_micros(),
            message: event.message_id,
            payload: record.payload.clone().unwrap_or_default(),
            at: record.at.clone(),
            offset: record.offset,
            columns: if event.is_delete() { Columns::default() } else { Columns::of(event)? },
        })
    }

    pub(super) fn message_hex(&self) -> String {
        hex::encode(self.message)
    }

    pub(super) fn digest_hex(&self) -> String {
        hex::encode(Sha256::digest(&self.payload))
    }

    /// What was decoded is UTF-8.
    pub(super) fn payload_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.payload)
    }

    /// The event's time as RFC 3339 with microseconds.
    pub(super) fn time(&self) -> String {
        DateTime::from_timestamp_micros(self.micros)
            .map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
            .unwrap_or_default()
    }
}

impl Write for AuditRow {
    fn bytes(&self) -> usize {
        self.payload.len() + ROW_BYTES
    }

    fn content(&self) -> Content {
        Content { deleted: self.deleted, digest: if self.deleted { 0 } else { text_content(&self.payload) } }
    }
}

impl Columns {
    fn of(event: &TransactionEvent<'_>) -> Result<Self, Reject> {
        let text = |name| event.transaction.text(name).map(|text| text.replace('\0', "\u{fffd}"));
        let amount = text("amount");
        if amount.as_deref().is_some_and(|amount| !fits_numeric(amount)) {
            let why = "`transaction.amount` has more digits before or behind its point than `numeric` holds";
            return Err(Reject::new("amount_out_of_range", why));
        }
        Ok(Self {
            user_id: text("user_id"),
            transaction_type: text("transaction_type"),
            product: text("product"),
            status: text("status"),
            currency: text("currency"),
            amount,
        })
    }
}

/// Whether a decimal number is within the limits of `numeric`.
fn fits_numeric(number: &str) -> bool {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let whole = length(whole.trim_start_matches(['+', '-', '0']));
    let (most_whole, most_fraction) = NUMERIC_DIGITS;
    // An exponent that is no `i64` is beyond any limit.
    exponent.parse::<i64>().is_ok_and(|exponent| {
        whole.saturating_add(exponent) <= most_whole && length(fraction).saturating_sub(exponent) <= most_fraction
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(payload: &str) -> Result<AuditRow, Reject> {
        let record = Record {
            at: TopicPartition::new("transactions", 3),
            offset: 9,
            timestamp_ms: None,
            key: None,
            payload: Some(Bytes::copy_from_slice(payload.as_bytes())),
            headers: Vec::new(),
        };
        AuditRow::new(&enrichers::decode(payload.as_bytes(), None).unwrap(), &record)
    }

    fn event(kind: &str, transaction: &str) -> String {
        format!(
            r#"{{"event_type":"transaction.{kind}","transaction":{transaction},"timestamp":"1970-01-01T00:00:01Z"}}"#
        )
    }

    #[test]
    fn columns_are_texts_that_sql_can_hold() {
        let payload = event(
            "created",
            r#"{"id":"a","user_id":"u\u0000v","transaction_type":"card","amount":"12.50","status":7,"currency":null}"#,
        );
        let row = row(&payload).unwrap();
        assert_eq!(row.columns.user_id.as_deref(), Some("u\u{fffd}v"));
        assert_eq!((row.columns.status.as_deref(), row.columns.currency.as_deref()), (Some("7"), None));
        assert_eq!(row.columns.amount.as_deref(), Some("12.50"));
        assert_eq!(row.payload_text(), payload);
        assert_eq!(row.time(), "1970-01-01T00:00:01.000000Z");
    }

    #[test]
    fn an_amount_has_its_digits_or_a_reason() {
        let amount = |digits: &str| {
            let transaction = format!(r#"{{"id":"a","user_id":"u","transaction_type":"card","amount":{digits}}}"#);
            row(&event("created", &transaction)).map(|row| row.columns.amount).map_err(|reject| reject.class)
        };
        for digits in ["-1.000000000000000001", "1.23456789E7", "-0", "1E400", "1e-300", "1.10", &"9".repeat(201)] {
            assert_eq!(amount(digits), Ok(Some(digits.to_owned())));
        }
        assert_eq!(amount("\"+5\""), Ok(Some("+5".to_owned())));
        assert_eq!(amount("null"), Ok(None));
        for digits in ["1e999999", "1e131072", "1e-16384", "1e99999999999999999999"] {
            assert_eq!(amount(digits), Err("amount_out_of_range".into()), "{digits}");
        }
    }

    #[test]
    fn a_deleted_transaction_leaves_nothing_personal() {
        let row = row(&event("deleted", r#"{"id":"a","user_id":"u"}"#)).unwrap();
        assert!(row.deleted && row.columns.user_id.is_none());
    }

    #[test]
    fn an_id_with_nul_is_rejected_by_name() {
        let reject = row(&event("deleted", r#"{"id":"a\u0000"}"#)).unwrap_err();
        assert_eq!(reject.class, "nul_in_id");
    }
}
