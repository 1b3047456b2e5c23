//! The consumer groups of the reactions, and what each reads.

use ::events::EventName;

/// A consumer of events: its part of the reactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReactionGroup {
    Subscription,
    Payment,
    Content,
    Media,
}

impl ReactionGroup {
    pub const ALL: [Self; 4] = [Self::Subscription, Self::Payment, Self::Content, Self::Media];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Payment => "payment",
            Self::Content => "content",
            Self::Media => "media",
        }
    }

    /// Its consumer in logs, metrics, letters and `/health`.
    pub fn consumer(self) -> &'static str {
        match self {
            Self::Subscription => "reactions.subscription",
            Self::Payment => "reactions.payment",
            Self::Content => "reactions.content",
            Self::Media => "reactions.media",
        }
    }

    /// The group of this consumer.
    pub fn of_consumer(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.consumer() == name)
    }

    fn reads(self, event: EventName) -> bool {
        use EventName::{
            PaymentCompleted, PaymentFailed, PostCreated, PostDeleted, PostPurchased, PostUpdated,
            SubscriptionCancelled, SubscriptionCreated, SubscriptionUpdated, TierCreated, TierUpdated, TipSent,
        };
        let name = event.as_str();
        match self {
            Self::Subscription => {
                name.starts_with("subscription.") || matches!(event, PaymentCompleted | PaymentFailed)
            }
            Self::Payment => {
                matches!(event, SubscriptionCreated | TierCreated | TierUpdated | PostCreated | PostUpdated | TipSent)
            }
            Self::Content => {
                name.starts_with("content.")
                    || matches!(
                        event,
                        PostPurchased | SubscriptionCreated | SubscriptionUpdated | SubscriptionCancelled
                    )
            }
            Self::Media => name.starts_with("media.") || event == PostDeleted,
        }
    }

    /// The events whose topics it reads.
    pub fn events(self) -> impl Iterator<Item = EventName> {
        EventName::ALL.iter().copied().filter(move |event| self.reads(*event))
    }

    /// Whether it makes dead letters of what cannot be read of this event's topic: the first group that reads it does.
    pub fn judges(self, event: EventName) -> bool {
        Self::ALL.into_iter().find(|group| group.reads(event)) == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_one_group_that_judges_it() {
        for event in EventName::ALL {
            let judges: Vec<_> = ReactionGroup::ALL.into_iter().filter(|group| group.judges(*event)).collect();
            assert!(matches!(judges.as_slice(), [one] if one.reads(*event)), "{event}");
        }
        let counts = ReactionGroup::ALL.map(|group| group.events().count());
        assert_eq!(counts, [7, 6, 10, 4]);
    }
}
