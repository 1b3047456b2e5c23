//! Synthetic events between services: of subscriptions, posts, media, tiers and tips in turn, in all 18 topics.
//!
//! Pure, as all of [`super`].

mod source;
#[cfg(test)]
mod tests;

use super::duplicates::Duplicated;
use super::{GeneratorOptions, OptionsError, SyntheticRecord};
use source::EventsTemplate;

/// One message, with the event whose topic it goes to.
pub type EventMessage = super::Message<&'static str>;

/// The events, in the order in which they are to be sent.
///
/// # Errors
/// As [`GeneratorOptions::counts`].
pub fn events(options: &GeneratorOptions) -> Result<impl Iterator<Item = EventMessage> + use<>, OptionsError> {
    let counts = options.counts()?;
    Ok(Duplicated::new(EventsTemplate, options, counts))
}

/// As they are sent.
///
/// # Errors
/// As [`events()`].
pub fn records(options: &GeneratorOptions) -> Result<impl Iterator<Item = SyntheticRecord> + use<>, OptionsError> {
    let record =
        |message: EventMessage| SyntheticRecord { event: message.state, key: message.key, payload: message.payload };
    Ok(events(options)?.map(record))
}
