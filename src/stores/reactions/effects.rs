//! What a batch of events comes to: rows, and events that follow. Pure: no clock, no store.
//!
//! It guarantees that any order of the events, in batches of any size, comes to the same once the rows are merged.

use std::collections::BTreeMap;

use ::events::{Event, EventData, Id, Invalid, PaymentType, ProcessingStatus, SubscriptionStatus, SubscriptionUpdated};

use super::emitted::EmittedEvent;
use super::reaction_group::ReactionGroup;
use super::rows::{ReactionTable, RowOfEvent, TableRows};

/// What a batch comes to.
#[derive(Debug, Default)]
pub struct BatchEffects {
    pub rows: TableRows,
    pub emitted: Vec<EmittedEvent>,
    /// Events that have no reaction in the group, by their names.
    pub ignored: BTreeMap<&'static str, u64>,
}

/// Takes each event of a batch, whatever order they are in.
///
/// # Errors
/// None that is known: an id that cannot be derived.
pub fn effects<'a>(group: ReactionGroup, events: impl IntoIterator<Item = &'a Event>) -> Result<BatchEffects, Invalid> {
    let mut effects = BatchEffects::default();
    for event in events {
        let reacted = match group {
            ReactionGroup::Subscription => effects.subscription(event)?,
            ReactionGroup::Payment => effects.payment(event),
            ReactionGroup::Content => effects.content(event),
            ReactionGroup::Media => effects.media(event),
        };
        if !reacted {
            *effects.ignored.entry(event.name().as_str()).or_default() += 1;
        }
    }
    Ok(effects)
}

