//! What a story comes to, reckoned in the plainest way: the events in order of time and id, one after the other.
//! It shares nothing with the program but the types of the events.

use std::collections::{BTreeMap, BTreeSet};

use events::{Event, EventData, PaymentType};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// When it was said, the amount, the currency.
type ModelPrice = (i64, Option<String>, Option<String>);

#[derive(Clone, Debug, Default)]
struct ModelSubscription {
    created: bool,
    subscriber: Option<String>,
    creator: Option<String>,
    tier: Option<String>,
    /// With when it was said.
    status: Option<(String, i64)>,
    period_end: Option<i64>,
    paid_until: Option<i64>,
    /// Of the last `subscription.created`: subscriber, creator, tier, start.
    collected: Option<(String, String, String, i64)>,
}

#[derive(Clone, Debug, Default)]
struct ModelPost {
    created: bool,
    deleted: bool,
    creator: Option<String>,
    price: Option<(String, String)>,
    subscribers_only: bool,
}

#[derive(Default)]
pub struct Model {
    subscriptions: BTreeMap<String, ModelSubscription>,
    prices: BTreeMap<String, Vec<ModelPrice>>,
    offers: BTreeMap<String, Option<(String, String)>>,
    tips: BTreeMap<(String, String), (i64, i64)>,
    posts: BTreeMap<String, ModelPost>,
    purchases: BTreeSet<(String, String)>,
    likes: BTreeMap<(String, String), bool>,
    comments: BTreeMap<String, i64>,
    media_posts: BTreeSet<(String, String)>,
    media_keys: BTreeSet<(String, String)>,
    media_gone: BTreeSet<String>,
    pub emitted: BTreeSet<String>,
}

fn text(value: impl ToString) -> String {
    value.to_string()
}

impl Model {
    pub fn of(story: &[Event]) -> Self {
        let mut sorted: Vec<&Event> = story.iter().collect();
        sorted.sort_by_key(|event| (event.time, event.id.clone()));
        let mut model = Self::default();
        for event in sorted {
            model.subscription(event);
            model.money(event);
            model.post(event);
            model.media(event);
        }
        model
    }

