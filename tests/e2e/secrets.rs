//! Secrets are planted in the settings that may hold one, but for those of `NOT_PLANTED`; none of them is ever shown, by us or
//! by a library.

use std::collections::BTreeSet;
use std::net::TcpListener;

use millrace::config::table::VARIABLES;
use millrace::systems::SYSTEMS;
use testkit::services::{eventually, variable};
use testkit::world::World;

use crate::PROGRAM;

/// A word that is nowhere by chance.
fn planted(place: &str) -> String {
    format!("planted-{place}-5c1a")
}

/// The address of nobody.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// An address with user and password in front of its host.
fn with_login(address: &str, place: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap();
    let host = rest.rsplit('@').next().unwrap();
    format!("{scheme}://user:{}@{host}", planted(place))
}

/// Where each store is: the real ones, or nobody.
fn settings(real: bool) -> Vec<(&'static str, String)> {
    let of = |name: &str, scheme: &str, rest: &str| {
        if real { variable(name) } else { format!("{scheme}://{}{rest}", closed()) }
    };
    let kafka = if real { variable("SECURED_KAFKA_SERVICE_URI") } else { closed() };
    vec![
        ("KAFKA_SERVICE_URI", kafka),
        ("KAFKA_USERNAME", "millrace".to_owned()),
        ("KAFKA_PASSWORD", planted("kafka")),
        ("KAFKA_CA_CERT", variable("SECURED_KAFKA_CA_CERT")),
        ("ELASTICSEARCH_URL", with_login(&of("ELASTICSEARCH_URL", "http", ""), "elasticsearch")),
        ("REDIS_URL", with_login(&of("REDIS_URL", "redis", "/0"), "redis")),
        ("DATABASE_URL", with_login(&of("DATABASE_URL", "postgresql", "/x"), "postgres")),
        ("MONGODB_URL", with_login(&of("MONGODB_URL", "mongodb", "/x"), "mongodb")),
        ("ALGOLIA_APP_ID", "APP1".to_owned()),
        ("ALGOLIA_API_KEY", planted("algolia")),
        ("DATABASE_CONSUMER_URL", with_login(&of("DATABASE_URL", "postgresql", "/x"), "operations")),
        ("REACTIONS_DATABASE_URL", with_login(&of("DATABASE_URL", "postgresql", "/x"), "reactions")),
        ("REACTIONS_LISTEN_URL", with_login(&of("DATABASE_URL", "postgresql", "/x"), "listener")),
        ("HTTP_TOKEN", planted("token")),
        ("ALGOLIA_URL", format!("http://{}", closed())),
    ]
}

/// Secrets that stand in for one that is planted, or that want a file, a certificate or a bucket that is there.
const NOT_PLANTED: [&str; 8] = [
    "KAFKA_CLIENT_KEY",
    "KAFKA_CLIENT_KEY_PASSWORD",
    "ELASTICSEARCH_PASSWORD",
    "ELASTICSEARCH_API_KEY",
    "ELASTICSEARCH_CLIENT_KEY",
    "REDIS_PASSWORD",
    "DB_PASSWORD",
    "REACTIONS_MEDIA_URL",
];

#[test]
fn every_secret_of_the_table_is_planted_or_said_not_to_be() {
    let planted: BTreeSet<&str> =
        settings(false).into_iter().filter(|(_, value)| value.contains("planted")).map(|(name, _)| name).collect();
    let secrets = VARIABLES.iter().filter(|variable| variable.secret).map(|variable| variable.name());
    assert_eq!(secrets.filter(|name| !planted.contains(name)).collect::<Vec<_>>(), NOT_PLANTED);
}

/// The world with these settings; with `files` the secrets come from files.
fn world(name: &str, real: bool, files: bool) -> World {
    let mut world = World::new(PROGRAM, name);
    world.env.remove("KAFKA_BOOTSTRAP_SERVERS");
    world.set("LOG_LEVEL", "trace");
    for (name, value) in settings(real) {
        let secret = value.contains("planted");
        if !(files && secret) {
            world.set(name, &value);
            continue;
        }
        let path = world.dir.join(name);
        std::fs::write(&path, value).unwrap();
        world.env.remove(name);
        world.set(&format!("{name}_FILE"), path.to_str().unwrap());
    }
    world
}

fn assert_silent(what: &str, shown: &str) {
    let line = shown.lines().find(|line| line.contains("planted-"));
    assert!(line.is_none(), "{what} shows a secret: {}", line.unwrap_or_default());
}

