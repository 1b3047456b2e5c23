//! Ratings: the same cases in MongoDB and in PostgreSQL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use millrace::stores::algolia::version_store::IndexEntry;
use millrace::stores::ratings::recompute::{Rated, Rating, Ratings, rate, wrong_subjects};
use pipeline::sink::Order;

use crate::version_store::{APPLIED, Place, SUPERSEDED, deleted, entry, in_each, review, take, texts};

in_each! {
    a_contribution_that_moves_counts_once
    a_contribution_that_is_withdrawn_counts_no_more
    a_late_count_overwrites_nothing
    racing_writers_leave_the_rating_of_all
}

/// As sorted text.
async fn off(ratings: &dyn Ratings) -> String {
    let mut subjects = wrong_subjects(ratings).await.unwrap();
    subjects.sort();
    subjects.join(" ")
}

async fn histograms(ratings: &dyn Ratings, subjects: &[String]) -> Vec<[u64; 5]> {
    let held = ratings.load(subjects).await.unwrap();
    held.into_iter().map(|rated| rated.map_or(Rating::default(), |rated| rated.rating).histogram).collect()
}

async fn a_contribution_that_moves_counts_once(place: Arc<Place>) {
    let (versions, ratings) = (place.versions(Order::Log), place.ratings());
    let both = texts(&["x", "y"]);
    take(&*versions, &[review("r1", 1, "x", 4), review("r2", 1, "x", 5)]).await;
    assert_eq!(ratings.load(&both).await.unwrap(), [None, None]);
    assert_eq!(off(&*ratings).await, "x");
    let subjects = ratings.subjects(&texts(&["r1", "r2", "none"])).await.unwrap();
    assert_eq!(subjects, ["x"]);
    rate(&*ratings, &subjects).await.unwrap();
    assert_eq!(off(&*ratings).await, "");
    assert_eq!(histograms(&*ratings, &both).await, [[0, 0, 0, 1, 1], [0; 5]]);

    take(&*versions, &[review("r1", 2, "y", 2)]).await;
    let subjects = ratings.subjects(&texts(&["r1"])).await.unwrap();
    assert_eq!(subjects, ["x", "y"]);
    assert_eq!(off(&*ratings).await, "x y");
    rate(&*ratings, &subjects).await.unwrap();
    assert_eq!(off(&*ratings).await, "");
    assert_eq!(histograms(&*ratings, &both).await, [[0, 0, 0, 0, 1], [0, 1, 0, 0, 0]]);

    // The last one leaves.
    take(&*versions, &[review("r2", 2, "y", 2)]).await;
    assert_eq!(off(&*ratings).await, "x y");
    rate(&*ratings, &both).await.unwrap();
    assert_eq!(histograms(&*ratings, &both).await, [[0; 5], [0, 2, 0, 0, 0]]);
}

async fn a_contribution_that_is_withdrawn_counts_no_more(place: Arc<Place>) {
    let (versions, ratings) = (place.versions(Order::Log), place.ratings());
    let x = texts(&["x"]);
    let count = async || ratings.count(&x).await.unwrap()[0].histogram;
    take(&*versions, &[review("r1", 1, "x", 1), review("r2", 1, "x", 2)]).await;
    rate(&*ratings, &x).await.unwrap();
    take(&*versions, &[deleted("r1", 2), entry("r2", 2)]).await;
    assert_eq!(off(&*ratings).await, "x");
    assert_eq!(count().await, [0; 5]);
    rate(&*ratings, &x).await.unwrap();
    assert_eq!(off(&*ratings).await, "");
    for entry in [deleted("r1", 2), entry("r2", 2)] {
        versions.give_back(&entry).await.unwrap();
    }
    assert_eq!(count().await, [1, 1, 0, 0, 0], "what was given back counts again");

    take(&*versions, &[entry("r3", 1)]).await;
    take(&*versions, &[review("r3", 2, "x", 3)]).await;
    assert_eq!(count().await, [1, 1, 1, 0, 0]);
    versions.give_back(&review("r3", 2, "x", 3)).await.unwrap();
    assert_eq!(count().await, [1, 1, 0, 0, 0], "what was given back never counted");
    assert_eq!(ratings.subjects(&texts(&["r1", "r2"])).await.unwrap(), ["x"]);
}

