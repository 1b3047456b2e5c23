//! New rows of the outbox are announced past a pool of transactions, and the relay hears it.

use std::time::Duration;

use serde_json::json;
use sqlx::postgres::PgListener;
use testkit::program::Running;
use testkit::services::{eventually, variable};

use super::files::event;
use super::stage::Stage;

const WAIT: Duration = Duration::from_secs(60);
const CHANNEL: &str = "millrace_outbox";
const LISTENERS: &str = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE query ILIKE 'LISTEN %'";

fn behind_the_pool(name: &str) -> Stage {
    let mut stage = Stage::new(name);
    stage.world.set("REACTIONS_DATABASE_URL", &variable("PGBOUNCER_URL"));
    stage.world.set("REACTIONS_LISTEN_URL", &variable("DATABASE_URL"));
    stage
}

fn payment(id: &str) -> events::Event {
    let data = json!({"paymentId": id, "type": "subscription", "amount": "5", "currency": "EUR", "subscriptionId": id});
    event("payment.completed", id, 1, &data)
}

#[test]
fn a_batch_that_says_something_is_announced() {
    let stage = behind_the_pool("reactions-announced");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut listener = runtime.block_on(async {
        let mut listener = PgListener::connect(&variable("DATABASE_URL")).await.unwrap();
        listener.listen(CHANNEL).await.unwrap();
        listener
    });
    let schema = stage.schema.clone();
    stage.send(&[payment("p1")]);
    stage.run_once();
    let announced = runtime.block_on(async move {
        let named = async { while listener.recv().await.unwrap().payload() != schema {} };
        tokio::time::timeout(WAIT, named).await
    });
    assert!(announced.is_ok(), "the schema is named on the channel");
}

#[test]
fn the_relay_hears_others_again_after_its_connection_was_lost() {
    let stage = behind_the_pool("reactions-told");
    let running = stage.start();
    running.await_ready();
    let is_told = |running: &Running| running.metric("millrace_outbox_notifications_total").unwrap_or(0.0);
    let announce = format!("SELECT pg_notify('{CHANNEL}', 'SCHEMA')");
    eventually("the first word", || {
        stage.tell(&announce);
        (is_told(&running) > 0.0).then_some(())
    });
    assert!(!stage.ask(LISTENERS).is_empty());
    running.await_events("Nobody tells the relay of new rows at the moment; it looks by itself", 1);
    let before = is_told(&running);
    eventually("a word after it", || {
        stage.tell(&announce);
        (is_told(&running) > before).then_some(())
    });
    assert!(running.terminate().success());
}
