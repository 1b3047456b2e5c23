//! The stores, one file or folder each.

pub mod elasticsearch;
