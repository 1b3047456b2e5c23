//! Synthetic review events: reviews that users write of creators.
//!
//! Pure, as all of [`super`]. A few creators have most of the reviews, and most reviews are good.

mod catalogue;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::duplicates::Duplicated;
use super::message::newest;
use super::{GeneratorOptions, OptionsError};
use source::ReviewTemplate;

/// One message; its key is the review.
pub type ReviewMessage = super::Message<ExpectedReview>;

/// The final state of one review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedReview {
    /// Of the last event: its time in microseconds, times four, plus the rank of its type.
    pub version: i64,
    pub deleted: bool,
    /// Whom it is of, deleted or not.
    pub creator_id: String,
    /// 1 to 5; 0 once it is deleted.
    pub stars: u8,
    /// Empty once it is deleted.
    pub title: String,
}

/// What the living reviews of a creator come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedRating {
    pub count: u64,
    /// Of their stars.
    pub sum: u64,
    /// How many have one star, two, and so on.
    pub histogram: [u64; 5],
}

/// What the stores must hold in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedReviews {
    /// By review; deleted ones are marked.
    pub reviews: HashMap<String, ExpectedReview>,
    /// By creator; of all who ever had a review.
    pub ratings: HashMap<String, ExpectedRating>,
}

/// The events, in the order in which they are to be sent.
///
/// # Errors
/// As [`GeneratorOptions::counts`].
pub fn events(options: &GeneratorOptions) -> Result<impl Iterator<Item = ReviewMessage> + use<>, OptionsError> {
    let counts = options.counts()?;
    Ok(Duplicated::new(ReviewTemplate::new(options), options, counts))
}

/// What the stores must hold when everything has been read.
///
/// # Errors
/// As [`events()`].
pub fn expect_reviews(options: &GeneratorOptions) -> Result<ExpectedReviews, OptionsError> {
    let states = events(options)?.filter_map(|event| Some((event.id, event.state?)));
    let reviews = newest(states, |state| state.version);
    let mut ratings: HashMap<String, ExpectedRating> = HashMap::new();
    for review in reviews.values() {
        let rating = ratings.entry(review.creator_id.clone()).or_default();
        if let Some(place) = rating.histogram.get_mut(usize::from(review.stars).wrapping_sub(1)) {
            *place += 1;
            rating.count += 1;
            rating.sum += u64::from(review.stars);
        }
    }
    Ok(ExpectedReviews { reviews, ratings })
}
