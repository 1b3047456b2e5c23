//! What has to stand before the first document: the index template, the first index and the alias. May be run at every start.

use std::collections::BTreeMap;

use elasticsearch::http::Method;
use pipeline::sink::Failure;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use thiserror::Error;

use super::client::{ElasticsearchClient, Response};
use super::errors::judge_request;

/// Why the template or the alias could not be installed.
#[derive(Debug, Error)]
pub enum InstallError {
    #[error("{}", .0.why)]
    Failure(Failure),
    #[error(
        "{0} is an index, and an alias is needed under that name: rename the index, or set ELASTICSEARCH_INDEX to another name"
    )]
    AliasIsAnIndex(String),
    #[error("the index template of {0} is damaged: {1}")]
    Template(String, serde_json::Error),
    #[error("{}", several(.0, .1))]
    Several(String, Vec<String>),
    #[error("{what} was refused with status {status}: {words}")]
    Refused { what: String, status: u16, words: String },
}

impl From<Failure> for InstallError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// An alias of an index, as `GET /_alias` shows it.
#[derive(Debug, Deserialize)]
struct IndexAliases {
    aliases: BTreeMap<String, Alias>,
}

#[derive(Debug, Deserialize)]
struct Alias {
    is_write_index: Option<bool>,
}

/// The indices behind an alias, read from the answer to `GET /_alias/<alias>`.
pub(super) fn indices(body: &[u8]) -> Vec<String> {
    let indices: BTreeMap<String, IgnoredAny> = serde_json::from_slice(body).unwrap_or_default();
    indices.into_keys().collect()
}

/// A version is compared within an index, so a document that lives in two of them has two versions.
pub(super) fn several(alias: &str, indices: &[String]) -> String {
    format!(
        "the alias {alias} stands for several indices ({}), and versions are only compared within one: leave one behind \
         the alias, with all documents (_reindex with \"version_type\": \"external\")",
        indices.join(", ")
    )
}

/// The index that an alias writes to, read from the answer to `GET /_alias/<alias>`: the one that says so, or the only
/// one that does not say no.
pub(super) fn write_index(body: &[u8], alias: &str) -> Option<String> {
    let indices: BTreeMap<String, IndexAliases> = serde_json::from_slice(body).ok()?;
    let flag = |index: &IndexAliases| index.aliases.get(alias).map(|alias| alias.is_write_index);
    let named = indices.iter().find(|(_, index)| flag(index) == Some(Some(true)));
    let only = || indices.iter().next().filter(|(_, index)| indices.len() == 1 && flag(index) == Some(None));
    named.or_else(only).map(|(name, _)| name.clone())
}

/// Documents that were deleted stay as tombstones; the alias leaves them out.
fn living() -> Value {
    json!({"bool": {"must_not": {"term": {"_deleted": true}}}})
}

/// Installs `<alias>-000001` behind the alias where there is none, and the template for `<alias>-*`, which is for
/// indices that people make: the first index does not depend on it.
///
/// # Errors
/// A failure of the store, or a set-up that a person has to change.
pub async fn install(client: &ElasticsearchClient, alias: &str, template: &str) -> Result<(), InstallError> {
    let damaged = |error| InstallError::Template(alias.to_owned(), error);
    let template: Value = serde_json::from_str(template).map_err(damaged)?;
    install_template(client, alias, &template).await?;
    let found = client.call(Method::Get, &format!("/_alias/{alias}"), None).await?;
    match found.status {
        200 => {
            let indices = indices(&found.body);
            return if indices.len() > 1 { Err(InstallError::Several(alias.to_owned(), indices)) } else { Ok(()) };
        }
        404 => {}
        _ => return Err(refusal(&found, format!("asking for the alias {alias}"))),
    }
    let same_name = client.call(Method::Get, &format!("/{alias}"), None).await?;
    if same_name.status == 200 {
        return Err(InstallError::AliasIsAnIndex(alias.to_owned()));
    }
    create(client, alias, &template).await
}

/// Takes away what [`install`] made of an alias, with all documents; what is not there is well.
///
/// # Errors
/// A failure of the store.
pub(crate) async fn remove_index(client: &ElasticsearchClient, alias: &str) -> Result<(), Failure> {
    for path in [format!("/{alias}-000001"), format!("/_index_template/{alias}")] {
        let answer = client.call(Method::Delete, &path, None).await?;
        if !matches!(answer.status, 200 | 404) {
            return Err(Failure::unavailable(format!("status {}: {}", answer.status, answer.words())));
        }
    }
    Ok(())
}

