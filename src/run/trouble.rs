//! Where the documents explain what a person is told: the path of a page in the repository, and a heading in it.
//!
//! `tests/documents.rs` looks for the heading of each address.

/// How `run` ends.
pub const RUN_ENDS: &str = "docs/trouble.md#when-run-ends";
/// How `backfill` ends.
pub const BACKFILL_ENDS: &str = "docs/backfill.md#what-can-go-wrong";
/// How any other command ends.
pub const COMMAND_ENDS: &str = "docs/trouble.md#when-another-command-ends";

/// Where a reason of `/readyz` with this source is explained. Stores raise theirs under their own names, and share a heading.
pub fn address_of(source: &str) -> String {
    let heading = match source {
        "look-up" | "throttle" => "look-up-throttle".to_owned(),
        "assignment" | "authorization" | "commit" | "consumer" | "dead letters" | "group" | "kafka" | "lag"
        | "losses" | "progress" | "record size" | "retention" | "start" | "state" | "store" | "topic" => {
            source.replace(' ', "-")
        }
        _ => "writes".to_owned(),
    };
    format!("docs/trouble.md#{heading}")
}
