//! Messages as Python, Java and JavaScript producers write them: those of each strategy, and those of none.

use crate::strategies::STRATEGIES;

/// Name and payload of each.
pub(super) fn samples() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    COMMON.iter().chain(STRATEGIES.iter().flat_map(|strategy| strategy.samples))
}

const COMMON: &[(&str, &str)] = &[
    ("card_documented", CARD_DOCUMENTED),
    ("unknown_type", UNKNOWN_TYPE),
    ("metadata_of_another_kind", METADATA_OF_ANOTHER_KIND),
    ("reserved_fields", RESERVED_FIELDS),
    ("unindexed_fields", UNINDEXED_FIELDS),
];

/// The message of the documentation.
pub(super) const CARD_DOCUMENTED: &str = r#"{
  "event_type": "transaction.created",
  "transaction": {
    "id": "uuid",
    "user_id": "user_123",
    "transaction_type": "card",
    "product": "Card",
    "status": "completed",
    "currency": "USD",
    "amount": 100.50,
    "created_at": "2024-01-01T12:00:00Z",
    "metadata": {
      "merchant_name": "Starbucks",
      "card_last_four": "1234"
    }
  },
  "timestamp": "2024-01-01T12:00:00Z",
  "source": "synthetic_data_generator"
}"#;

const UNKNOWN_TYPE: &str = r#"{"event_type":"transaction.created","transaction":{"id":"x-1","user_id":"user_4","transaction_type":"loan_payout","product":"Préstamo","status":"new","currency":"MXN","amount":1E400,"metadata":null,"installments":[{"n":1,"due":"2024-02-01"}]},"timestamp":"2024-01-04T00:00:00Z"}"#;

const METADATA_OF_ANOTHER_KIND: &str = r#"{"event_type":"transaction.created","transaction":{"id":"x-2","user_id":"user_4","transaction_type":"card","amount":null,"metadata":"none","merchant_name":"Łódź Bakery"},"timestamp":"2024-01-04T00:00:00Z"}"#;

const RESERVED_FIELDS: &str = r#"{"event_type":"transaction.created","transaction":{"_id":"x","id":"x-3","_version":7,"user_id":"user_4","transaction_type":"p2p","search_content":"spam","_enriched":"yes","metadata":{ },"quo\"ted":1},"timestamp":"2024-01-04T00:00:00Z","extra":{"deep":[1,2]}}"#;

/// A document database's own notation, flattened names, and a client that writes a name twice.
const UNINDEXED_FIELDS: &str = r#"{"event_type":"transaction.created","transaction":{"id":"x-4","user_id":"user_4","transaction_type":"card","amount":5.00,"amount.usd":5.43,"":null,"created_at":{"$date":"2024-01-04T00:00:00Z"},"a.b":1,"metadata":{"merchant_name":"Bakery","tag":"a","tag":"\ud83d","card_last_four":"1234","via":[{"hop":1,"hop":2}]}},"timestamp":"2024-01-04T00:00:00Z"}"#;
