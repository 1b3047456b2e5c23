//! Card payments: the masked number, the merchant's plain name, its category, and the direction.

use super::{Details, ProducerFields, Strategy};
use crate::transaction::last_four;
use crate::transaction::mcc;
use crate::transaction::merchant;

pub(super) const STRATEGY: Strategy = Strategy {
    types: &[
        "card",
        "card_payment",
        "card_purchase",
        "card_transaction",
        "card_refund",
        "card_withdrawal",
        "debit_card",
        "credit_card",
    ],
    details: &["card_masked", "merchant_clean", "merchant_category", "direction"],
    enrich,
    #[cfg(test)]
    samples: SAMPLES,
};

#[cfg(test)]
const SAMPLES: &[(&str, &str)] = &[
    // `json.dumps` escapes everything beyond ASCII; `datetime.utcnow().isoformat()` has no zone.
    ("card_python_escaped", r#"{"event_type": "transaction.updated", "transaction": {"id": "8c1f0f4e-5d0e-4a3b-9f5e-0d6a6f2b7c11", "user_id": "user_456", "transaction_type": "card_payment", "product": "Card", "status": "pending", "currency": "EUR", "amount": 4.5, "created_at": "2024-03-05T08:15:30.123456", "metadata": {"merchant_name": "SQ *Caf\u00e9 M\u00fcller 00123", "card_last_four": "0042", "mcc": "5812", "approved": true, "tip": null}}, "timestamp": "2024-03-05T08:15:30.123456", "source": "card-service"}"#),
    // Jackson with an indenting printer, `BigDecimal`, numbers as last four, and a time of which the seconds are zero.
    ("card_java_pretty", "{\r\n  \"event_type\" : \"transaction.created\",\r\n  \"transaction\" : {\r\n    \"id\" : 9007199254740993,\r\n    \"user_id\" : 77,\r\n    \"transaction_type\" : \"CARD_PURCHASE\",\r\n    \"product\" : \"Tarjeta Crédito\",\r\n    \"status\" : \"COMPLETED\",\r\n    \"currency\" : \"BRL\",\r\n    \"amount\" : 12345678901234567890.10,\r\n    \"created_at\" : 1704110400000,\r\n    \"tags\" : [ \"a\", \"b\" ],\r\n    \"metadata\" : {\r\n      \"merchant\" : {\r\n        \"name\" : \"MERCADOPAGO *São João 402-935-7733\",\r\n        \"city\" : \"São Paulo\"\r\n      },\r\n      \"merchant_category_code\" : 5411,\r\n      \"last4\" : 42\r\n    }\r\n  },\r\n  \"timestamp\" : \"2024-01-01T09:00-03:00\",\r\n  \"source\" : \"card-service\"\r\n}\r\n"),
    // `JSON.stringify` and `toISOString`.
    ("card_javascript_refund", r#"{"event_type":"transaction.created","transaction":{"id":"txn_01HV","user_id":"user_9","transaction_type":"card_refund","product":"Card","status":"completed","currency":"USD","amount":19.99,"created_at":"2024-06-01T10:00:00.000Z","metadata":{"merchant_name":"PAYPAL *STEAM GAMES","card_last_four":"**** 9876","direction":"inbound"}},"timestamp":"2024-06-01T10:00:00.000Z","source":"web"}"#),
    ("card_full_number", r#"{"event_type":"transaction.created","transaction":{"id":"t-full","user_id":"u","transaction_type":"card","amount":"10","metadata":{"pan":"4111 1111 1111 1111","description":"paid with 4111-1111-1111-1111 at Joe's"}},"timestamp":"2024-06-01T10:00:00.123456789Z"}"#),
    ("card_without_metadata", r#"{"event_type":"transaction.created","transaction":{"id":"t-bare","user_id":"u","transaction_type":"card","amount":-3,"card_last_four":"7777"},"timestamp":1704110400.5}"#),
];

const LAST_FOUR: &[&str] = &["card_last_four", "card_last4", "last_four", "last4", "card_last_4"];
const FULL_NUMBER: &[&str] = &["card_number", "pan", "card_pan", "primary_account_number"];
const MERCHANT: &[&str] = &["merchant_name", "merchant", "merchant_descriptor", "descriptor"];
const CATEGORY_CODE: &[&str] = &["mcc", "merchant_category_code"];
/// Fields that may say what kind of card transaction it is.
const KINDS: &[&[&str]] =
    &[&["direction"], &["card_transaction_type"], &["operation"], &["type"], &["transaction_type"], &["status"]];

fn enrich(facts: &ProducerFields<'_, '_>, details: &mut Details<'_>) {
    if let Some(digits) = last_digits(facts) {
        details.add("card_masked", &format!("**** **** **** {digits}"));
        details.search.add_word(&digits);
    }
    if let Some(name) = facts.name(MERCHANT).and_then(|name| merchant::clean(&name)) {
        details.add("merchant_clean", &name);
        details.search.add(&name);
    }
    if let Some(category) = facts.text(CATEGORY_CODE).and_then(|code| mcc::category(&code)) {
        details.add("merchant_category", category);
        details.search.add(category);
    }
    if let Some(direction) = direction(facts) {
        details.add("direction", direction);
    }
}

/// The last four digits, from the field for them or from a full number.
fn last_digits(facts: &ProducerFields<'_, '_>) -> Option<String> {
    let given = facts.text(LAST_FOUR).and_then(|text| {
        let digits = text.trim_start_matches(['*', 'x', 'X', '•', '.', ' ']);
        let is_short = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        // A producer that sent a number lost the leading zeros.
        if is_short { Some(format!("{digits:0>4}")) } else { last_four(digits) }
    });
    given.or_else(|| facts.text(FULL_NUMBER).and_then(|number| last_four(&number)))
}

/// `credit` for money that comes back, `debit` for money that goes out.
/// A kind that says so decides; else the sign, where a purchase is positive, as in the documented message.
fn direction(facts: &ProducerFields<'_, '_>) -> Option<&'static str> {
    let said = KINDS.iter().find_map(|names| {
        let kind = facts.text(names)?.to_ascii_lowercase();
        let holds = |words: &[&str]| words.iter().any(|word| kind.contains(word));
        if holds(&["refund", "reversal", "reversed", "chargeback", "cashback"]) || kind == "credit" {
            Some("credit")
        } else if holds(&["purchase", "withdrawal"]) || kind == "debit" {
            Some("debit")
        } else {
            None
        }
    });
    said.or_else(|| facts.amount_is_negative().map(|negative| if negative { "credit" } else { "debit" }))
}