impl BatchEffects {
    fn subscription(&mut self, event: &Event) -> Result<bool, Invalid> {
        let rows = &mut self.rows;
        match &event.data {
            EventData::SubscriptionCreated(data) => {
                let starts = data.start_date.map_or(event.time, |start| start.timestamp()).micros();
                subscription_row(rows, &data.subscription_id, event)
                    .aspect("subscriber", Some(&data.subscriber_id))
                    .aspect("creator", Some(&data.creator_id))
                    .aspect("tier", Some(&data.tier_id))
                    .aspect("starts", Some(starts))
                    .aspect("status", Some(SubscriptionStatus::Pending.as_str()))
                    .aspect_if("period_end", data.period_end.map(|end| end.timestamp().micros()))
                    .first("created_at");
            }
            EventData::SubscriptionUpdated(data) => {
                subscription_row(rows, &data.subscription_id, event)
                    .aspect_if("subscriber", data.subscriber_id.as_ref())
                    .aspect_if("creator", data.creator_id.as_ref())
                    .aspect_if("tier", data.tier_id.as_ref())
                    .aspect_if("starts", data.start_date.map(|start| start.timestamp().micros()))
                    .aspect_if("status", data.status.map(SubscriptionStatus::as_str))
                    .aspect_if("period_end", data.period_end.map(|end| end.timestamp().micros()));
            }
            EventData::SubscriptionCancelled(data) => {
                subscription_row(rows, &data.subscription_id, event)
                    .aspect_if("subscriber", data.subscriber_id.as_ref())
                    .aspect_if("creator", data.creator_id.as_ref())
                    .aspect("status", Some(SubscriptionStatus::Cancelled.as_str()))
                    .aspect_if("period_end", data.period_end.map(|end| end.timestamp().micros()));
            }
            EventData::PaymentCompleted(data) => {
                let Some(id) = of_subscription(data.payment_type, data.subscription_id.as_ref()) else {
                    return Ok(false);
                };
                let paid =
                    subscription_row(rows, id, event).aspect("status", Some(SubscriptionStatus::Active.as_str()));
                if let Some(end) = data.period_end {
                    paid.last("paid_until", end.timestamp().micros());
                }
                let active = SubscriptionUpdated {
                    subscription_id: id.clone(),
                    subscriber_id: None,
                    creator_id: None,
                    tier_id: None,
                    status: Some(SubscriptionStatus::Active),
                    start_date: None,
                    period_end: data.period_end,
                };
                self.emitted.push(EmittedEvent::of(event, "subscription.updated", "subscription", active)?);
            }
            EventData::PaymentFailed(data) => {
                let Some(id) = of_subscription(data.payment_type, data.subscription_id.as_ref()) else {
                    return Ok(false);
                };
                subscription_row(rows, id, event).aspect("status", Some(SubscriptionStatus::PastDue.as_str()));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn payment(&mut self, event: &Event) -> bool {
        match &event.data {
            EventData::SubscriptionCreated(data) => {
                let starts = data.start_date.map_or(event.time, |start| start.timestamp()).micros();
                self.rows
                    .row(ReactionTable::Collections, &[("subscription_id", &data.subscription_id)], event)
                    .aspect("subscriber", Some(&data.subscriber_id))
                    .aspect("creator", Some(&data.creator_id))
                    .aspect("tier", Some(&data.tier_id))
                    .aspect("starts", Some(starts));
            }
            EventData::TierCreated(data) => {
                self.rows
                    .row(ReactionTable::Tiers, &[("tier_id", &data.tier_id)], event)
                    .aspect("creator", Some(&data.creator_id))
                    .first("created_at");
                self.price(event, &data.tier_id, Some(data.price.as_str()), Some(data.currency.as_str()));
            }
            EventData::TierUpdated(data) => {
                self.rows
                    .row(ReactionTable::Tiers, &[("tier_id", &data.tier_id)], event)
                    .aspect_if("creator", data.creator_id.as_ref());
                let (price, currency) = (data.price.as_ref(), data.currency.as_ref());
                if price.is_some() || currency.is_some() {
                    let (price, currency) = (price.map(|price| price.as_str()), currency.map(|code| code.as_str()));
                    self.price(event, &data.tier_id, price, currency);
                }
            }
            EventData::PostCreated(data) => {
                self.rows
                    .row(ReactionTable::Offers, &[("post_id", &data.post_id)], event)
                    .aspect("creator", Some(&data.creator_id))
                    .aspect("price", data.price.as_ref())
                    .aspect("currency", data.price.as_ref().and(data.currency.as_ref().map(|code| code.as_str())));
            }
            EventData::PostUpdated(data) => {
                let row = self.rows.row(ReactionTable::Offers, &[("post_id", &data.post_id)], event);
                let row = row.aspect_if("creator", data.creator_id.as_ref());
                if let Some(price) = &data.price {
                    row.aspect("price", price.as_ref())
                        .aspect("currency", price.as_ref().and(data.currency.as_ref().map(|code| code.as_str())));
                }
            }
            EventData::TipSent(data) => {
                self.rows
                    .row(ReactionTable::Tips, &[("event_id", &event.id)], event)
                    .fact("user_id", data.user_id.as_str())
                    .fact("creator_id", data.creator_id.as_str())
                    .fact("amount", data.amount.as_str())
                    .fact("currency", data.currency.as_str())
                    .fact("post_id", data.post_id.as_ref().map(Id::as_str))
                    .fact("at", event.time.micros());
            }
            _ => return false,
        }
        true
    }

    /// A price is one of many: it is a row of its own.
    fn price(&mut self, event: &Event, tier: &Id, price: Option<&str>, currency: Option<&str>) {
        let at = event.time.micros().to_string();
        let key = [("tier_id", tier.as_str()), ("at", at.as_str()), ("by", event.id.as_str())];
        self.rows.row_of_text(ReactionTable::TierPrices, &key, event).fact("price", price).fact("currency", currency);
    }

    fn content(&mut self, event: &Event) -> bool {
        let posts = ReactionTable::Posts;
        match &event.data {
            EventData::PostCreated(data) => {
                self.rows
                    .row(posts, &[("post_id", &data.post_id)], event)
                    .aspect("creator", Some(&data.creator_id))
                    .aspect("price", data.price.as_ref())
                    .aspect("currency", data.price.as_ref().and(data.currency.as_ref().map(|code| code.as_str())))
                    .aspect("visibility", data.visibility.map(|word| word.as_str()))
                    .first("created_at");
            }
            EventData::PostUpdated(data) => {
                let row = self.rows.row(posts, &[("post_id", &data.post_id)], event);
                let row = row
                    .aspect_if("creator", data.creator_id.as_ref())
                    .aspect_if("visibility", data.visibility.map(|word| word.as_str()));
                if let Some(price) = &data.price {
                    row.aspect("price", price.as_ref())
                        .aspect("currency", price.as_ref().and(data.currency.as_ref().map(|code| code.as_str())));
                }
            }
            EventData::PostDeleted(data) => {
                self.rows.row(posts, &[("post_id", &data.post_id)], event).first("deleted_at");
            }
            EventData::PostLiked(data) => self.like(event, &data.post_id, &data.user_id, true),
            EventData::PostUnliked(data) => self.like(event, &data.post_id, &data.user_id, false),
            EventData::CommentCreated(data) => {
                self.rows.row(posts, &[("post_id", &data.post_id)], event);
                self.rows
                    .row(ReactionTable::Comments, &[("comment_id", &data.comment_id)], event)
                    .fact("post_id", data.post_id.as_str())
                    .fact("user_id", data.user_id.as_str())
                    .first("first_at");
            }
            EventData::PostPurchased(data) => {
                let key = [("post_id", &data.post_id), ("user_id", &data.user_id)];
                self.rows.row(ReactionTable::Purchases, &key, event).first("first_at");
            }
            _ => return self.access(event),
        }
        true
    }

    /// Whom a creator's posts for subscribers are open to.
    fn access(&mut self, event: &Event) -> bool {
        const TABLE: ReactionTable = ReactionTable::Access;
        match &event.data {
            EventData::SubscriptionCreated(data) => {
                self.rows
                    .row(TABLE, &[("subscription_id", &data.subscription_id)], event)
                    .aspect("subscriber", Some(&data.subscriber_id))
                    .aspect("creator", Some(&data.creator_id))
                    .aspect("status", Some(SubscriptionStatus::Pending.as_str()))
                    .aspect_if("period_end", data.period_end.map(|end| end.timestamp().micros()))
                    .first("created_at");
            }
            EventData::SubscriptionUpdated(data) => {
                self.rows
                    .row(TABLE, &[("subscription_id", &data.subscription_id)], event)
                    .aspect_if("subscriber", data.subscriber_id.as_ref())
                    .aspect_if("creator", data.creator_id.as_ref())
                    .aspect_if("status", data.status.map(SubscriptionStatus::as_str))
                    .aspect_if("period_end", data.period_end.map(|end| end.timestamp().micros()));
            }
            EventData::SubscriptionCancelled(data) => {
                self.rows
                    .row(TABLE, &[("subscription_id", &data.subscription_id)], event)
                    .aspect_if("subscriber", data.subscriber_id.as_ref())
                    .aspect_if("creator", data.creator_id.as_ref())
                    .aspect("status", Some(SubscriptionStatus::Cancelled.as_str()))
                    .aspect_if("period_end", data.period_end.map(|end| end.timestamp().micros()));
            }
            _ => return false,
        }
        true
    }

    fn like(&mut self, event: &Event, post: &Id, user: &Id, liked: bool) {
        // A stub, so that the post's counters are there.
        self.rows.row(ReactionTable::Posts, &[("post_id", post)], event);
        self.rows
            .row(ReactionTable::Likes, &[("post_id", post), ("user_id", user)], event)
            .aspect("liked", Some(liked));
    }

    fn media(&mut self, event: &Event) -> bool {
        let media = ReactionTable::Media;
        match &event.data {
            EventData::MediaUploaded(data) => {
                self.rows.row(media, &[("media_id", &data.media_id)], event).aspect_if("owner", data.user_id.as_ref());
                self.belongs(event, &data.media_id, data.post_id.as_ref());
                self.file(event, &data.media_id, Some(data.object_key.as_str()));
            }
            EventData::MediaProcessed(data) => {
                let status = data.status.unwrap_or(ProcessingStatus::Ready);
                self.rows.row(media, &[("media_id", &data.media_id)], event).aspect("status", Some(status.as_str()));
                self.belongs(event, &data.media_id, data.post_id.as_ref());
                self.file(event, &data.media_id, data.object_key.as_ref().map(|key| key.as_str()));
                for key in data.variants.iter().flatten() {
                    self.file(event, &data.media_id, Some(key.as_str()));
                }
            }
            EventData::MediaDeleted(data) => {
                self.rows.row(media, &[("media_id", &data.media_id)], event).first("deleted_at");
                self.file(event, &data.media_id, data.object_key.as_ref().map(|key| key.as_str()));
            }
            EventData::PostDeleted(data) => {
                self.rows.row(ReactionTable::MediaOwners, &[("post_id", &data.post_id)], event).first("deleted_at");
            }
            _ => return false,
        }
        true
    }

    fn belongs(&mut self, event: &Event, media: &Id, post: Option<&Id>) {
        let Some(post) = post else { return };
        self.rows.row(ReactionTable::MediaOwners, &[("post_id", post)], event);
        self.rows.row(ReactionTable::MediaPosts, &[("media_id", media), ("post_id", post)], event);
    }

    fn file(&mut self, event: &Event, media: &Id, key: Option<&str>) {
        let Some(key) = key else { return };
        let key = [("media_id", media.as_str()), ("object_key", key)];
        self.rows.row_of_text(ReactionTable::MediaKeys, &key, event);
    }
}

fn subscription_row<'a>(rows: &'a mut TableRows, id: &Id, event: &'a Event) -> RowOfEvent<'a> {
    rows.row(ReactionTable::Subscriptions, &[("subscription_id", id)], event)
}

/// The subscription that a payment is for.
fn of_subscription(kind: PaymentType, id: Option<&Id>) -> Option<&Id> {
    id.filter(|_| kind == PaymentType::Subscription)
}
