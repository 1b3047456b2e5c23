//! A look at the cluster and what stands behind an alias, for whoever wants to know what is wrong. It changes nothing.

use elasticsearch::http::Method;
use pipeline::sink::Failure;
use serde_json::Value;

use super::client::ElasticsearchClient;
use super::errors::judge_request;
use super::install::{indices as names, write_index};

/// What the cluster says.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Of its nodes, each once.
    pub versions: Vec<String>,
    /// Of the indices behind the name, `green`, `yellow` or `red`. None where there are none.
    pub index_health: Option<String>,
    /// Of the worst index in the cluster, whoever it belongs to.
    pub cluster_health: String,
    pub name: AliasState,
    /// The version of the installed template.
    pub template: Option<u64>,
    /// Settings that block writes, as `index: setting`.
    pub blocks: Vec<String>,
}

/// What the alias's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasState {
    Nothing,
    Index,
    Alias {
        indices: Vec<String>,
        /// The one that is written to.
        write_index: Option<String>,
        /// Whether tombstones are left out, in each of its indices.
        filtered: bool,
    },
}

/// # Errors
/// Why the cluster does not answer.
pub async fn inspect(client: &ElasticsearchClient, alias: &str) -> Result<Cluster, Failure> {
    let nodes = get(client, "/_nodes?filter_path=nodes.*.version").await?;
    let nodes = nodes.get("nodes").and_then(Value::as_object);
    let mut versions: Vec<String> = nodes
        .into_iter()
        .flat_map(|nodes| nodes.values())
        .filter_map(|node| Some(node.get("version")?.as_str()?.to_owned()))
        .collect();
    versions.sort();
    versions.dedup();
    let name = name(client, alias).await?;
    let cluster_health = health(client, "/_cluster/health?filter_path=status").await?;
    // The health of an index that does not exist is waited for by the cluster, and then red.
    let index_health = match name {
        AliasState::Nothing => None,
        _ => Some(health(client, &format!("/_cluster/health/{alias}?filter_path=status")).await?),
    };
    let template = get(client, &format!("/_index_template/{alias}")).await?;
    let settings = get(client, &format!("/{alias}/_settings?flat_settings=true")).await?;
    Ok(Cluster {
        versions,
        index_health,
        cluster_health,
        name,
        template: template.pointer("/index_templates/0/index_template/version").and_then(Value::as_u64),
        blocks: blocks(&settings),
    })
}

async fn health(client: &ElasticsearchClient, path: &str) -> Result<String, Failure> {
    let answer = get(client, path).await?;
    Ok(answer.get("status").and_then(Value::as_str).unwrap_or("unknown").to_owned())
}

async fn name(client: &ElasticsearchClient, alias: &str) -> Result<AliasState, Failure> {
    let found = client.call(Method::Get, &format!("/_alias/{alias}"), None).await?;
    if found.status != 200 {
        let index = client.call(Method::Get, &format!("/{alias}"), None).await?;
        return Ok(if index.status == 200 { AliasState::Index } else { AliasState::Nothing });
    }
    let indices: Value = serde_json::from_slice(&found.body).unwrap_or_default();
    let has_filter = |index: &Value| index.pointer(&format!("/aliases/{alias}/filter")).is_some();
    let filtered = indices.as_object().is_some_and(|indices| indices.values().all(has_filter));
    Ok(AliasState::Alias { indices: names(&found.body), write_index: write_index(&found.body, alias), filtered })
}

/// An answer's body; nothing for what is not there.
async fn get(client: &ElasticsearchClient, path: &str) -> Result<Value, Failure> {
    let answer = client.call(Method::Get, path, None).await?;
    if answer.status == 404 {
        return Ok(Value::Null);
    }
    match judge_request(&answer) {
        Some(failure) => Err(Failure { why: format!("{} ({})", failure.why, answer.words()).into(), ..failure }),
        None => serde_json::from_slice(&answer.body).map_err(|_| {
            Failure::misconfigured(format!("the answer to GET {path} is no JSON: is this Elasticsearch?"))
        }),
    }
}

fn blocks(settings: &Value) -> Vec<String> {
    let mut blocks = Vec::new();
    for (index, settings) in settings.as_object().into_iter().flatten() {
        let flags = settings.get("settings").and_then(Value::as_object).into_iter().flatten();
        let blocking = |(name, value): &(&String, &Value)| {
            name.starts_with("index.blocks.") && !name.ends_with(".read") && value.as_str() == Some("true")
        };
        blocks.extend(flags.filter(blocking).map(|(name, _)| format!("{index}: {name}")));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_that_stop_writes() {
        let settings = serde_json::json!({"t-1": {"settings": {"index.blocks.read_only_allow_delete": "true",
            "index.blocks.read": "true", "index.blocks.write": "false", "index.uuid": "x"}}});
        assert_eq!(blocks(&settings), ["t-1: index.blocks.read_only_allow_delete"]);
        assert!(blocks(&Value::Null).is_empty());
    }
}
