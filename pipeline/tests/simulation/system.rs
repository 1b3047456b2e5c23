//! The system that reads the log of a seed.

use std::borrow::Cow;

use pipeline::sink::Reject;
use pipeline::system::{Decoded, Identity, System};
use pipeline::{Ladder, Record};

use crate::world::{Kind, SimWrite, What, read};

/// The system under test: pure, and knows nothing of the faults.
pub struct SimSystem {
    pub ladder: Option<Ladder>,
}

impl System for SimSystem {
    type Event<'r> = SimWrite;
    type Write = SimWrite;

    fn name(&self) -> &'static str {
        "sim"
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, SimWrite> {
        match read(record) {
            What::Poison => Decoded::Reject(Reject::new("poison", "cannot be read")),
            What::Ignored => Decoded::Ignore,
            What::Write(write) => {
                let text = std::str::from_utf8(record.payload.as_deref().unwrap()).unwrap();
                let number: u64 = text.split(';').nth(1).unwrap().parse().unwrap();
                let mut message = [0; 32];
                message[..8].copy_from_slice(&number.to_be_bytes());
                let document = Cow::Owned(write.document.clone());
                Decoded::Event(
                    Identity { document, message: Some(message), version: write.version, kind: "sim" },
                    write,
                )
            }
        }
    }

    fn ladder(&self) -> Option<Ladder> {
        self.ladder
    }

    fn keys(&self, _: &Identity<'_>, write: &SimWrite, each: &mut dyn FnMut(&str)) {
        write.keys().for_each(each);
    }

    fn is_about(&self, record: &Record, document: &str) -> bool {
        matches!(read(record), What::Write(write) if write.document == document)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e SimWrite)>,
    ) -> Vec<Result<SimWrite, Reject>> {
        tokio::task::yield_now().await;
        let judge = |write: &SimWrite| match write.kind {
            Kind::Unfit => Err(Reject::new("unfit", "cannot be enriched")),
            _ => Ok(write.clone()),
        };
        events.into_iter().map(|(_, write)| judge(write)).collect()
    }
}
