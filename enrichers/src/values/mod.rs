//! Owns values as text: decimal numbers, times, and words without accents.

pub(crate) mod decimal;
pub(crate) mod fold;
pub(crate) mod timestamp;
