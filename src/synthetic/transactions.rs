//! Transactions as the plan's subjects: whose they are, and their events.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::plan::{Living, Source};
use super::transaction::{self, Transaction};
use super::{Event, Kind, Options};

/// Whom transactions belong to.
#[derive(Debug)]
pub(super) enum Transactions {
    One(String),
    Many(u32),
}

impl Transactions {
    pub(super) fn new(options: &Options) -> Self {
        options.users.map_or_else(|| Self::One(options.user_id.clone()), Self::Many)
    }

    fn user(&self, rng: &mut ChaCha8Rng) -> String {
        match self {
            Self::One(user) => user.clone(),
            Self::Many(users) => format!("user_{:06}", rng.random_range(0..*users).saturating_add(1)),
        }
    }
}

impl Source for Transactions {
    type Event = Event;
    const TICK: u32 = 1;

    fn about(&self, kind: Kind, living: Living, micros: i64, mut rng: ChaCha8Rng) -> Event {
        let key = self.user(&mut rng);
        let transaction = Transaction::random(&mut rng);
        let (payload, status, amount) = if kind == Kind::Deleted {
            (transaction.deleted(&key, micros), "", String::new())
        } else {
            let status = transaction.status(living.revision);
            (transaction.written(kind, &key, status, living.created, micros), status, transaction.amount)
        };
        Event { kind, id: transaction.id, key, payload: Some(payload), micros, status, amount, duplicate: false }
    }

    fn useless(&self, kind: Kind, micros: i64, rng: &mut ChaCha8Rng) -> Event {
        let key = self.user(rng);
        let payload = (kind == Kind::Malformed).then(|| transaction::malformed(rng, &key, micros));
        Event { kind, id: Uuid::nil(), key, payload, micros, status: "", amount: String::new(), duplicate: false }
    }

    fn repeated(event: &Event) -> Event {
        Event { duplicate: true, ..event.clone() }
    }
}
