//! The index template against the documents: every field is mapped, or is known to be kept without a mapping.

use std::collections::BTreeSet;

use serde_json::Value;

use super::samples::samples;
use super::{document, sound};
use crate::decode;

const TEMPLATE: &str = include_str!("../../../index-templates/transactions.json");
/// Fields of the samples that producers may add and nobody searches by: kept in the source, not mapped.
const UNMAPPED: &[&str] = &["tags", "card_last_four", "installments", "merchant_name", "quo\"ted", "a.b"];

fn mappings() -> Value {
    let template: Value = serde_json::from_str(TEMPLATE).unwrap();
    template["template"]["mappings"].clone()
}

#[test]
fn every_field_of_a_document_is_mapped_or_known_not_to_be() {
    let mappings = mappings();
    let mapped: BTreeSet<&str> = mappings["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut written: BTreeSet<String> = BTreeSet::new();
    for (_, payload) in samples() {
        written.extend(sound(&document(payload.as_bytes())).iter().map(|(name, _)| name.to_string()));
    }
    let delete = r#"{"event_type":"transaction.deleted","transaction_id":"a","timestamp":"2024-01-01T12:00:00Z"}"#;
    let tombstone = super::written(&decode(delete.as_bytes(), None).unwrap());
    written.extend(sound(&tombstone).iter().map(|(name, _)| name.to_string()));

    let known: BTreeSet<&str> = mapped.iter().copied().chain(UNMAPPED.iter().copied()).collect();
    let written: BTreeSet<&str> = written.iter().map(String::as_str).collect();
    assert_eq!(written.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "neither mapped nor known");
    assert!(UNMAPPED.iter().all(|name| !mapped.contains(name) && written.contains(name)));
    let never_written: Vec<_> = mapped.difference(&written).filter(|name| **name != "updated_at").collect();
    assert!(never_written.is_empty(), "mapped but never written: {never_written:?}");
}

#[test]
fn the_mapping_keeps_the_contract() {
    let mappings = mappings();
    assert_eq!(mappings["dynamic"], false);
    let kind = |field: &str| mappings["properties"][field]["type"].as_str().unwrap_or_default();
    for field in ["id", "user_id", "transaction_type", "product", "status", "currency"] {
        assert_eq!(kind(field), "keyword", "{field}");
    }
    for field in ["created_at", "updated_at", "_enriched_at", "_updated_at"] {
        assert_eq!(kind(field), "date", "{field}");
        assert_eq!(mappings["properties"][field]["ignore_malformed"], true, "{field}");
    }
    assert_eq!((kind("amount"), kind("search_content")), ("double", "text"));
    assert_eq!(mappings["properties"]["amount"]["ignore_malformed"], true);
    for field in ["metadata", "_unindexed"] {
        assert_eq!(mappings["properties"][field], serde_json::json!({"type": "object", "enabled": false}));
    }
}

#[test]
fn what_is_mapped_as_a_single_value_is_known_to_the_rule() {
    let mappings = mappings();
    let mapped = mappings["properties"].as_object().unwrap();
    let single = mapped.iter().filter(|(name, field)| !name.starts_with('_') && field["type"] != "object");
    let single: BTreeSet<&str> = single.map(|(name, _)| name.as_str()).collect();
    assert_eq!(single, BTreeSet::from(crate::transaction::unindexed::SINGLE));
}
