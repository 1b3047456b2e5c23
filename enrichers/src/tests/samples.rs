//! Messages as Python, Java and JavaScript producers write them.

/// Name and payload of each.
pub(super) const SAMPLES: &[(&str, &str)] = &[
    ("card_documented", CARD_DOCUMENTED),
    ("card_python_escaped", CARD_PYTHON_ESCAPED),
    ("card_java_pretty", CARD_JAVA_PRETTY),
    ("card_javascript_refund", CARD_JAVASCRIPT_REFUND),
    ("card_full_number", CARD_FULL_NUMBER),
    ("card_without_metadata", CARD_WITHOUT_METADATA),
    ("p2p_python", P2P_PYTHON),
    ("p2p_javascript_received", P2P_JAVASCRIPT_RECEIVED),
    ("crypto_javascript", CRYPTO_JAVASCRIPT),
    ("crypto_java_purchase", CRYPTO_JAVA_PURCHASE),
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

/// `json.dumps` escapes everything beyond ASCII; `datetime.utcnow().isoformat()` has no zone.
const CARD_PYTHON_ESCAPED: &str = r#"{"event_type": "transaction.updated", "transaction": {"id": "8c1f0f4e-5d0e-4a3b-9f5e-0d6a6f2b7c11", "user_id": "user_456", "transaction_type": "card_payment", "product": "Card", "status": "pending", "currency": "EUR", "amount": 4.5, "created_at": "2024-03-05T08:15:30.123456", "metadata": {"merchant_name": "SQ *Caf\u00e9 M\u00fcller 00123", "card_last_four": "0042", "mcc": "5812", "approved": true, "tip": null}}, "timestamp": "2024-03-05T08:15:30.123456", "source": "card-service"}"#;

/// Jackson with an indenting printer, `BigDecimal`, numbers as last four, and a time of which the seconds are zero.
const CARD_JAVA_PRETTY: &str = "{\r\n  \"event_type\" : \"transaction.created\",\r\n  \"transaction\" : {\r\n    \"id\" : 9007199254740993,\r\n    \"user_id\" : 77,\r\n    \"transaction_type\" : \"CARD_PURCHASE\",\r\n    \"product\" : \"Tarjeta Crédito\",\r\n    \"status\" : \"COMPLETED\",\r\n    \"currency\" : \"BRL\",\r\n    \"amount\" : 12345678901234567890.10,\r\n    \"created_at\" : 1704110400000,\r\n    \"tags\" : [ \"a\", \"b\" ],\r\n    \"metadata\" : {\r\n      \"merchant\" : {\r\n        \"name\" : \"MERCADOPAGO *São João 402-935-7733\",\r\n        \"city\" : \"São Paulo\"\r\n      },\r\n      \"merchant_category_code\" : 5411,\r\n      \"last4\" : 42\r\n    }\r\n  },\r\n  \"timestamp\" : \"2024-01-01T09:00-03:00\",\r\n  \"source\" : \"card-service\"\r\n}\r\n";

/// `JSON.stringify` and `toISOString`.
const CARD_JAVASCRIPT_REFUND: &str = r#"{"event_type":"transaction.created","transaction":{"id":"txn_01HV","user_id":"user_9","transaction_type":"card_refund","product":"Card","status":"completed","currency":"USD","amount":19.99,"created_at":"2024-06-01T10:00:00.000Z","metadata":{"merchant_name":"PAYPAL *STEAM GAMES","card_last_four":"**** 9876","direction":"inbound"}},"timestamp":"2024-06-01T10:00:00.000Z","source":"web"}"#;

const CARD_FULL_NUMBER: &str = r#"{"event_type":"transaction.created","transaction":{"id":"t-full","user_id":"u","transaction_type":"card","amount":"10","metadata":{"pan":"4111 1111 1111 1111","description":"paid with 4111-1111-1111-1111 at Joe's"}},"timestamp":"2024-06-01T10:00:00.123456789Z"}"#;

const CARD_WITHOUT_METADATA: &str = r#"{"event_type":"transaction.created","transaction":{"id":"t-bare","user_id":"u","transaction_type":"card","amount":-3,"card_last_four":"7777"},"timestamp":1704110400.5}"#;

const P2P_PYTHON: &str = r#"{"event_type": "transaction.created", "transaction": {"id": "p-1", "user_id": "user_1", "transaction_type": "p2p", "product": "Transfers", "status": "completed", "currency": "PEN", "amount": -25.00, "created_at": "2024-01-02 03:04:05", "metadata": {"peer_name": "Jos\u00e9  Nu\u00f1ez", "peer_id": "user_2", "message": "almuerzo \ud83c\udf55\ncon \"Mar\u00eda\""}}, "timestamp": "2024-01-02 03:04:05+00:00", "source": "p2p-service"}"#;

const P2P_JAVASCRIPT_RECEIVED: &str = r#"{"event_type":"transaction.updated","transaction":{"id":"p-2","user_id":"user_2","transaction_type":"P2P-Transfer","status":"completed","currency":"USD","amount":12,"metadata":{"sender_id":"user_1","sender":{"name":"Zoë Łukasz","avatar":"z.png"},"recipient_id":"user_2","note":"thanks"}},"timestamp":"2024-01-02T03:04:05.678Z","source":"app"}"#;

const CRYPTO_JAVASCRIPT: &str = r#"{"event_type":"transaction.created","transaction":{"id":"c-1","user_id":"user_3","transaction_type":"crypto","product":"Crypto","status":"confirmed","currency":"ETH","amount":"0.123456789012345678","created_at":"2024-01-03T00:00:00.000Z","metadata":{"network":"ERC-20","wallet_address":"0x1234567890abcdef1234567890abcdef1234abcd","tx_hash":"0xfeed00000000000000000000000000000000000000000000000000000000beef","fiat_rate":"2250.75","fiat_currency":"usd"}},"timestamp":"2024-01-03T00:00:00.000Z","source":"wallet"}"#;

const CRYPTO_JAVA_PURCHASE: &str = r#"{"event_type":"transaction.created","transaction":{"id":"c-2","user_id":"user_3","transaction_type":"CRYPTO_BUY","status":"confirmed","currency":"EUR","amount":1E+2,"metadata":{"asset":"USDT-TRC20","crypto_amount":108.5000,"exchange_rate":0.92165898617}},"timestamp":"2024-01-03T01:02:03.123456789+01:00","source":"exchange"}"#;

const UNKNOWN_TYPE: &str = r#"{"event_type":"transaction.created","transaction":{"id":"x-1","user_id":"user_4","transaction_type":"loan_payout","product":"Préstamo","status":"new","currency":"MXN","amount":1E400,"metadata":null,"installments":[{"n":1,"due":"2024-02-01"}]},"timestamp":"2024-01-04T00:00:00Z"}"#;

const METADATA_OF_ANOTHER_KIND: &str = r#"{"event_type":"transaction.created","transaction":{"id":"x-2","user_id":"user_4","transaction_type":"card","amount":null,"metadata":"none","merchant_name":"Łódź Bakery"},"timestamp":"2024-01-04T00:00:00Z"}"#;

const RESERVED_FIELDS: &str = r#"{"event_type":"transaction.created","transaction":{"_id":"x","id":"x-3","_version":7,"user_id":"user_4","transaction_type":"p2p","search_content":"spam","_enriched":"yes","metadata":{ },"quo\"ted":1},"timestamp":"2024-01-04T00:00:00Z","extra":{"deep":[1,2]}}"#;

/// A document database's own notation, flattened names, and a client that writes a name twice.
const UNINDEXED_FIELDS: &str = r#"{"event_type":"transaction.created","transaction":{"id":"x-4","user_id":"user_4","transaction_type":"card","amount":5.00,"amount.usd":5.43,"":null,"created_at":{"$date":"2024-01-04T00:00:00Z"},"a.b":1,"metadata":{"merchant_name":"Bakery","tag":"a","tag":"\ud83d","card_last_four":"1234","via":[{"hop":1,"hop":2}]}},"timestamp":"2024-01-04T00:00:00Z"}"#;
