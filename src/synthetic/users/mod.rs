//! Synthetic webhooks of Clerk: users, their memberships and sessions.
//!
//! Pure, as all of [`super`]. Of 20 creates 14 are users, 3 memberships and 3 sessions; what a session comes to is an
//! update. Times are whole milliseconds, as Clerk's are.

mod catalogue;
mod model;
mod person;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::duplicates::Duplicated;
use super::message::newest;
use super::{GeneratorOptions, OptionsError};
pub use model::ExpectedPerson;
use source::UserTemplate;

/// One message; its key is the user.
pub type UserMessage = super::Message<ExpectedPerson>;

/// Fewer than are no sessions, so that there is always one left to delete.
const MOST_DELETES: f64 = 0.8;

/// The events, in the order in which they are to be sent.
///
/// # Errors
/// As [`GeneratorOptions::counts`], and a `delete_ratio` above 0.8: sessions are not deleted.
pub fn events(options: &GeneratorOptions) -> Result<impl Iterator<Item = UserMessage> + use<>, OptionsError> {
    let counts = options.counts()?;
    if options.delete_ratio > MOST_DELETES {
        return Err(OptionsError(format!("--delete-ratio is at most {MOST_DELETES} here: sessions are not deleted")));
    }
    Ok(Duplicated::new(UserTemplate::new(options), options, counts))
}

/// What the collections must hold when everything has been read, by document id; deleted ones are marked.
///
/// # Errors
/// As [`events()`].
pub fn expect_people(options: &GeneratorOptions) -> Result<HashMap<String, ExpectedPerson>, OptionsError> {
    let states = events(options)?.filter_map(|event| Some((event.id, event.state?)));
    Ok(newest(states, |state| state.version))
}