async fn a_late_count_overwrites_nothing(place: Arc<Place>) {
    let (versions, ratings) = (place.versions(Order::Log), place.ratings());
    let x = texts(&["x"]);
    take(&*versions, &[review("r1", 1, "x", 1)]).await;
    let seq = ratings.raise(&x).await.unwrap().remove(0).unwrap();
    let rating = ratings.count(&x).await.unwrap()[0];
    take(&*versions, &[review("r2", 1, "x", 2)]).await;
    rate(&*ratings, &x).await.unwrap();
    assert!(ratings.load(&x).await.unwrap()[0].as_ref().unwrap().seq > seq);
    ratings.put(&[Rated { subject: "x".to_owned(), seq, rating }]).await.unwrap();
    assert_eq!(histograms(&*ratings, &x).await, [[1, 1, 0, 0, 0]]);
}

/// What has been rated for certain, by subject.
type Known = Mutex<HashMap<String, [u64; 5]>>;

fn raced(writer: usize, n: usize, version: i64) -> IndexEntry {
    // Writers that keep pace meet at each subject.
    let subject = ["x", "y", "z"][n % 3];
    review(&format!("{writer}-{n}"), version, subject, (n % 5) as u8 + 1)
}

/// Looks after each write whether the ratings hold all that was known before the look.
async fn write_and_look(place: Arc<Place>, writer: usize, known: Arc<Known>) {
    let (versions, ratings) = (place.versions(Order::Log), place.ratings());
    let all = texts(&["x", "y", "z"]);
    for n in 0..500 {
        let entry = raced(writer, n, 2);
        assert_eq!(take(&*versions, std::slice::from_ref(&entry)).await, [APPLIED]);
        let subjects = ratings.subjects(std::slice::from_ref(&entry.id)).await.unwrap();
        rate(&*ratings, &subjects).await.unwrap();
        let contribution = entry.contribution.unwrap();
        let certain = {
            let mut known = known.lock().unwrap();
            known.entry(contribution.subject).or_default()[usize::from(contribution.stars) - 1] += 1;
            known.clone()
        };
        for (subject, held) in all.iter().zip(histograms(&*ratings, &all).await) {
            let certain = certain.get(subject).copied().unwrap_or_default();
            let misses = held.iter().zip(certain).any(|(held, certain)| *held < certain);
            assert!(!misses, "writer {writer}, {n}: {subject} has {held:?} and not all of {certain:?}");
        }
    }
}

async fn racing_writers_leave_the_rating_of_all(place: Arc<Place>) {
    let known = Arc::new(Known::default());
    let write = |writer| tokio::spawn(write_and_look(Arc::clone(&place), writer, Arc::clone(&known)));
    let (one, other) = (write(0), write(1));
    one.await.unwrap();
    other.await.unwrap();
    let (versions, ratings) = (place.versions(Order::Log), place.ratings());
    let all = texts(&["x", "y", "z"]);
    let known = known.lock().unwrap().clone();
    let expected: Vec<[u64; 5]> = all.iter().map(|subject| known[subject]).collect();
    assert_eq!(histograms(&*ratings, &all).await, expected);

    // Once more, in another order, with older ones that count for others.
    for n in (0..500).rev() {
        let again = [raced(0, n, 2), raced(1, n, 2)];
        assert_eq!(take(&*versions, &again).await, [APPLIED, APPLIED]);
        let older = again.map(|again| review(&again.id, 1, "w", 1));
        assert_eq!(take(&*versions, &older).await, [SUPERSEDED, SUPERSEDED]);
        let subjects = ratings.subjects(&older.map(|older| older.id)).await.unwrap();
        rate(&*ratings, &subjects).await.unwrap();
    }
    assert_eq!(histograms(&*ratings, &all).await, expected);
    assert_eq!(off(&*ratings).await, "");
}
