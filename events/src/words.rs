//! Owns the words that a field may hold.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::read_value::{Invalid, ReadValue, string};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
        #[schemars(inline)]
        pub enum $name { $(#[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every word there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl ReadValue for $name {
            fn read(raw: &RawValue) -> Result<Self, Invalid> {
                let word: Cow<'_, str> = string(raw)?;
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == word);
                found.ok_or_else(|| Invalid::new("unknown_word", concat!("is none of", $(" `", $word, "`",)*)))
            }
        }
    )*};
}

words! {
    /// What a payment is for.
    PaymentType { Subscription "subscription", Tip "tip", Post "post", }

    /// Where a subscription stands.
    SubscriptionStatus {
        Pending "pending", Active "active", PastDue "past_due", Cancelled "cancelled", Expired "expired",
    }

    /// Who may see a post that has no price.
    Visibility { Public "public", Subscribers "subscribers", }

    /// How the processing of a file ended.
    ProcessingStatus { Ready "ready", Failed "failed", }
}