/// The index has its settings and its mapping from the request, whatever templates there are.
async fn create(client: &ElasticsearchClient, alias: &str, template: &Value) -> Result<(), InstallError> {
    let index = format!("{alias}-000001");
    let mut body = template.get("template").cloned().unwrap_or_else(|| json!({}));
    if let Some(body) = body.as_object_mut() {
        body.insert("aliases".to_owned(), json!({alias: {"is_write_index": true, "filter": living()}}));
    }
    let made = client.call(Method::Put, &format!("/{index}"), Some(body.to_string())).await?;
    match made.status {
        200 => {
            tracing::info!(index, alias, "Index and alias created");
            Ok(())
        }
        // By another instance a moment ago, or without its alias: the alias is set either way.
        400 if made.error("type").as_deref() == Some("resource_already_exists_exception") => {
            let add = json!({"actions": [{"add":
                {"index": index, "alias": alias, "is_write_index": true, "filter": living()}}]});
            expect_ok(client.call(Method::Post, "/_aliases", Some(add.to_string())).await?, "setting the alias", alias)
        }
        _ => Err(refusal(&made, format!("creating the index {index}"))),
    }
}

/// Puts the template unless the cluster has this version of it or a later one, which somebody may have tuned.
async fn install_template(client: &ElasticsearchClient, alias: &str, body: &Value) -> Result<(), InstallError> {
    let path = format!("/_index_template/{alias}");
    let found = client.call(Method::Get, &path, None).await?;
    let known: Option<u64> = serde_json::from_slice::<Value>(&found.body)
        .ok()
        .and_then(|found| found.pointer("/index_templates/0/index_template/version")?.as_u64());
    let ours = body.get("version").and_then(Value::as_u64);
    if found.status == 200 && known >= ours {
        return Ok(());
    }
    for above in [0, 1_000, 1_000_000] {
        let body = fit(body, alias, above);
        let put = client.call(Method::Put, &path, Some(body.to_string())).await?;
        match put.status {
            200 => {
                tracing::info!(alias, version = ours, "Index template installed");
                return Ok(());
            }
            // Another one stands in its place, which has this very priority.
            400 => tracing::warn!(alias, why = put.words(), "The index template is refused"),
            // Nothing of ours depends on it.
            403 => {
                tracing::warn!(alias, why = put.words(), "The index template is refused");
                return Ok(());
            }
            _ => return Err(refusal(&put, format!("installing the index template of {alias}"))),
        }
    }
    Ok(())
}

/// Templates of one priority must not match one name. Of two aliases of which one begins with the other the longer has
/// the higher priority, and no name begins with two of equal length.
fn fit(template: &Value, alias: &str, above: u64) -> Value {
    let mut fitted = template.clone();
    let base = template.get("priority").and_then(Value::as_u64).unwrap_or_default();
    if let Some(fitted) = fitted.as_object_mut() {
        fitted.insert("index_patterns".to_owned(), json!([format!("{alias}-*")]));
        fitted.insert("priority".to_owned(), json!(base + above + alias.len() as u64));
    }
    fitted
}

fn expect_ok(answer: Response, what: &str, alias: &str) -> Result<(), InstallError> {
    if answer.status == 200 { Ok(()) } else { Err(refusal(&answer, format!("{what} {alias}"))) }
}

/// Outages and refused access are told as such; anything else is named with its status. The cluster's own words come with
/// it, for no request of these holds anything of a document.
fn refusal(answer: &Response, what: String) -> InstallError {
    use pipeline::sink::FailureKind::{Broken, Misconfigured, Unavailable};
    let words = answer.words();
    match judge_request(answer) {
        Some(failure) if matches!(failure.kind, Unavailable | Broken | Misconfigured) => {
            InstallError::Failure(Failure { why: format!("{what}: {} ({words})", failure.why).into(), ..failure })
        }
        _ => InstallError::Refused { what, status: answer.status, words },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_write_index_is_the_one_that_says_so_or_the_only_one() {
        let index = |body: &str| write_index(body.as_bytes(), "t");
        assert_eq!(index(r#"{"t-1":{"aliases":{"t":{}}}}"#).as_deref(), Some("t-1"));
        assert_eq!(index(r#"{"t-1":{"aliases":{"t":{"is_write_index":false}}}}"#), None);
        assert_eq!(index(r#"{"t-1":{"aliases":{"t":{}}},"t-2":{"aliases":{"t":{}}}}"#), None);
        let two =
            r#"{"t-1":{"aliases":{"t":{"is_write_index":false}}},"t-2":{"aliases":{"t":{"is_write_index":true}}}}"#;
        assert_eq!(index(two).as_deref(), Some("t-2"));
        assert_eq!(index(r#"{"error":{},"status":404}"#), None);
    }

    #[test]
    fn templates_of_ours_never_match_one_name_with_one_priority() {
        let made = |alias: &str| fit(&json!({"priority": 200}), alias, 0);
        assert_eq!(made("ab"), json!({"priority": 202, "index_patterns": ["ab-*"]}));
        assert_eq!(made("ab-v2"), json!({"priority": 205, "index_patterns": ["ab-v2-*"]}));
    }
}
