//! Cryptocurrency: asset and network under one name each, a short address, and the value in fiat money.

use std::borrow::Cow;

use super::{Details, ProducerFields, Strategy};
use wire::decimal::Decimal;

pub(super) const STRATEGY: Strategy = Strategy {
    types: &[
        "crypto",
        "crypto_transfer",
        "crypto_payment",
        "crypto_deposit",
        "crypto_withdrawal",
        "crypto_purchase",
        "crypto_buy",
        "crypto_sell",
        "crypto_trade",
        "cryptocurrency",
    ],
    details: &["crypto_asset", "crypto_network", "address_short", "fiat_value", "fiat_currency"],
    enrich,
    #[cfg(test)]
    samples: SAMPLES,
};

#[cfg(test)]
const SAMPLES: &[(&str, &str)] = &[
    ("crypto_javascript", r#"{"event_type":"transaction.created","transaction":{"id":"c-1","user_id":"user_3","transaction_type":"crypto","product":"Crypto","status":"confirmed","currency":"ETH","amount":"0.123456789012345678","created_at":"2024-01-03T00:00:00.000Z","metadata":{"network":"ERC-20","wallet_address":"0x1234567890abcdef1234567890abcdef1234abcd","tx_hash":"0xfeed00000000000000000000000000000000000000000000000000000000beef","fiat_rate":"2250.75","fiat_currency":"usd"}},"timestamp":"2024-01-03T00:00:00.000Z","source":"wallet"}"#),
    ("crypto_java_purchase", r#"{"event_type":"transaction.created","transaction":{"id":"c-2","user_id":"user_3","transaction_type":"CRYPTO_BUY","status":"confirmed","currency":"EUR","amount":1E+2,"metadata":{"asset":"USDT-TRC20","crypto_amount":108.5000,"exchange_rate":0.92165898617}},"timestamp":"2024-01-03T01:02:03.123456789+01:00","source":"exchange"}"#),
];

const ASSET: &[&str] = &["asset", "crypto_asset", "crypto_currency", "cryptocurrency", "coin", "token", "symbol"];
const NETWORK: &[&str] = &["network", "blockchain", "chain", "protocol"];
const ADDRESS: &[&str] =
    &["wallet_address", "address", "to_address", "destination_address", "recipient_address", "from_address"];
const HASH: &[&str] = &["tx_hash", "transaction_hash", "txid", "hash"];
const QUANTITY: &[&str] = &["crypto_amount", "asset_amount", "quantity"];
const RATE: &[&str] = &["fiat_rate", "exchange_rate", "rate", "price"];
const FIAT: &[&str] = &["fiat_currency", "quote_currency", "rate_currency"];

/// Ticker, name, and other spellings of common assets, compared in lower case.
#[rustfmt::skip]
const ASSETS: &[(&str, &str, &[&str])] = &[
    ("BTC", "Bitcoin", &["xbt"]),
    ("ETH", "Ethereum", &["ether"]),
    ("USDT", "Tether", &["tether usd", "usd tether"]),
    ("USDC", "USD Coin", &["usdcoin"]),
    ("DAI", "Dai", &[]),
    ("BNB", "BNB", &["binance coin", "binancecoin"]),
    ("SOL", "Solana", &[]),
    ("XRP", "XRP", &["ripple"]),
    ("ADA", "Cardano", &[]),
    ("DOGE", "Dogecoin", &["xdg"]),
    ("TRX", "Tron", &["tronix"]),
    ("LTC", "Litecoin", &[]),
    ("BCH", "Bitcoin Cash", &["bitcoincash"]),
    ("POL", "Polygon", &["matic"]),
    ("DOT", "Polkadot", &[]),
    ("AVAX", "Avalanche", &[]),
    ("XLM", "Stellar", &["lumens"]),
    ("XMR", "Monero", &[]),
    ("LINK", "Chainlink", &[]),
    ("SHIB", "Shiba Inu", &[]),
    ("TON", "Toncoin", &[]),
];

/// Networks and other spellings of them, compared in lower case without `-`, `_` and spaces.
#[rustfmt::skip]
const NETWORKS: &[(&str, &[&str])] = &[
    ("bitcoin", &["btc"]),
    ("lightning", &["ln", "lightningnetwork", "bitcoinlightning"]),
    ("ethereum", &["eth", "erc20", "ethereummainnet"]),
    ("tron", &["trx", "trc20"]),
    ("bsc", &["bep20", "bnb", "bnbsmartchain", "bnbchain", "binancesmartchain"]),
    ("solana", &["sol", "spl"]),
    ("polygon", &["matic", "pol", "polygonpos"]),
    ("arbitrum", &["arb", "arbitrumone"]),
    ("optimism", &["op", "opmainnet"]),
    ("base", &["basemainnet"]),
    ("avalanche", &["avax", "avaxc", "avaxcchain", "avalanchec", "avalanchecchain"]),
    ("stellar", &["xlm"]),
    ("ripple", &["xrp", "xrpl", "xrpledger"]),
    ("litecoin", &["ltc"]),
    ("dogecoin", &["doge"]),
    ("cardano", &["ada"]),
    ("ton", &["theopennetwork"]),
];

fn enrich(facts: &ProducerFields<'_, '_>, details: &mut Details<'_>) {
    let given = facts.text(ASSET).or_else(|| facts.transaction.text("currency"));
    let (asset_text, suffix) = given.as_deref().map_or((None, None), split_network);
    let asset = asset_text.and_then(asset);
    if let Some(asset) = &asset {
        details.add("crypto_asset", &asset.ticker);
        details.search.add_word(&asset.ticker);
        details.search.add(asset.name);
    }
    if let Some(network) = facts.text(NETWORK).and_then(|text| network(&text)).or(suffix) {
        details.add("crypto_network", network);
        details.search.add_word(network);
    }
    if let Some(address) = facts.text(ADDRESS) {
        let short = shorten(&address);
        details.add("address_short", &short);
        details.search.add_word(&short);
        details.search.add_word(&address);
    }
    if let Some(hash) = facts.text(HASH) {
        details.search.add_word(&hash);
    }
    add_fiat_value(facts, asset.as_ref(), details);
}

struct Asset<'t> {
    ticker: Cow<'t, str>,
    name: &'static str,
}

/// A known asset under its ticker; an unknown one in capitals, as long as it looks like a ticker.
fn asset(text: &str) -> Option<Asset<'_>> {
    let text = text.trim();
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    let known = ASSETS.iter().find(|(ticker, name, others)| is(ticker) || is(name) || others.iter().any(|o| is(o)));
    if let Some((ticker, name, _)) = known {
        return Some(Asset { ticker: Cow::Borrowed(ticker), name });
    }
    let is_ticker = (2..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    is_ticker.then(|| Asset { ticker: Cow::Owned(text.to_ascii_uppercase()), name: "" })
}

/// Splits `USDT-TRC20` into asset and network; a text without a known network behind it stays whole.
fn split_network(text: &str) -> (Option<&str>, Option<&'static str>) {
    match text.rsplit_once(['-', '_', '.']) {
        Some((asset, suffix)) if network(suffix).is_some() => (Some(asset), network(suffix)),
        _ => (Some(text), None),
    }
}

fn network(text: &str) -> Option<&'static str> {
    let plain = text.bytes().filter(|b| !matches!(b, b'-' | b'_' | b' ')).map(|b| b.to_ascii_lowercase());
    let is = |word: &str| plain.clone().eq(word.bytes());
    NETWORKS.iter().find(|(name, others)| is(name) || others.iter().any(|o| is(o))).map(|(name, _)| *name)
}

