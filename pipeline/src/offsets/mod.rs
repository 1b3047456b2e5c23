//! How far a partition is finished, and whether it is ours.

pub(crate) mod leases;
pub mod offset_tracker;
pub mod settled;
