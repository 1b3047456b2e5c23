//! Transactions as the plan's subjects: whose they are, and their events.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::plan::{EventTemplate, Living};
use super::transaction::{self, Transaction};
use super::{GeneratorOptions, SyntheticEvent, SyntheticKind};

/// Whom transactions belong to.
#[derive(Debug)]
pub(super) enum TransactionTemplate {
    One(String),
    Many(u32),
}

impl TransactionTemplate {
    pub(super) fn new(options: &GeneratorOptions) -> Self {
        options.users.map_or_else(|| Self::One(options.user_id.clone()), Self::Many)
    }

    fn user(&self, rng: &mut ChaCha8Rng) -> String {
        match self {
            Self::One(user) => user.clone(),
            Self::Many(users) => format!("user_{:06}", rng.random_range(0..*users).saturating_add(1)),
        }
    }
}

impl EventTemplate for TransactionTemplate {
    type Event = SyntheticEvent;
    const TICK: u32 = 1;

    fn about(&self, kind: SyntheticKind, living: Living, micros: i64, mut rng: ChaCha8Rng) -> SyntheticEvent {
        let key = self.user(&mut rng);
        let transaction = Transaction::random(&mut rng);
        let (payload, status, amount) = if kind == SyntheticKind::Deleted {
            (transaction.deletion_message(&key, micros), "", String::new())
        } else {
            let status = transaction.status(living.revision);
            (transaction.write_message(kind, &key, status, living.created, micros), status, transaction.amount)
        };
        SyntheticEvent {
            kind,
            id: transaction.id,
            key,
            payload: Some(payload),
            micros,
            status,
            amount,
            duplicate: false,
        }
    }

    fn useless(&self, kind: SyntheticKind, micros: i64, rng: &mut ChaCha8Rng) -> SyntheticEvent {
        let key = self.user(rng);
        let payload = (kind == SyntheticKind::Malformed).then(|| transaction::write_malformed(rng, &key, micros));
        SyntheticEvent {
            kind,
            id: Uuid::nil(),
            key,
            payload,
            micros,
            status: "",
            amount: String::new(),
            duplicate: false,
        }
    }

    fn repeat(event: &SyntheticEvent) -> SyntheticEvent {
        SyntheticEvent { duplicate: true, ..event.clone() }
    }
}
