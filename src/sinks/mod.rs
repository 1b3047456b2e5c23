//! The stores, one file or folder each.

pub mod algolia;
pub mod audit;
pub mod document;
pub mod elasticsearch;
pub mod follow_up;
mod halves;
pub mod ledger;
mod migrations;
pub mod mongodb;
pub mod postgres;
pub mod rating;
pub mod rating_cache;
pub mod ratings;
pub mod sqlite;
pub mod target;
mod upsert;
