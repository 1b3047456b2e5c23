//! Owns what the subscription service says.

use crate::event_data::event_data;
use crate::{Amount, Currency, EventTime, Id, Note, SubscriptionStatus};

event_data! {
    /// Somebody subscribed to a creator. The payment of the first period is to be collected.
    SubscriptionCreated {
        /// The subscription.
        subscription_id "subscriptionId": Id,
        /// The user who subscribed.
        subscriber_id "subscriberId": Id,
        /// The user who is subscribed to.
        creator_id "creatorId": Id,
        /// The tier, whose price at `startDate` is to be paid.
        tier_id "tierId": Id,
        /// When it begins; without one, when the event happened.
        start_date "startDate": Option<EventTime>,
        /// When the current period ends.
        period_end "periodEnd": Option<EventTime>,
    }

    /// A subscription changed. What is left out stays as it was.
    SubscriptionUpdated {
        /// The subscription.
        subscription_id "subscriptionId": Id,
        /// The user who subscribed.
        subscriber_id "subscriberId": Option<Id>,
        /// The user who is subscribed to.
        creator_id "creatorId": Option<Id>,
        /// The tier it has now.
        tier_id "tierId": Option<Id>,
        /// Where it stands now.
        status "status": Option<SubscriptionStatus>,
        /// When it begins.
        start_date "startDate": Option<EventTime>,
        /// When the current period ends.
        period_end "periodEnd": Option<EventTime>,
    }

    /// A subscription was cancelled. It stays open to the end of the period.
    SubscriptionCancelled {
        /// The subscription.
        subscription_id "subscriptionId": Id,
        /// The user who subscribed.
        subscriber_id "subscriberId": Option<Id>,
        /// The user who is subscribed to.
        creator_id "creatorId": Option<Id>,
        /// When the period ends; without one, with the last paid period.
        period_end "periodEnd": Option<EventTime>,
        /// Why, in words.
        reason "reason": Option<Note>,
    }

    /// A creator offers a tier.
    TierCreated {
        /// The tier.
        tier_id "tierId": Id,
        /// The creator.
        creator_id "creatorId": Id,
        /// What a period costs.
        price "price": Amount,
        /// In which currency.
        currency "currency": Currency,
        /// What it is called.
        name "name": Option<Note>,
        /// What it offers.
        description "description": Option<Note>,
    }

    /// A tier changed. What is left out stays as it was; a new price is valid from the event on.
    TierUpdated {
        /// The tier.
        tier_id "tierId": Id,
        /// The creator.
        creator_id "creatorId": Option<Id>,
        /// What a period costs now.
        price "price": Option<Amount>,
        /// In which currency; without one, as before.
        currency "currency": Option<Currency>,
        /// What it is called.
        name "name": Option<Note>,
        /// What it offers.
        description "description": Option<Note>,
    }
}
