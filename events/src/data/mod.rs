//! Owns the types of the data of all events, a file a service.

pub(crate) mod content;
pub(crate) mod media;
pub(crate) mod payment;
pub(crate) mod subscription;
