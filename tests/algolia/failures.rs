//! Our client against a double that misbehaves: what kind of failure it is, and which host is asked next.

use std::time::Duration;

use millrace::stores::algolia::{AlgoliaClient, Operation, TaskId, Timeouts};
use pipeline::sink::{Failure, FailureKind};
use testkit::double::{FakeAlgolia, Fault};

use super::client::{client, config, ids, store};

const SAVE: Operation<'_> = Operation::Save { object: r#"{"objectID":"a"}"# };

async fn write(client: &AlgoliaClient) -> Result<TaskId, Failure> {
    client.batch("things", &[SAVE]).await
}

/// A client that waits no longer than a test may, and longer than a busy machine needs.
fn impatient(double: &FakeAlgolia) -> AlgoliaClient {
    let short = Duration::from_secs(1);
    let timeouts = Timeouts { read: short, write: short, task: short, ..Timeouts::default() };
    AlgoliaClient::with_timeouts(&config(double, &[]), timeouts).unwrap()
}

#[tokio::test]
async fn a_status_decides_what_kind_of_failure_it_is() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    for (status, kind) in [
        (400, FailureKind::Refused),
        (401, FailureKind::Misconfigured),
        (403, FailureKind::Misconfigured),
        (404, FailureKind::Misconfigured),
        (409, FailureKind::Broken),
        (413, FailureKind::TurnedAway),
        (429, FailureKind::Unavailable),
        (500, FailureKind::Broken),
        (502, FailureKind::Unavailable),
        (503, FailureKind::Unavailable),
        (504, FailureKind::Unavailable),
        (302, FailureKind::Broken),
    ] {
        double.fail(Fault::Status(status));
        assert_eq!(write(&client).await.unwrap_err().kind, kind, "{status}");
    }
    double.heal();
    write(&client).await.unwrap();
}

#[tokio::test]
async fn what_breaks_on_the_way_is_broken() {
    let double = FakeAlgolia::start();
    let client = impatient(&double);
    for fault in [Fault::Cut, Fault::Lost, Fault::Slow(Duration::from_secs(60)), Fault::Garbled] {
        double.fail(fault);
        let failure = write(&client).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Broken, "{fault:?}: {}", failure.why);
        assert_eq!(client.browse("things", None).await.unwrap_err().kind, FailureKind::Broken, "{fault:?}");
    }
    double.heal();
    double.await_settled();
    assert_eq!(double.objects("things").len(), 1, "the write whose answer was lost was done");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let double = FakeAlgolia::with_hosts(2);
    let client = client(&double);
    drop(double);
    let failure = write(&client).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.why.starts_with("no connection to http://127.0.0.1:"), "{}", failure.why);
}

#[tokio::test]
async fn another_host_is_asked_and_the_one_that_failed_is_remembered() {
    for fault in [Fault::Cut, Fault::Status(503), Fault::Status(500), Fault::Slow(Duration::from_secs(60))] {
        let double = FakeAlgolia::with_hosts(2);
        let client = impatient(&double);
        double.fail_host(0, fault);
        write(&client).await.unwrap();
        assert_eq!((double.requests_at(0, "batch"), double.requests_at(1, "batch")), (1, 1), "{fault:?}");
        double.heal();
        write(&client.clone()).await.unwrap();
        assert_eq!((double.requests_at(0, "batch"), double.requests_at(1, "batch")), (1, 2), "{fault:?}");
        // Now the first is the only one left.
        double.fail_host(1, Fault::Cut);
        write(&client).await.unwrap();
        assert_eq!((double.requests_at(0, "batch"), double.requests_at(1, "batch")), (2, 3), "{fault:?}");
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_does_not_hide_what_broke_at_another() {
    let gone = FakeAlgolia::start();
    let address = gone.address(0);
    drop(gone);
    let double = FakeAlgolia::start();
    let urls = format!("{},http://{address}", double.urls());
    let client = AlgoliaClient::new(&config(&double, &[("ALGOLIA_URL", &urls)])).unwrap();
    double.fail(Fault::Cut);
    assert_eq!(write(&client).await.unwrap_err().kind, FailureKind::Broken);
    double.fail(Fault::Status(503));
    assert_eq!(write(&client).await.unwrap_err().kind, FailureKind::Unavailable);
    double.heal();
    write(&client).await.unwrap();
}

#[tokio::test]
async fn what_was_refused_is_not_tried_elsewhere() {
    let double = FakeAlgolia::with_hosts(2);
    let client = client(&double);
    for status in [400, 401, 403, 404, 413, 429] {
        double.fail_host(0, Fault::Status(status));
        write(&client).await.unwrap_err();
    }
    assert_eq!((double.requests_at(0, "batch"), double.requests_at(1, "batch")), (6, 0));
}

#[tokio::test]
async fn a_wrong_key_is_named_and_never_shown() {
    let double = FakeAlgolia::start();
    let client = AlgoliaClient::new(&config(&double, &[("ALGOLIA_API_KEY", "hunter2")])).unwrap();
    let failures = [
        write(&client).await.unwrap_err(),
        client.probe("things").await.unwrap_err(),
        client.objects("things", &ids(1)).await.unwrap_err(),
        client.browse("things", None).await.unwrap_err(),
        client.wait("things", TaskId(1)).await.unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.kind, FailureKind::Misconfigured);
        assert!(failure.why.contains("ALGOLIA_API_KEY") && !failure.why.contains("hunter2"), "{}", failure.why);
    }
    drop(double);
    let why = write(&client).await.unwrap_err().why;
    assert!(!why.contains("hunter2") && !format!("{client:?}").contains("hunter2"), "{why}");
    let double = FakeAlgolia::start();
    let error = AlgoliaClient::new(&config(&double, &[("ALGOLIA_API_KEY", "hunter2\n")])).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("ALGOLIA_API_KEY") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_wait_ends_with_the_task_or_the_timeout() {
    let double = FakeAlgolia::start();
    let client = client(&double);
    store(&client, "things", &ids(1)).await;
    assert!(double.requests("task") > 0);
    let unknown = client.wait("things", TaskId(7)).await.unwrap_err();
    assert_eq!(unknown.kind, FailureKind::Broken);
    let held = double.hold();
    let hurried = impatient(&double);
    let task = write(&hurried).await.unwrap();
    assert_eq!(hurried.wait("things", task).await.unwrap_err().kind, FailureKind::Unavailable);
    assert!(!double.objects("things").contains_key("a"));
    drop(held);
    client.wait("things", task).await.unwrap();
    assert!(double.objects("things").contains_key("a"));
}
