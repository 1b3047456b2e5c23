//! What the SQL stores share.

pub(crate) mod migrations;
pub(crate) mod verdicts;