/// The first six and last four characters, as wallets show an address; short texts stay whole.
fn shorten(address: &str) -> Cow<'_, str> {
    let count = address.chars().count();
    if count <= 12 {
        return Cow::Borrowed(address);
    }
    let ends = address.chars().take(6).chain(['…']).chain(address.chars().skip(count - 4));
    Cow::Owned(ends.collect())
}

/// Quantity times rate, exactly. The transaction's amount is the quantity when its currency is the asset itself.
fn add_fiat_value(facts: &ProducerFields<'_, '_>, traded: Option<&Asset<'_>>, details: &mut Details<'_>) {
    let Some(rate) = facts.text(RATE).and_then(|rate| Decimal::parse(&rate)) else { return };
    let currency = facts.transaction.text("currency");
    let in_asset = currency.as_deref().is_none_or(|currency| {
        let held = split_network(currency).0.and_then(asset);
        matches!((held, traded), (Some(held), Some(traded)) if held.ticker == traded.ticker)
    });
    let quantity = facts.text(QUANTITY).or_else(|| in_asset.then(|| facts.transaction.text("amount")).flatten());
    let value = quantity.and_then(|quantity| Decimal::parse(&quantity)).and_then(|quantity| quantity.checked_mul(rate));
    let Some(value) = value else { return };
    details.add("fiat_value", &value.to_string());
    if let Some(fiat) = facts.text(FIAT).or_else(|| currency.filter(|_| !in_asset)) {
        details.add("fiat_currency", &fiat.to_ascii_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_and_networks_have_one_name() {
        let ticker = |text| split_network(text).0.and_then(asset).map(|asset| asset.ticker.into_owned());
        for text in ["btc", "BTC", "XBT", "Bitcoin"] {
            assert_eq!(ticker(text).as_deref(), Some("BTC"), "{text}");
        }
        assert_eq!(ticker("pepe").as_deref(), Some("PEPE"));
        assert_eq!(ticker("some long words"), None);
        assert_eq!(split_network("USDT-TRC20"), (Some("USDT"), Some("tron")));
        for text in ["ERC-20", "erc20", "Ethereum", "ETH", "ethereum_mainnet"] {
            assert_eq!(network(text), Some("ethereum"), "{text}");
        }
        assert_eq!(network("nowhere"), None);
    }

    #[test]
    fn addresses_are_shortened() {
        assert_eq!(shorten("0x1234567890abcdef1234567890abcdef1234abcd"), "0x1234…abcd");
        assert_eq!(shorten("short"), "short");
    }
}
