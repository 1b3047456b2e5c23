//! The list of refused follow-ups, by a stand-in for the store.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::*;

/// Refuses some subjects; keeps a list that another instance may change.
#[derive(Default)]
struct FakeStore {
    wrong: Mutex<BTreeSet<String>>,
    away: Mutex<Option<FailureKind>>,
    listed: Mutex<BTreeMap<String, Listed>>,
    attempts: Mutex<Vec<Vec<String>>>,
    /// What another instance puts on the list during the next attempt.
    meanwhile: Mutex<Option<Listed>>,
    /// Each time that the list is read.
    looked: tokio::sync::Notify,
}

#[async_trait]
impl FollowUp for FakeStore {
    async fn attempt(&self, subjects: &[String]) -> Result<Vec<Refusal>, Failure> {
        self.attempts.lock().push(subjects.to_vec());
        if let Some(listed) = self.meanwhile.lock().take() {
            self.listed.lock().insert(listed.refusal.subject.clone(), listed);
        }
        let wrong = self.wrong.lock();
        let refused = subjects.iter().filter(|subject| wrong.contains(*subject)).map(|one| refusal(one)).collect();
        let away = *self.away.lock();
        away.map_or(Ok(refused), |kind| Err(Failure::new(kind, "away")))
    }
}

#[async_trait]
impl Refusals for FakeStore {
    async fn put(&self, listed: &[Listed]) -> Result<(), Failure> {
        let listed = listed.iter().map(|one| (one.refusal.subject.clone(), one.clone()));
        self.listed.lock().extend(listed);
        Ok(())
    }

    async fn remove(&self, seen: &[Listed]) -> Result<(), Failure> {
        self.listed.lock().retain(|_, held| !seen.iter().any(|seen| seen == held));
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Listed>, Failure> {
        self.looked.notify_one();
        Ok(self.listed.lock().values().cloned().collect())
    }
}

fn refusal(subject: &str) -> Refusal {
    Refusal { subject: subject.to_owned(), document: format!("creators/{subject}"), why: "it is wrong".into() }
}

fn at(wrong: &[&str]) -> (Arc<FakeStore>, FollowUps) {
    let place = Arc::new(FakeStore::default());
    *place.wrong.lock() = wrong.iter().map(|one| (*one).to_owned()).collect();
    let follow_ups = FollowUps::new("ratings", place.clone(), place.clone());
    (place, follow_ups)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn on_the_list(place: &FakeStore) -> Vec<String> {
    place.listed.lock().keys().cloned().collect()
}

#[tokio::test]
async fn what_is_refused_is_listed_until_a_later_record_or_a_retry_mends_it() {
    let (place, follow_ups) = at(&["b", "c"]);
    follow_ups.run(&texts(&["a", "b", "c"])).await.unwrap();
    assert_eq!(on_the_list(&place), ["b", "c"]);
    place.wrong.lock().clear();
    follow_ups.run(&texts(&["a", "b"])).await.unwrap();
    assert_eq!(on_the_list(&place), ["c"]);
    assert_eq!(follow_ups.retry().await.unwrap(), 0);
    assert_eq!(on_the_list(&place), [] as [String; 0]);
    assert_eq!(follow_ups.standing(), []);
}

#[tokio::test]
async fn what_another_lists_meanwhile_stays_on_the_list() {
    let (place, follow_ups) = at(&["a"]);
    follow_ups.run(&texts(&["a"])).await.unwrap();
    place.wrong.lock().clear();
    let others = Listed { refusal: refusal("a"), token: "another".to_owned() };
    for retry in [false, true] {
        *place.meanwhile.lock() = Some(others.clone());
        if retry {
            follow_ups.retry().await.unwrap();
        } else {
            follow_ups.run(&texts(&["a"])).await.unwrap()
        }
        assert_eq!(place.listed.lock().get("a"), Some(&others));
        place.listed.lock().insert("a".into(), Listed { token: "older".into(), ..others.clone() });
    }
}

#[tokio::test]
async fn no_failure_blames_a_record() {
    let (place, follow_ups) = at(&[]);
    for (kind, told) in [
        (FailureKind::Refused, FailureKind::Misconfigured),
        (FailureKind::TurnedAway, FailureKind::Misconfigured),
        (FailureKind::Broken, FailureKind::Unavailable),
        (FailureKind::Unavailable, FailureKind::Unavailable),
        (FailureKind::Misconfigured, FailureKind::Misconfigured),
    ] {
        *place.away.lock() = Some(kind);
        assert_eq!(follow_ups.run(&texts(&["a"])).await.unwrap_err().kind, told);
    }
    assert_eq!(on_the_list(&place), [] as [String; 0], "what is unavailable is waited for");
}

#[tokio::test]
async fn the_list_is_tried_again_and_again_until_it_is_empty() {
    let (place, follow_ups) = at(&["a"]);
    follow_ups.run(&texts(&["a"])).await.unwrap();
    // Another process, which knows nothing of it.
    let follow_ups = FollowUps::new("ratings", place.clone(), place.clone());
    let attempts = || place.attempts.lock().len();
    let looked = async |done: &(dyn Fn() -> bool + Sync)| {
        while !done() {
            place.looked.notified().await;
        }
    };
    let every = Duration::from_millis(1);
    let (often, emptied) = (|| attempts() > 4, || on_the_list(&place).is_empty());
    tokio::select! {
        () = follow_ups.keep_trying(every) => {}
        () = looked(&often) => {}
    }
    assert_eq!(follow_ups.standing(), [refusal("a")]);
    place.wrong.lock().clear();
    tokio::select! {
        () = follow_ups.keep_trying(every) => {}
        () = looked(&emptied) => {}
    }
    let before = attempts();
    assert_eq!(follow_ups.retry().await.unwrap(), 0);
    assert_eq!(attempts(), before, "what is done is not tried again");
}