fn every_command_is_silent(world: &World) {
    let systems: Vec<&str> = SYSTEMS.iter().map(|system| system.name).collect();
    let running = testkit::program::Running::start(world.command(&[&["run"], systems.as_slice()].concat()));
    for part in ["dead letters", "store"] {
        eventually(part, || running.http("/health").1.contains(part).then_some(()));
    }
    // The libraries speak as well, or their silence would prove nothing.
    eventually("a library's lines", || running.log().contains("librdkafka").then_some(()));
    for path in ["/readyz", "/health", "/metrics"] {
        assert_silent(path, &running.http(path).1);
    }
    assert_silent("the log", &running.log());
    running.kill();
    for command in [&["doctor"][..], &["doctor", "--json"], &["verify", "transactions"], &["dlq", "list"]] {
        let output = world.output(command);
        let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!shown.is_empty(), "{command:?} says something");
        assert_silent(&command.join(" "), &shown);
    }
}

#[test]
fn no_secret_is_shown_when_nobody_answers() {
    every_command_is_silent(&world("secrets-away", false, false));
}

#[test]
fn no_secret_is_shown_when_the_services_refuse_it() {
    every_command_is_silent(&world("secrets-refused", true, true));
}

/// A parameter that nobody honours is named, its value is not shown, and nothing starts.
#[test]
fn an_address_with_a_parameter_that_cannot_be_honoured_is_refused() {
    let secret = planted("parameter");
    for (name, address, parameter) in [
        ("DATABASE_URL", "postgresql://u:p@localhost/x?sslpassword=", "sslpassword"),
        ("DATABASE_URL", "postgresql://u:p@localhost/x?channel_binding=require&nobody=", "channel_binding"),
        ("REDIS_URL", "redis://localhost/0?password=", "password"),
        ("MONGODB_URL", "mongodb://localhost/x?nobody=", "nobody"),
        ("ELASTICSEARCH_URL", "http://localhost:9200?api_key=", "without parameters"),
        ("ALGOLIA_URL", "http://localhost:7700?key=", "without credentials or parameters"),
    ] {
        let mut world = World::new(PROGRAM, "secrets-parameter");
        world.set("LOG_LEVEL", "trace");
        world.set("ALGOLIA_APP_ID", "APP1");
        world.set("ALGOLIA_API_KEY", "key");
        world.set(name, &format!("{address}{secret}"));
        let output = world.output(&["run", "transactions"]);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{name}: {shown}");
        assert!(shown.contains(name) && shown.contains(parameter), "{shown}");
        assert_silent(name, &shown);
    }
}

/// sqlx reads `.pgpass` by itself, and logs the lines that it does not understand.
#[test]
fn a_file_of_passwords_is_neither_read_nor_shown() {
    use std::os::unix::fs::PermissionsExt;

    let mut world = World::new(PROGRAM, "secrets-pgpass");
    let path = world.dir.join(".pgpass");
    std::fs::write(&path, format!("{}\n", planted("pgpass"))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let home = world.dir.to_str().unwrap().to_owned();
    world.set("HOME", &home);
    world.set("LOG_LEVEL", "trace");
    world.set("DATABASE_URL", &format!("postgresql://u@{}/x", closed()));
    let running = testkit::program::Running::start(world.command(&["run", "transactions-audit"]));
    eventually("the database is looked for", || running.log().contains("PostgreSQL at").then_some(()));
    assert_silent("the log", &running.log());
    running.kill();
}

/// What sqlx would read from the environment is judged like what the address says.
#[test]
fn a_variable_of_postgresql_that_cannot_be_honoured_is_refused() {
    for (name, value) in [("PGCHANNELBINDING", "require"), ("PGSSLMODE", "allow"), ("PGSSLROOTCERT", "/ca.pem")] {
        let mut world = World::new(PROGRAM, "secrets-libpq");
        world.set("DATABASE_URL", "postgresql://u:p@localhost/x");
        world.set(name, value);
        let output = world.output(&["run", "transactions-audit"]);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{name}: {shown}");
        assert!(shown.contains("DATABASE_URL") && shown.contains(name), "{shown}");
    }
}

/// `ssl=require` is what many drivers write for `sslmode=require`: the connection is encrypted, or there is none.
#[test]
fn a_database_that_offers_no_encryption_is_not_written_to_when_it_is_required() {
    let mut world = World::new(PROGRAM, "secrets-plain");
    let plain = variable("DATABASE_URL");
    world.set("DATABASE_URL", &format!("{plain}?ssl=require"));
    let output = world.output(&["doctor", "transactions-audit"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("TLS"), "the server of the tests offers no TLS, and that is said: {shown}");
}
