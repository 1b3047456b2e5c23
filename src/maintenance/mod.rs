//! What is done about records and stores beside running: compare, explain, replay, backfill, purge.

pub mod backfill;
pub mod dead_letters;
pub mod erase;
pub mod explain;
mod freshness;
pub mod jobs;
pub mod live_lag;
pub mod purge;
pub mod replay;
pub mod throttle;
pub mod verify;
