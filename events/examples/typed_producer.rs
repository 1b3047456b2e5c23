//! Sends a subscription and its payment as a service would: `cargo run -p events --features producer --example typed_producer`.
//!
//! The topics have to be there: `millrace events emit subscription.created --example` makes one. The brokers are `KAFKA_BROKERS`, `localhost:9092` when it is not set.

use std::error::Error;

use events::{EventProducer, EventProducerOptions, PaymentCompleted, PaymentType, SubscriptionCreated};
use rdkafka::ClientConfig;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", std::env::var("KAFKA_BROKERS").unwrap_or_else(|_| "localhost:9092".to_owned()));
    let options = EventProducerOptions {
        topic_prefix: std::env::var("EVENTS_TOPIC_PREFIX").unwrap_or_default(),
        cloud_source: Some("/subscription-service".to_owned()),
        ..EventProducerOptions::default()
    };
    let producer = EventProducer::new(&client, options)?;

    let subscription = SubscriptionCreated {
        subscription_id: "sub_1".try_into()?,
        subscriber_id: "user_7".try_into()?,
        creator_id: "creator_3".try_into()?,
        tier_id: "tier_2".try_into()?,
        start_date: Some("2026-03-01T00:00:00Z".try_into()?),
        period_end: None,
    };
    let payment = PaymentCompleted {
        payment_id: "pay_5".try_into()?,
        payment_type: PaymentType::Subscription,
        amount: "9.99".try_into()?,
        currency: "EUR".try_into()?,
        user_id: Some("user_7".try_into()?),
        creator_id: Some("creator_3".try_into()?),
        subscription_id: Some("sub_1".try_into()?),
        post_id: None,
        period_start: Some("2026-03-01T00:00:00Z".try_into()?),
        period_end: Some("2026-04-01T00:00:00Z".try_into()?),
    };
    for sent in [producer.send(subscription).await?, producer.send(payment).await?] {
        println!("{} stands in {}[{}] at {}", sent.id, sent.topic, sent.partition, sent.offset);
    }
    Ok(())
}
