//! Brokers that demand SASL over TLS: with what a managed Kafka hands out, and with what is wrong about it.

use std::time::{Duration, Instant};

use testkit::services::variable;
use testkit::world::World;

use crate::PROGRAM;

/// Publishes and indexes with these settings.
fn assert_works(world: &World) {
    world.create_topic(&[]);
    let report = world.publish(&["--count", "200"]);
    assert_eq!(report["creates"], 200);
    let counts = world.run_once();
    assert_eq!(counts["applied"], report["records"], "{counts}");
    assert_eq!(world.documents().len(), 200);
}

fn authority() -> String {
    std::fs::read_to_string(variable("SECURED_KAFKA_CA_CERT")).unwrap()
}

#[test]
fn every_command_works_with_the_authority_as_a_path() {
    let world = World::secured(PROGRAM, "secured");
    assert_works(&world);
    for args in [&["dlq", "list"][..], &["verify", "transactions"], &["doctor"]] {
        let output = world.output(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_authority_may_be_given_as_text() {
    let mut world = World::secured(PROGRAM, "secured-text");
    world.set("KAFKA_CA_CERT", &authority());
    assert_works(&world);
}

#[test]
fn line_ends_of_the_text_may_be_escaped_as_environment_files_do() {
    let mut world = World::secured(PROGRAM, "secured-escaped");
    world.set("KAFKA_CA_CERT", &authority().replace('\n', "\\n"));
    assert_works(&world);
}

/// Nothing hangs, the message and the readiness say what is wrong, and the password stays out of them.
fn assert_refused(world: &World, why: &str, advice: &str) {
    let begun = Instant::now();
    let output = world.output(&["publish", "--count", "10"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains(why) && said.contains(advice), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());

    let running = world.start();
    running.await_reason(why);
    let (_, reason) = running.ready();
    assert!(running.terminate().success());
    for text in [said, reason] {
        assert!(!text.contains(&world.env["KAFKA_PASSWORD"]), "{text}");
    }
}

#[test]
fn a_wrong_password_is_named() {
    let mut world = World::secured(PROGRAM, "secured-password");
    world.set("KAFKA_PASSWORD", "not-the-one");
    assert_refused(&world, "Authentication failed", "check KAFKA_USERNAME and KAFKA_PASSWORD");
}

#[test]
fn an_authority_that_signed_nothing_is_named() {
    let mut world = World::secured(PROGRAM, "secured-authority");
    world.set("KAFKA_CA_CERT", &variable("SECURED_KAFKA_OTHER_CA_CERT"));
    assert_refused(&world, "certificate verify failed", "KAFKA_CA_CERT is not the authority");
}

#[test]
fn a_missing_authority_is_named() {
    let mut world = World::secured(PROGRAM, "secured-none");
    world.env.remove("KAFKA_CA_CERT");
    assert_refused(&world, "certificate verify failed", "KAFKA_CA_CERT is not set");
}
