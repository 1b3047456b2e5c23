//! The one list of the events: name, type of the data, service, key.

use std::fmt;

use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use wire::DecodeError;

use crate::data::content::{CommentCreated, PostCreated, PostDeleted, PostLiked, PostUnliked, PostUpdated};
use crate::data::media::{MediaDeleted, MediaProcessed, MediaUploaded};
use crate::data::payment::{PaymentCompleted, PaymentFailed, PostPurchased, TipSent};
use crate::data::subscription::{
    SubscriptionCancelled, SubscriptionCreated, SubscriptionUpdated, TierCreated, TierUpdated,
};
use crate::event_data::{EventFields, EventPlace};

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    Subscription,
    Payment,
    Content,
    Media,
}

impl Service {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription service",
            Self::Payment => "payment service",
            Self::Content => "content service",
            Self::Media => "media service",
        }
    }
}

/// `Variant "topic": Service, key_field "keyField";` for each event.
macro_rules! events {
    ($($name:ident $topic:literal: $service:ident, $key:ident $key_name:literal;)*) => {
        /// An event's name, which is its topic and its type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventName { $($name,)* }

        /// What an event says.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum EventData { $($name($name),)* }

        impl EventName {
            /// Every event there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $topic,)* }
            }

            /// The service that produces it.
            pub fn service(self) -> Service {
                match self { $(Self::$name => Service::$service,)* }
            }

            /// The field whose value is the record's key.
            pub fn key_field(self) -> &'static str {
                match self { $(Self::$name => $key_name,)* }
            }

            /// What it says, in a sentence or two.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => <$name as EventFields>::MEANING.trim_ascii(),)* }
            }

            /// The fields of its data, in their order.
            pub fn field_names(self) -> &'static [&'static str] {
                match self { $(Self::$name => <$name as EventFields>::FIELDS,)* }
            }

            pub(crate) fn object_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self { $(Self::$name => <$name as EventFields>::object_schema(generator),)* }
            }

            pub(crate) fn read_data(self, place: &EventPlace<'_, '_>) -> Result<EventData, DecodeError> {
                match self { $(Self::$name => <$name as EventFields>::read_fields(place).map(EventData::$name),)* }
            }
        }

        impl EventData {
            pub fn name(&self) -> EventName {
                match self { $(Self::$name(_) => EventName::$name,)* }
            }

            /// The record's key.
            pub fn key(&self) -> &str {
                match self { $(Self::$name(data) => data.$key.as_str(),)* }
            }
        }

        $(impl From<$name> for EventData {
            fn from(data: $name) -> Self {
                Self::$name(data)
            }
        })*
    };
}

events! {
    SubscriptionCreated "subscription.created": Subscription, subscription_id "subscriptionId";
    SubscriptionUpdated "subscription.updated": Subscription, subscription_id "subscriptionId";
    SubscriptionCancelled "subscription.cancelled": Subscription, subscription_id "subscriptionId";
    TierCreated "subscription.tier.created": Subscription, tier_id "tierId";
    TierUpdated "subscription.tier.updated": Subscription, tier_id "tierId";
    PaymentCompleted "payment.completed": Payment, payment_id "paymentId";
    PaymentFailed "payment.failed": Payment, payment_id "paymentId";
    TipSent "payment.tip.sent": Payment, user_id "userId";
    PostPurchased "payment.post.purchased": Payment, payment_id "paymentId";
    PostCreated "content.post.created": Content, post_id "postId";
    PostUpdated "content.post.updated": Content, post_id "postId";
    PostDeleted "content.post.deleted": Content, post_id "postId";
    PostLiked "content.post.liked": Content, post_id "postId";
    PostUnliked "content.post.unliked": Content, post_id "postId";
    CommentCreated "content.comment.created": Content, post_id "postId";
    MediaUploaded "media.uploaded": Media, media_id "mediaId";
    MediaDeleted "media.deleted": Media, media_id "mediaId";
    MediaProcessed "media.processed": Media, media_id "mediaId";
}

impl EventName {
    /// The event of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.as_str() == name)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
