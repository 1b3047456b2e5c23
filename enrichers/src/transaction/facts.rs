//! Owns what strategies and search content read: the transaction's fields and those of its metadata.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::Fields;
use wire::json;

/// What the producer said: the transaction's fields and those of its metadata.
pub(crate) struct ProducerFields<'e, 'a> {
    pub(crate) transaction: &'e Fields<'a>,
    pub(crate) metadata: &'e Fields<'a>,
}

impl<'a> ProducerFields<'_, 'a> {
    /// The first of `names` that holds a text or number, each looked up in metadata before the transaction's own fields.
    pub(crate) fn text(&self, names: &[&str]) -> Option<Cow<'a, str>> {
        self.find(names, json::scalar)
    }

    /// As [`ProducerFields::text`], and a nested object counts by its `name`.
    pub(crate) fn name(&self, names: &[&str]) -> Option<Cow<'a, str>> {
        self.find(names, |raw| json::scalar(raw).or_else(|| Self::inner_name(raw)))
    }

    /// The name inside an object such as `{"name": "Starbucks", "city": "Seattle"}`.
    pub(crate) fn inner_name(raw: &'a RawValue) -> Option<Cow<'a, str>> {
        raw.get().starts_with('{').then(|| Fields::parse(raw.get())?.text("name")).flatten()
    }

    fn find<T>(&self, names: &[&str], read: impl Fn(&'a RawValue) -> Option<T>) -> Option<T> {
        names.iter().find_map(|name| {
            let inner = self.metadata.get(name).and_then(&read);
            inner.or_else(|| self.transaction.get(name).and_then(&read))
        })
    }

    /// Whether the transaction's amount is written with a minus; `None` without an amount.
    pub(crate) fn amount_is_negative(&self) -> Option<bool> {
        self.transaction.text("amount").map(|amount| amount.starts_with('-'))
    }
}
