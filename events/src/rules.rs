//! Owns what the fields of an event ask of each other. The reader and the schema are both made from this.

use serde_json::{Value, json};
use wire::DecodeError;

use crate::EventName;
use crate::event_data::EventPlace;

/// Where a field is there, another has to be.
pub(crate) struct FieldRule {
    when: &'static str,
    /// Only where it holds this word.
    is: Option<&'static str>,
    needs: &'static str,
}

const fn rule(when: &'static str, is: Option<&'static str>, needs: &'static str) -> FieldRule {
    FieldRule { when, is, needs }
}

const OF_SUBSCRIPTION: FieldRule = rule("type", Some("subscription"), "subscriptionId");
const OF_POST: FieldRule = rule("type", Some("post"), "postId");
const AMOUNT: FieldRule = rule("amount", None, "currency");
const PRICE: FieldRule = rule("price", None, "currency");

const COMPLETED: &[FieldRule] = &[OF_SUBSCRIPTION, OF_POST];
const FAILED: &[FieldRule] = &[OF_SUBSCRIPTION, OF_POST, AMOUNT];
const PURCHASED: &[FieldRule] = &[AMOUNT];
const PRICED: &[FieldRule] = &[PRICE];

pub(crate) fn rules(name: EventName) -> &'static [FieldRule] {
    match name {
        EventName::PaymentCompleted => COMPLETED,
        EventName::PaymentFailed => FAILED,
        EventName::PostPurchased => PURCHASED,
        EventName::PostCreated | EventName::PostUpdated => PRICED,
        _ => &[],
    }
}

/// # Errors
/// `missing_field`, and what asks for it.
pub(crate) fn check(name: EventName, place: &EventPlace<'_, '_>) -> Result<(), DecodeError> {
    let broken = rules(name).iter().find(|rule| {
        let word = |word: &str| place.fields.text(rule.when).is_some_and(|text| text == word);
        place.has(rule.when) && rule.is.is_none_or(word) && !place.has(rule.needs)
    });
    broken.map_or(Ok(()), |rule| {
        let (when, needs) = (place.path(rule.when), place.path(rule.needs));
        let case = rule.is.map_or(format!("there is a `{when}`"), |word| format!("`{when}` is `{word}`"));
        Err(DecodeError::new("missing_field", format!("`{needs}` is missing, and {case}")))
    })
}

/// The rule as a condition of JSON Schema.
pub(crate) fn condition(rule: &FieldRule) -> Value {
    let there = rule.is.map_or(json!({"not": {"type": "null"}}), |word| json!({"const": word}));
    json!({
        "if": {"properties": {rule.when: there}, "required": [rule.when]},
        "then": {"properties": {rule.needs: {"not": {"type": "null"}}}, "required": [rule.needs]},
    })
}
