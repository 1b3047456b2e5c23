//! Stories: what services may say of some subjects, with ties in time, and subjects that never arrive.

use events::{CloudAttributes, Event, EventName, EventRecord, read};
use millrace::stores::reactions::reaction_group::ReactionGroup;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// 2026-03-01T00:00:00Z.
pub const BEGIN_MS: i64 = 1_772_323_200_000;
const HOUR_MS: i64 = 3_600_000;
/// Few hours for many events, so that some are of one time.
const HOURS: i64 = 60;
const EVENTS: usize = 400;

/// How many there are of each kind of subject.
pub const CREATORS: u64 = 3;
pub const USERS: u64 = 5;
pub const POSTS: u64 = 8;
const SUBSCRIPTIONS: u64 = 10;
const TIERS: u64 = 4;
const MEDIA: u64 = 8;

/// A story of all events.
pub fn story(random: &mut StdRng) -> Vec<Event> {
    numbered(random, "")
}

/// One of several: `part` stands before the ids of its events, and its subjects are those of all.
pub fn numbered(random: &mut StdRng, part: &str) -> Vec<Event> {
    let all = EventName::ALL;
    let one = |number| {
        let name = all[random_index(random, all.len())];
        event(random, name, &format!("e{part}{number}"), "")
    };
    (0..EVENTS).map(one).collect()
}

/// Events that a group reacts to, of many subjects; `part` tells one call's from another's.
pub fn of_many(random: &mut StdRng, part: u64, group: ReactionGroup) -> Vec<Event> {
    use EventName::*;
    let names: &[EventName] = match group {
        ReactionGroup::Subscription => {
            &[SubscriptionCreated, SubscriptionUpdated, SubscriptionCancelled, PaymentCompleted, PaymentFailed]
        }
        ReactionGroup::Payment => &[SubscriptionCreated, TierCreated, TierUpdated, PostCreated, PostUpdated, TipSent],
        ReactionGroup::Content => &[
            PostCreated,
            PostUpdated,
            PostLiked,
            PostUnliked,
            PostLiked,
            CommentCreated,
            PostPurchased,
            SubscriptionCreated,
        ],
        ReactionGroup::Media => &[MediaUploaded, MediaProcessed, MediaUploaded, MediaProcessed, PostDeleted],
    };
    let one = |number| {
        let name = names[random_index(random, names.len())];
        let subjects = format!("{part}.{}.", random.random_range(0..50));
        event(random, name, &format!("{}.{part}.{number}", group.as_str()), &subjects)
    };
    (0..1_000).map(one).collect()
}

fn random_index(random: &mut StdRng, of: usize) -> usize {
    random.random_range(0..of)
}

fn event(random: &mut StdRng, name: EventName, id: &str, subjects: &str) -> Event {
    let at = BEGIN_MS + random.random_range(0..HOURS) * HOUR_MS;
    let data = data(random, name, id, subjects);
    let payload = json!({"id": id, "version": "2.0", "timestamp": at, "data": data}).to_string();
    let record = EventRecord {
        topic: name.as_str(),
        payload: payload.as_bytes(),
        timestamp_ms: None,
        cloud: CloudAttributes::default(),
    };
    read(name, &record).unwrap_or_else(|error| panic!("{payload}: {error}"))
}

/// The data of an event; what may be missing is there in half of them.
fn data(random: &mut StdRng, name: EventName, id: &str, subjects: &str) -> Value {
    let mut some = |prefix: &str, count: u64| format!("{subjects}{prefix}{}", random.random_range(0..count));
    let subscription = some("s", SUBSCRIPTIONS);
    let (tier, post, media) = (some("t", TIERS), some("p", POSTS), some("m", MEDIA));
    let (creator, user) = (some("c", CREATORS), some("u", USERS));
    let hours = random.random_range(0..2 * HOURS);
    let end = BEGIN_MS + hours * HOUR_MS;
    let cents = random.random_range(0..5_000);
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    let currency = if random.random_bool(0.5) { "EUR" } else { "USD" };
    let status = ["pending", "active", "past_due", "cancelled", "expired"][random_index(random, 5)];
    let kind = ["subscription", "subscription", "subscription", "tip", "post"][random_index(random, 5)];
    let visibility = if random.random_bool(0.7) { "subscribers" } else { "public" };
    let key = format!("{media}/{}.jpg", random.random_range(0..3));
    let mut maybe = |value: Value| if random.random_bool(0.5) { value } else { Value::Null };
    match name {
        EventName::SubscriptionCreated => {
            json!({"subscriptionId": subscription, "subscriberId": user, "creatorId": creator,
            "tierId": tier, "startDate": maybe(end.into()), "periodEnd": maybe(end.into())})
        }
        EventName::SubscriptionUpdated => json!({"subscriptionId": subscription, "tierId": maybe(tier.into()),
            "status": maybe(status.into()), "periodEnd": maybe(end.into()), "creatorId": maybe(creator.into())}),
        EventName::SubscriptionCancelled => json!({"subscriptionId": subscription, "periodEnd": maybe(end.into())}),
        EventName::TierCreated => json!({"tierId": tier, "creatorId": creator, "price": price, "currency": currency}),
        EventName::TierUpdated => {
            json!({"tierId": tier, "price": maybe(price.into()), "currency": maybe(currency.into())})
        }
        EventName::PaymentCompleted => json!({"paymentId": id, "type": kind, "amount": price, "currency": currency,
            "subscriptionId": subscription, "postId": post, "periodEnd": maybe(end.into())}),
        EventName::PaymentFailed => {
            json!({"paymentId": id, "type": kind, "subscriptionId": subscription, "postId": post})
        }
        EventName::TipSent => json!({"userId": user, "creatorId": creator, "amount": price, "currency": currency}),
        EventName::PostPurchased => json!({"paymentId": id, "postId": post, "userId": user}),
        EventName::PostCreated => json!({"postId": post, "creatorId": creator, "price": maybe(price.into()),
            "currency": currency, "visibility": maybe(visibility.into())}),
        EventName::PostUpdated => {
            let mut data = json!({"postId": post, "visibility": maybe(visibility.into()), "currency": currency});
            if maybe(Value::from(true)).is_boolean() {
                data["price"] = maybe(price.into());
            }
            data
        }
        // Few, or nothing would be left.
        EventName::PostDeleted => {
            json!({"postId": if end % 7 == 0 { post } else { format!("{subjects}p{}", POSTS - 1) }})
        }
        EventName::PostLiked | EventName::PostUnliked => json!({"postId": post, "userId": user}),
        EventName::CommentCreated => json!({"commentId": id, "postId": post, "userId": user}),
        EventName::MediaUploaded => json!({"mediaId": media, "objectKey": key, "postId": maybe(post.into())}),
        EventName::MediaDeleted => json!({"mediaId": format!("{subjects}m{}", MEDIA - 1), "objectKey": Value::Null}),
        EventName::MediaProcessed => json!({"mediaId": media, "objectKey": maybe(key.clone().into()),
            "postId": maybe(post.into()), "variants": maybe(json!([format!("{key}.small")]))}),
    }
}
