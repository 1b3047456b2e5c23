//! The stores, a folder each: `client` connects, `install` puts in place, `document` is what is written, `sink` writes,
//! `reader` reads back, `errors` judges what a store answers.

pub mod algolia;
pub mod audit;
pub mod database;
pub mod elasticsearch;
pub(crate) mod erased;
pub mod folded;
pub mod follow_up;
mod halves;
pub mod mongodb;
pub(crate) mod objects;
pub mod postgres;
pub mod ratings;
pub mod reactions;
pub mod reader;
mod sql;
pub mod sqlite;
pub mod target;
pub(crate) mod whose;
