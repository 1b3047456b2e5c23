//! What waits on a ladder, apart from the batches that it came in.

pub(crate) mod climb;
pub(crate) mod entrance;
pub mod lane;
mod parked;
pub(crate) mod waiting;

pub(crate) use parked::Park;
