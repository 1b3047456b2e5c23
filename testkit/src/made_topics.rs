//! Topics that a test makes: each partition has a leader before anybody asks for it.

use pipeline::kafka::ranges;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic};
use rdkafka::client::DefaultClientContext;

use crate::services::{block_on, eventually};

/// Makes topics, and waits until each of their partitions answers.
pub fn make_topics(client: &ClientConfig, new: &[NewTopic<'_>]) {
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let made = block_on(admin.create_topics(new, &AdminOptions::new())).unwrap();
    made.into_iter().for_each(|made| assert!(made.is_ok(), "{made:?}"));
    for topic in new {
        let partitions = usize::try_from(topic.num_partitions).unwrap();
        let answers = || ranges(client, topic.name).is_ok_and(|ranges| ranges.len() == partitions).then_some(());
        eventually("leaders of the topic", answers);
    }
}
