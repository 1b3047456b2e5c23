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
    enrich,
};

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