    fn subscription(&mut self, event: &Event) {
        let now = event.time.micros();
        let held = &mut self.subscriptions;
        match &event.data {
            EventData::SubscriptionCreated(data) => {
                let start = data.start_date.map_or(now, |start| start.timestamp().micros());
                let (user, creator, tier) = (text(&data.subscriber_id), text(&data.creator_id), text(&data.tier_id));
                let one = held.entry(text(&data.subscription_id)).or_default();
                one.created = true;
                one.collected = Some((user.clone(), creator.clone(), tier.clone(), start));
                (one.subscriber, one.creator, one.tier) = (Some(user), Some(creator), Some(tier));
                one.status = Some(("pending".to_owned(), now));
                one.period_end = data.period_end.map(|end| end.timestamp().micros()).or(one.period_end);
            }
            EventData::SubscriptionUpdated(data) => {
                let one = held.entry(text(&data.subscription_id)).or_default();
                one.tier = data.tier_id.as_ref().map(text).or(one.tier.take());
                one.creator = data.creator_id.as_ref().map(text).or(one.creator.take());
                one.status = data.status.map(|status| (text(status.as_str()), now)).or(one.status.take());
                one.period_end = data.period_end.map(|end| end.timestamp().micros()).or(one.period_end);
            }
            EventData::SubscriptionCancelled(data) => {
                let one = held.entry(text(&data.subscription_id)).or_default();
                one.status = Some(("cancelled".to_owned(), now));
                one.period_end = data.period_end.map(|end| end.timestamp().micros()).or(one.period_end);
            }
            EventData::PaymentCompleted(data) if data.payment_type == PaymentType::Subscription => {
                let one = held.entry(text(data.subscription_id.as_ref().unwrap())).or_default();
                one.status = Some(("active".to_owned(), now));
                one.paid_until = one.paid_until.max(data.period_end.map(|end| end.timestamp().micros()));
                let mut hash = Sha256::new();
                for part in [event.id.as_str(), "subscription.updated"] {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                }
                self.emitted.insert(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
            }
            EventData::PaymentFailed(data) if data.payment_type == PaymentType::Subscription => {
                held.entry(text(data.subscription_id.as_ref().unwrap())).or_default().status =
                    Some(("past_due".to_owned(), now));
            }
            _ => {}
        }
    }

    fn money(&mut self, event: &Event) {
        let now = event.time.micros();
        match &event.data {
            EventData::TierCreated(data) => {
                let price = (now, Some(text(&data.price)), Some(text(data.currency.as_str())));
                self.prices.entry(text(&data.tier_id)).or_default().push(price);
            }
            EventData::TierUpdated(data) => {
                let price = (now, data.price.as_ref().map(text), data.currency.map(|code| text(code.as_str())));
                self.prices.entry(text(&data.tier_id)).or_default().push(price);
            }
            EventData::TipSent(data) => {
                let key = (text(&data.creator_id), text(data.currency.as_str()));
                let (whole, fraction) = data.amount.as_str().split_once('.').unwrap_or((data.amount.as_str(), ""));
                let cents: i64 = format!("{whole}{fraction:0<2}").parse().unwrap();
                let total = self.tips.entry(key).or_default();
                *total = (total.0 + cents, total.1 + 1);
            }
            _ => {}
        }
    }

    fn post(&mut self, event: &Event) {
        match &event.data {
            EventData::PostCreated(data) => {
                let currency = data.currency.map(|code| text(code.as_str()));
                let price = data.price.as_ref().map(text).zip(currency);
                self.offers.insert(text(&data.post_id), price.clone());
                let post = self.posts.entry(text(&data.post_id)).or_default();
                post.created = true;
                post.creator = Some(text(&data.creator_id));
                post.price = price;
                post.subscribers_only = data.visibility.is_some_and(|word| word.as_str() == "subscribers");
            }
            EventData::PostUpdated(data) => {
                let currency = data.currency.map(|code| text(code.as_str()));
                let post = self.posts.entry(text(&data.post_id)).or_default();
                let offer = self.offers.entry(text(&data.post_id)).or_default();
                if let Some(price) = &data.price {
                    post.price = price.as_ref().map(text).zip(currency);
                    offer.clone_from(&post.price);
                }
                if let Some(word) = data.visibility {
                    post.subscribers_only = word.as_str() == "subscribers";
                }
            }
            EventData::PostDeleted(data) => self.posts.entry(text(&data.post_id)).or_default().deleted = true,
            EventData::PostLiked(data) => self.like(&data.post_id, &data.user_id, true),
            EventData::PostUnliked(data) => self.like(&data.post_id, &data.user_id, false),
            EventData::CommentCreated(data) => {
                self.posts.entry(text(&data.post_id)).or_default();
                *self.comments.entry(text(&data.post_id)).or_default() += 1;
            }
            EventData::PostPurchased(data) => {
                self.purchases.insert((text(&data.post_id), text(&data.user_id)));
            }
            _ => {}
        }
    }

    fn like(&mut self, post: &events::Id, user: &events::Id, liked: bool) {
        self.posts.entry(text(post)).or_default();
        self.likes.insert((text(post), text(user)), liked);
    }

    fn media(&mut self, event: &Event) {
        let (media, post, keys) = match &event.data {
            EventData::MediaUploaded(data) => (&data.media_id, &data.post_id, vec![text(&data.object_key)]),
            EventData::MediaProcessed(data) => {
                let own = data.object_key.iter().map(text);
                (&data.media_id, &data.post_id, own.chain(data.variants.iter().flatten().map(text)).collect())
            }
            EventData::MediaDeleted(data) => {
                self.media_gone.insert(text(&data.media_id));
                return;
            }
            _ => return,
        };
        self.media_posts.extend(post.iter().map(|post| (text(media), text(post))));
        self.media_keys.extend(keys.into_iter().map(|key| (text(media), key)));
    }

    /// Until when a subscription is open: `None` for one without an end.
    fn ends(one: &ModelSubscription) -> Option<i64> {
        let (status, said) = one.status.clone().unwrap();
        let open = status == "pending" || status == "active";
        (!open).then(|| one.period_end.or(one.paid_until).unwrap_or(said))
    }

    pub fn can_view(&self, user: &str, post: &str, moment: i64) -> bool {
        let Some(one) = self.posts.get(post).filter(|one| one.created && !one.deleted) else { return false };
        if one.creator.as_deref() == Some(user) || self.purchases.contains(&(post.to_owned(), user.to_owned())) {
            return true;
        }
        if one.price.as_ref().is_some_and(|(price, _)| price != "0") {
            return false;
        }
        let theirs = |held: &&ModelSubscription| {
            held.created && held.subscriber.as_deref() == Some(user) && held.creator == one.creator
        };
        let mut open = self.subscriptions.values().filter(theirs);
        !one.subscribers_only || open.any(|held| Self::ends(held).is_none_or(|end| end > moment))
    }

    pub fn subscription_rows(&self) -> Vec<Value> {
        let row = |(id, one): (&String, &ModelSubscription)| {
            json!({"id": id, "u": one.subscriber, "c": one.creator, "t": one.tier, "e": one.period_end, "p": one.paid_until,
                "s": one.status.as_ref().map(|(status, _)| status), "known": one.created})
        };
        self.subscriptions.iter().map(row).collect()
    }

    pub fn open_rows(&self) -> Vec<Value> {
        let known = self.subscriptions.iter().filter(|(_, one)| one.created);
        let row = |(id, one): (&String, &ModelSubscription)| json!({"id": id, "u": one.subscriber, "c": one.creator, "e": Self::ends(one), "s": one.status.as_ref().unwrap().0});
        known.map(row).collect()
    }

    pub fn collection_rows(&self) -> Vec<Value> {
        let row = |(id, one): (&String, &ModelSubscription)| {
            let (user, creator, tier, start) = one.collected.clone()?;
            let prices = self.prices.get(&tier).cloned().unwrap_or_default();
            // The prices are in order of time: the last that was valid, else the first.
            let valid = |of: fn(&ModelPrice) -> Option<String>| {
                let said = || prices.iter().filter_map(|one| Some((one.0, of(one)?)));
                said().rfind(|(at, _)| *at <= start).or_else(|| said().next()).map(|(_, what)| what)
            };
            let (amount, currency) = (valid(|one| one.1.clone()), valid(|one| one.2.clone()));
            Some(
                json!({"id": id, "u": user, "c": creator, "t": tier, "at": start, "amount": amount, "currency": currency}),
            )
        };
        self.subscriptions.iter().filter_map(row).collect()
    }

    pub fn offer_rows(&self) -> Vec<Value> {
        let row = |(id, offer): (&String, &Option<(String, String)>)| {
            let (price, currency) = offer.clone().unzip();
            json!({"id": id, "price": price, "currency": currency})
        };
        self.offers.iter().map(row).collect()
    }

    pub fn tip_rows(&self) -> Vec<Value> {
        let row = |((creator, currency), (cents, tips)): (&(String, String), &(i64, i64))| json!({"c": creator, "currency": currency, "cents": cents, "tips": tips});
        self.tips.iter().map(row).collect()
    }

    pub fn counter_rows(&self) -> Vec<Value> {
        let row = |id: &String| {
            let likes = self.likes.iter().filter(|((post, _), liked)| post == id && **liked).count();
            json!({"id": id, "likes": likes, "comments": self.comments.get(id).copied().unwrap_or(0)})
        };
        self.posts.keys().map(row).collect()
    }

    pub fn file_rows(&self) -> Vec<Value> {
        let deleted = |media: &String| {
            let of = self.media_posts.iter().filter(|(one, _)| one == media).map(|(_, post)| post);
            of.filter(|post| self.posts.get(*post).is_some_and(|one| one.deleted)).min()
        };
        let gone = self.media_keys.iter().filter_map(|(media, key)| {
            let post = deleted(media);
            (post.is_some() || self.media_gone.contains(media)).then(|| json!({"m": media, "k": key, "p": post}))
        });
        gone.collect()
    }
}
