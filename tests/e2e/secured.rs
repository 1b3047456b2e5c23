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

fn assert_other_commands_work(world: &World) {
    for args in [&["dlq", "list"][..], &["verify", "transactions"], &["doctor"]] {
        let output = world.output(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
    }
}

fn authority() -> String {
    std::fs::read_to_string(variable("SECURED_KAFKA_CA_CERT")).unwrap()
}

#[test]
fn every_command_works_with_the_authority_as_a_path() {
    let world = World::secured(PROGRAM, "secured");
    assert_works(&world);
    assert_other_commands_work(&world);
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

/// Of the clients that the broker's authority signed, or did not.
fn client(file: &str) -> String {
    format!("{}/{file}", variable("SECURED_KAFKA_CLIENTS"))
}

/// A world whose brokers want a client's certificate instead of a login.
fn with_certificate(name: &str, cert: &str, key: &str) -> World {
    let mut world = World::secured(PROGRAM, name);
    for name in ["KAFKA_USERNAME", "KAFKA_PASSWORD"] {
        world.env.remove(name);
    }
    world.set("KAFKA_SERVICE_URI", &variable("SECURED_KAFKA_CERT_URI"));
    world.set("KAFKA_CLIENT_CERT", &client(cert));
    world.set("KAFKA_CLIENT_KEY", &client(key));
    world
}

#[test]
fn a_clients_certificate_is_shown_to_the_brokers() {
    let mut world = with_certificate("secured-cert", "client.crt", "client.key");
    assert_works(&world);
    for args in [&["dlq", "list"][..], &["verify", "transactions"], &["doctor"]] {
        let output = world.output(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
    }
    // As text, and from a file that is named, with a password.
    let cert = std::fs::read_to_string(client("client.crt")).unwrap().replace('\n', "\\n");
    world.set("KAFKA_CLIENT_CERT", &cert);
    world.env.remove("KAFKA_CLIENT_KEY");
    world.set("KAFKA_CLIENT_KEY_FILE", &client("client-locked.key"));
    world.set("KAFKA_CLIENT_KEY_PASSWORD", "secret");
    let output = world.output(&["verify", "transactions"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_client_that_the_brokers_do_not_know_is_told_what_to_set() {
    let stranger = with_certificate("secured-stranger", "stranger.crt", "stranger.key");
    let mut nobody = with_certificate("secured-nobody", "client.crt", "client.key");
    for name in ["KAFKA_CLIENT_CERT", "KAFKA_CLIENT_KEY"] {
        nobody.env.remove(name);
    }
    for world in [stranger, nobody] {
        let output = world.output(&["publish", "--count", "10"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains("KAFKA_CLIENT_CERT"), "{said}");
    }
    let mut wrong = with_certificate("secured-wrong-key", "client.crt", "client-locked.key");
    wrong.set("KAFKA_CLIENT_KEY_PASSWORD", "hunter2");
    let output = wrong.output(&["publish", "--count", "10"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !said.contains("hunter2") && !said.contains("PRIVATE KEY"), "{said}");
}

#[test]
fn a_clients_certificate_is_shown_to_the_search_engine() {
    let home = variable("ELASTICSEARCH_CERT_HOME");
    let mut world = World::new(PROGRAM, "secured-search");
    world.set("ELASTICSEARCH_URL", &variable("ELASTICSEARCH_CERT_URL"));
    world.set("ELASTICSEARCH_CA_CERT", &format!("{home}/broker-ca.pem"));
    world.set("ELASTICSEARCH_CLIENT_CERT", &format!("{home}/client.crt"));
    world.set("ELASTICSEARCH_CLIENT_KEY", &format!("{home}/client.key"));
    world.create_topic(&[]);
    let report = world.publish(&["--count", "200"]);
    assert_eq!(world.run_once()["applied"], report["records"]);
    let output = world.output(&["verify", "transactions"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, file) in [("ELASTICSEARCH_CLIENT_CERT", "stranger.crt"), ("ELASTICSEARCH_CLIENT_KEY", "stranger.key")] {
        world.set(name, &format!("{home}/{file}"));
    }
    let output = world.output(&["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("ELASTICSEARCH_CLIENT_CERT"), "{said}");
}

/// Tokens of a client: an endpoint hands them out for the right id and secret.
#[cfg(feature = "oidc")]
mod tokens {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::time::{SystemTime, UNIX_EPOCH};

    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};

    use super::*;

    /// An endpoint of tokens, which the broker takes unsigned.
    fn endpoint() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let login = format!("Basic {}", BASE64_STANDARD.encode("millrace:right"));
                let right = head.contains(&login) && String::from_utf8_lossy(&body).contains("scope=events");
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                let part = |json: String| BASE64_URL_SAFE_NO_PAD.encode(json);
                let token = format!(
                    "{}.{}.",
                    part(r#"{"alg":"none"}"#.to_owned()),
                    part(format!(r#"{{"sub":"millrace","iat":{now},"exp":{}}}"#, now + 300))
                );
                let (status, body) = match right {
                    true => {
                        ("200 OK", format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":300}}"#))
                    }
                    false => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
                };
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
                stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
            }
        });
        url
    }

    fn with_token(name: &str, secret: &str) -> World {
        let mut world = World::secured(PROGRAM, name);
        world.set("KAFKA_SERVICE_URI", &variable("SECURED_KAFKA_TOKEN_URI"));
        for (name, value) in [
            ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
            ("KAFKA_USERNAME", "millrace"),
            ("KAFKA_PASSWORD", secret),
            ("KAFKA_OAUTH_TOKEN_URL", &endpoint()),
            ("KAFKA_OAUTH_SCOPE", "events"),
        ] {
            world.set(name, value);
        }
        world
    }

    #[test]
    fn a_token_is_fetched_and_shown_to_the_brokers() {
        let world = with_token("secured-token", "right");
        assert_works(&world);
        assert_other_commands_work(&world);
    }

    #[test]
    fn an_endpoint_that_refuses_the_client_is_named() {
        let world = with_token("secured-no-token", "hunter2");
        let output = world.output(&["publish", "--count", "10"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains("KAFKA_OAUTH_TOKEN_URL") && !said.contains("hunter2"), "{said}");
    }
}
