//! Owns what the payment service says.

use crate::event_data::event_data;
use crate::{Amount, Currency, EventTime, Id, Note, PaymentType};

event_data! {
    /// A payment succeeded.
    PaymentCompleted {
        /// The payment.
        payment_id "paymentId": Id,
        /// What it is for.
        payment_type "type": PaymentType,
        /// What was paid.
        amount "amount": Amount,
        /// In which currency.
        currency "currency": Currency,
        /// Who paid.
        user_id "userId": Option<Id>,
        /// Who is paid.
        creator_id "creatorId": Option<Id>,
        /// The subscription it is for; of the type `subscription` it is required.
        subscription_id "subscriptionId": Option<Id>,
        /// The post it is for; of the type `post` it is required.
        post_id "postId": Option<Id>,
        /// When the paid period begins.
        period_start "periodStart": Option<EventTime>,
        /// When the paid period ends.
        period_end "periodEnd": Option<EventTime>,
    }

    /// A payment failed.
    PaymentFailed {
        /// The payment.
        payment_id "paymentId": Id,
        /// What it was for.
        payment_type "type": PaymentType,
        /// What was to be paid.
        amount "amount": Option<Amount>,
        /// In which currency; required with an amount.
        currency "currency": Option<Currency>,
        /// Who was to pay.
        user_id "userId": Option<Id>,
        /// The subscription it was for; of the type `subscription` it is required.
        subscription_id "subscriptionId": Option<Id>,
        /// The post it was for; of the type `post` it is required.
        post_id "postId": Option<Id>,
        /// Why, in words.
        reason "reason": Option<Note>,
    }

    /// A user sent a creator a tip.
    TipSent {
        /// Who sent it.
        user_id "userId": Id,
        /// Who got it.
        creator_id "creatorId": Id,
        /// How much.
        amount "amount": Amount,
        /// In which currency.
        currency "currency": Currency,
        /// The payment it came by.
        payment_id "paymentId": Option<Id>,
        /// The post it is for.
        post_id "postId": Option<Id>,
        /// What was said with it.
        message "message": Option<Note>,
    }

    /// A user bought a post.
    PostPurchased {
        /// The payment.
        payment_id "paymentId": Id,
        /// The post.
        post_id "postId": Id,
        /// Who bought it.
        user_id "userId": Id,
        /// The creator of the post.
        creator_id "creatorId": Option<Id>,
        /// What was paid.
        amount "amount": Option<Amount>,
        /// In which currency; required with an amount.
        currency "currency": Option<Currency>,
    }
}
