//! How much of the memory that the nodes have for writes is taken.

use std::collections::HashMap;

use elasticsearch::http::Method;
use pipeline::sink::{Failure, Pressure};
use serde::Deserialize;

use super::client::ElasticsearchClient;
use super::errors::judge_request;

const PATH: &str = "/_nodes/stats/indexing_pressure?filter_path=nodes.*.indexing_pressure.memory.limit_in_bytes,\
                    nodes.*.indexing_pressure.memory.current.all_in_bytes";

#[derive(Debug, Deserialize)]
struct NodesPressure {
    nodes: HashMap<String, NodePressure>,
}

#[derive(Debug, Deserialize)]
struct NodePressure {
    indexing_pressure: MemoryPressure,
}

#[derive(Debug, Deserialize)]
struct MemoryPressure {
    memory: PressedMemory,
}

#[derive(Debug, Deserialize)]
struct PressedMemory {
    limit_in_bytes: u64,
    current: PressedBytes,
}

#[derive(Debug, Deserialize)]
struct PressedBytes {
    all_in_bytes: u64,
}

/// Of the node that has the least room; `None` where the cluster has no such thing.
///
/// # Errors
/// Why it does not tell, such as a right that is missing (`monitor`).
pub(super) async fn pressure(client: &ElasticsearchClient) -> Result<Option<Pressure>, Failure> {
    let answer = client.call(Method::Get, PATH, None).await?;
    match judge_request(&answer) {
        Some(failure) => Err(failure),
        None => Ok(of_nodes(&answer.body)),
    }
}

fn of_nodes(body: &[u8]) -> Option<Pressure> {
    let answer: NodesPressure = serde_json::from_slice(body).ok()?;
    let memories = answer.nodes.into_values().map(|node| node.indexing_pressure.memory);
    let told = memories.map(|memory| Pressure { limit: memory.limit_in_bytes, current: memory.current.all_in_bytes });
    // A limit of zero is none.
    told.filter(|node| node.limit > 0).min_by_key(|node| node.limit.saturating_sub(node.current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_with_the_least_room_counts() {
        let node = |limit: u64, current: u64| serde_json::json!({"indexing_pressure": {"memory": {"limit_in_bytes": limit, "current": {"all_in_bytes": current}}}});
        let body = serde_json::json!({"nodes": {"a": node(100, 10), "b": node(500, 450), "c": node(0, 0)}}).to_string();
        assert_eq!(of_nodes(body.as_bytes()), Some(Pressure { limit: 500, current: 450 }));
        assert_eq!(of_nodes(b"{}"), None);
        assert_eq!(of_nodes(br#"{"nodes":{}}"#), None);
    }
}
