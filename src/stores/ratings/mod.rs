//! Ratings: the contributions of reviews, what they come to, and where it is shown.

mod mongodb;
mod postgres;
pub mod recompute;
pub mod redis;
pub mod sink;

pub use mongodb::{MongoRatings, STARS, SUBJECT, SUBJECTS};
pub use postgres::PostgresRatings;
