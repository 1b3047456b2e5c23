//! The seam by which a person lets an open breaker go on.

use crate::write::Writer;

/// Lets an open breaker go on, and gives up on what fails or waits alone for long; shared with whoever can be told to.
pub trait Proceed: Send + Sync {
    /// Whether the breaker is open, so that a person has to decide.
    fn is_open(&self) -> bool;

    /// Lets an open breaker go on. Does nothing to one that is not open. Returns whether it was open.
    fn proceed(&self) -> bool;
}

impl Proceed for Writer {
    fn is_open(&self) -> bool {
        Writer::is_open(self)
    }

    fn proceed(&self) -> bool {
        Writer::proceed(self)
    }
}
