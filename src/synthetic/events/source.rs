//! Subjects of events as the plan's subjects, and what is said of them.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::super::SyntheticKind;
use super::super::plan::{EventTemplate, Living};
use super::EventMessage;

/// Creators, each with its tiers, and users; subjects are many times as many.
const PEOPLE: u64 = 1_000;

#[derive(Debug)]
pub(super) struct EventsTemplate;

/// What a plan's subject is, by its number.
#[derive(Clone, Copy)]
enum EventSubject {
    Subscription,
    Post,
    Media,
    Tier,
    Tip,
}

impl EventSubject {
    fn of(number: u64) -> Self {
        match number % 10 {
            0..=2 => Self::Subscription,
            3..=5 => Self::Post,
            6 | 7 => Self::Media,
            8 => Self::Tier,
            _ => Self::Tip,
        }
    }

    /// What happens to it, and the event's data.
    fn draw_event(self, kind: SyntheticKind, number: u64, id: &str, rng: &mut ChaCha8Rng) -> (&'static str, Value) {
        let (creator, user) = (number % PEOPLE, rng.random_range(0..PEOPLE));
        let (creator, user) = (format!("creator_{creator:04}"), format!("user_{user:04}"));
        let price = format!("{}.{:02}", rng.random_range(1..50), rng.random_range(0..100));
        let subject = format!("{number:010}");
        // Of ten subjects in a row one is a tier, which those of the same ten subscribe to.
        let tier = format!("tier_{:010}", number / 10 * 10 + 8);
        let post = format!("post_{:010}", number / 10 * 10 + 3);
        let turn = rng.random_range(0..5);
        match (self, kind) {
            (Self::Subscription, SyntheticKind::Created) => (
                "subscription.created",
                json!({"subscriptionId": subject, "subscriberId": user, "creatorId": creator, "tierId": tier}),
            ),
            (Self::Subscription, SyntheticKind::Deleted) => {
                ("subscription.cancelled", json!({"subscriptionId": subject}))
            }
            (Self::Subscription, _) if turn == 0 => {
                ("subscription.updated", json!({"subscriptionId": subject, "status": "active", "creatorId": creator}))
            }
            (Self::Subscription, _) if turn == 1 => {
                ("payment.failed", json!({"paymentId": id, "type": "subscription", "subscriptionId": subject}))
            }
            (Self::Subscription, _) => (
                "payment.completed",
                json!({"paymentId": id, "type": "subscription", "amount": price, "currency": "EUR",
                    "subscriptionId": subject}),
            ),
            (Self::Post, SyntheticKind::Created) => (
                "content.post.created",
                json!({"postId": format!("post_{subject}"), "creatorId": creator, "visibility": "subscribers"}),
            ),
            (Self::Post, SyntheticKind::Deleted) => {
                ("content.post.deleted", json!({"postId": format!("post_{subject}")}))
            }
            (Self::Post, _) => Self::of_post(turn, &format!("post_{subject}"), &user, &price, id),
            (Self::Media, SyntheticKind::Created) => (
                "media.uploaded",
                json!({"mediaId": subject, "objectKey": format!("media/{subject}.jpg"), "postId": post}),
            ),
            (Self::Media, SyntheticKind::Deleted) => ("media.deleted", json!({"mediaId": subject})),
            (Self::Media, _) => ("media.processed", json!({"mediaId": subject, "status": "ready"})),
            (Self::Tier, SyntheticKind::Created) => (
                "subscription.tier.created",
                json!({"tierId": format!("tier_{subject}"), "creatorId": creator, "price": price, "currency": "EUR"}),
            ),
            (Self::Tier, _) => {
                ("subscription.tier.updated", json!({"tierId": format!("tier_{subject}"), "price": price}))
            }
            (Self::Tip, _) => {
                ("payment.tip.sent", json!({"userId": user, "creatorId": creator, "amount": price, "currency": "EUR"}))
            }
        }
    }

    fn of_post(turn: u32, post: &str, user: &str, price: &str, id: &str) -> (&'static str, Value) {
        match turn {
            0 => ("content.post.updated", json!({"postId": post, "price": price, "currency": "EUR"})),
            1 => ("content.post.unliked", json!({"postId": post, "userId": user})),
            2 => ("content.comment.created", json!({"commentId": id, "postId": post, "userId": user})),
            3 => ("payment.post.purchased", json!({"paymentId": id, "postId": post, "userId": user})),
            _ => ("content.post.liked", json!({"postId": post, "userId": user})),
        }
    }
}

/// The field that is a record's key.
fn key_of(name: &str, data: &Value) -> String {
    let event = ::events::EventName::find(name);
    let key = event.and_then(|event| data.get(event.key_field())).and_then(Value::as_str);
    key.unwrap_or_default().to_owned()
}

impl EventTemplate for EventsTemplate {
    type Event = EventMessage;
    const TICK: u32 = 1_000;

    fn about(&self, kind: SyntheticKind, living: Living, micros: i64, mut rng: ChaCha8Rng) -> EventMessage {
        let id = format!("evt_{}_{micros:x}", living.number);
        // The plan gives each event of a subject the same numbers.
        let turns = u32::from(living.revision) + u32::from(living.late);
        (0..turns).for_each(|_| _ = rng.random::<u64>());
        let (name, data) = EventSubject::of(living.number).draw_event(kind, living.number, &id, &mut rng);
        let key = key_of(name, &data);
        let payload =
            json!({"id": id, "version": "2.0", "type": name, "timestamp": micros.div_euclid(1_000), "data": data});
        let (payload, id) = (Some(payload.to_string()), key.clone());
        EventMessage { kind, id, key, payload, micros, state: Some(name), duplicate: false }
    }

    fn useless(&self, kind: SyntheticKind, micros: i64, rng: &mut ChaCha8Rng) -> EventMessage {
        let name = "payment.completed";
        let payload = (kind == SyntheticKind::Malformed).then(|| {
            json!({"id": format!("evt_bad_{micros:x}"), "version": "2.0", "type": name, "data": {"amount": -1}})
                .to_string()
        });
        let (key, id) = (format!("bad_{}", rng.random::<u32>()), String::new());
        EventMessage { kind, id, key, payload, micros, state: Some(name), duplicate: false }
    }

    /// A tip stays.
    fn can_delete(number: u64) -> bool {
        !matches!(EventSubject::of(number), EventSubject::Tip | EventSubject::Tier)
    }

    fn repeat(event: &EventMessage) -> EventMessage {
        event.repeat()
    }
}
