//! Records as what they say of documents, by the consumer's own code and by the plain walk.

use std::collections::{HashMap, HashSet};

use pipeline::Record;
use pipeline::binding::{Binding, Enriched};
use pipeline::mutant;
use pipeline::sink::Content;
use pipeline::system::Decoded;

use super::compare::{LogPosition, LoggedVersion};
use super::misread::misread;
use super::spill::Buckets;
use super::{DifferenceName, Finding, VerifyError};
use crate::walk::{Walk, Walked};

/// The coordinates of dead letters.
pub(super) type Letters = HashSet<(String, i32, i64)>;

/// How records are read.
pub(super) struct Reading<'a> {
    pub(super) binding: &'a dyn Binding,
    pub(super) walk: Walk,
    pub(super) letters: &'a Letters,
    /// What they say may be in the store and need not.
    pub(super) optional: bool,
}

impl Reading<'_> {
    /// Decodes and enriches as the consumer does, and keeps what that says of documents; gives what a plain walk reads
    /// otherwise.
    pub(super) async fn put(
        &self,
        topic: u8,
        records: &[Record],
        buckets: &mut Buckets,
    ) -> Result<Vec<Finding>, VerifyError> {
        let events = self.binding.decode(records);
        let is_event = |decoded: &Decoded<'_>| matches!(decoded, Decoded::Event(..));
        let chosen: Vec<usize> =
            (0..).zip(events.as_slice()).filter(|(_, one)| is_event(one)).map(|(at, _)| at).collect();
        // What enrichment rejects is a dead letter.
        let Enriched { writes, records: written, .. } = events.enrich(&chosen).await;
        let contents: HashMap<usize, Content> = written
            .into_iter()
            .enumerate()
            .filter_map(|(write, place)| Some((place, writes.content(write)?)))
            .collect();
        let mut wrong = Vec::new();
        for (place, (record, decoded)) in records.iter().zip(events.as_slice()).enumerate() {
            let (content, walked) = (contents.get(&place).copied(), (self.walk)(record));
            let buried = self.letters.contains(&(record.at.topic.to_string(), record.at.partition, record.offset));
            let optional = self.optional || buried;
            if !mutant!(VerifyBlind) {
                let reason = misread(decoded, content, walked.as_ref(), optional);
                wrong.extend(reason.map(|reason| finding(record, decoded, walked.as_ref(), reason)));
            }
            if let (Decoded::Event(identity, ()), Some(Content { deleted, digest })) = (decoded, content) {
                let at = LogPosition { topic, partition: record.at.partition, offset: record.offset };
                let passed = walked.and_then(|walked| walked.passed).filter(|_| !mutant!(VerifyBlind));
                let told = LoggedVersion { at, version: identity.version, deleted, content: digest, passed, optional };
                buckets.add_logged(&identity.document, &told)?;
            }
        }
        Ok(wrong)
    }
}

/// Of a record that is misread.
fn finding(record: &Record, decoded: &Decoded<'_>, walked: Option<&Walked>, reason: String) -> Finding {
    let id = match (walked, decoded) {
        (Some(walked), _) => walked.id.clone(),
        (None, Decoded::Event(identity, ())) => identity.document.to_string(),
        (None, _) => String::new(),
    };
    let at = Some((record.at.topic.to_string(), record.at.partition, record.offset));
    Finding { name: DifferenceName::Misread, id, at, expected: None, held: None, reason: Some(reason) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use bytes::Bytes;
    use enrichers::TransactionEvent;
    use pipeline::sink::{Failure, Reject, Sink, SinkLimits, Verdict, Write};
    use pipeline::system::Identity;
    use pipeline::{System, TopicPartition, bind};

    use super::*;
    use crate::walk::transactions::{index, of_source};

    /// Reads transactions wrongly: a version too low at offset 1, an event left out at 2, one rejected at 3; and of every
    /// document it keeps nothing but that there is one.
    struct Careless;

    struct Emptied;

    impl Write for Emptied {
        fn bytes(&self) -> usize {
            0
        }

        fn content(&self) -> Content {
            Content { deleted: false, digest: 7 }
        }
    }

    struct Nowhere;

    #[async_trait]
    impl Sink<Emptied> for Nowhere {
        fn name(&self) -> &'static str {
            "nowhere"
        }

        fn limits(&self) -> SinkLimits {
            SinkLimits { items: 1, bytes: 1, ordered: false, one_write_a_document: false }
        }

        async fn write(&self, writes: &[&Emptied]) -> Result<Vec<Verdict>, Failure> {
            Ok(writes.iter().map(|_| Verdict::Applied).collect())
        }

        async fn probe(&self) -> Result<(), Failure> {
            Ok(())
        }
    }

    impl System for Careless {
        type Event<'r> = TransactionEvent<'r>;
        type Write = Emptied;

        fn name(&self) -> &'static str {
            "careless"
        }

        fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, TransactionEvent<'r>> {
            let event = enrichers::decode(record.payload.as_deref().unwrap(), None).unwrap();
            let version = event.version() - i64::from(record.offset == 1);
            match record.offset {
                2 => Decoded::Ignore,
                3 => Decoded::Reject(Reject::new("x", "y")),
                _ => Decoded::Event(Identity { document: event.id.clone(), message: None, version, kind: "x" }, event),
            }
        }

        fn is_about(&self, _: &Record, _: &str) -> bool {
            false
        }

        async fn enrich<'e, 'r: 'e>(
            &'e self,
            events: Vec<(&'e Identity<'r>, &'e TransactionEvent<'r>)>,
        ) -> Vec<Result<Emptied, Reject>> {
            events.iter().map(|_| Ok(Emptied)).collect()
        }
    }

    fn record(offset: i64) -> Record {
        let payload = format!(
            r#"{{"event_type":"transaction.created","transaction":{{"id":"a","user_id":"u","transaction_type":"card","amount":{offset}.10}},"timestamp":1}}"#
        );
        Record {
            at: TopicPartition::new("t", 0),
            offset,
            timestamp_ms: None,
            key: None,
            payload: Some(Bytes::from(payload)),
            headers: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_decoder_that_is_wrong_is_found_out_by_the_walk() {
        let binding = bind(Careless, Arc::new(Nowhere));
        let letters = Letters::new();
        let reading = Reading { binding: &*binding, walk: index, letters: &letters, optional: false };
        let mut buckets = Buckets::new(10, 1 << 20).unwrap();
        let records: Vec<Record> = (0..4).map(record).collect();
        let wrong = reading.put(0, &records, &mut buckets).await.unwrap();
        let at = |finding: &Finding| (finding.name, finding.id.clone(), finding.at.clone().unwrap().2);
        let expected = [1, 2, 3].map(|offset| (DifferenceName::Misread, "a".to_owned(), offset));
        assert_eq!(wrong.iter().map(at).collect::<Vec<_>>(), expected);
        assert!(wrong.iter().all(|finding| finding.reason.as_ref().is_some_and(|why| !why.contains(".10"))));

        let mut passed = Vec::new();
        buckets
            .each(|_, document| passed.extend(document.logged.iter().map(|told| (told.content, told.passed))))
            .unwrap();
        let of = |amount: &str| {
            of_source(&format!(r#"{{"id":"a","user_id":"u","transaction_type":"card","amount":{amount}}}"#))
        };
        assert_eq!(passed, [(7, of("0.10")), (7, of("1.10"))], "told apart by what the decoder lost");
    }

    #[tokio::test]
    async fn what_has_its_letter_is_not_misread() {
        let binding = bind(Careless, Arc::new(Nowhere));
        let letters = Letters::from([("t".to_owned(), 0, 3)]);
        let reading = Reading { binding: &*binding, walk: index, letters: &letters, optional: false };
        let mut buckets = Buckets::new(10, 1 << 20).unwrap();
        assert!(reading.put(0, &[record(3)], &mut buckets).await.unwrap().is_empty());
    }
}
