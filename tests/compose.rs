//! docker-compose.yml and the Dockerfile against the program and against each other.
//!
//! The Compose file is read by the reference parser of its format, which `scripts/compose-check/run` builds. No Docker
//! engine is needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use millrace::config::Config;
use millrace::config::table::VARIABLES;
use millrace::stores::target::Needed;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace");
/// The services of systems that have a profile of the same name: all but the first, which always runs.
static SYSTEMS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let services = millrace::systems::SYSTEMS.iter().filter_map(|system| system.service);
    services.filter(|service| *service != "consumer").collect()
});

/// Those of the systems that need this store.
fn in_need_of(store: Needed) -> Vec<&'static str> {
    let needs = |service: &&str| {
        let config = Config::from_variables(environment(service)).unwrap();
        let system = millrace::systems::SYSTEMS.iter().find(|system| system.service == Some(*service)).unwrap();
        (system.stores)(&config).contains(&store)
    };
    SYSTEMS.iter().copied().filter(needs).collect()
}

/// Those that run the program.
fn ours() -> impl Iterator<Item = &'static str> {
    ["consumer", "publish_test_data"].into_iter().chain(SYSTEMS.iter().copied())
}

/// What docker-compose.yml resolves to, with all profiles on.
static PROJECT: LazyLock<Value> = LazyLock::new(|| {
    let output = Command::new(format!("{ROOT}/scripts/compose-check/run")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
});

fn services() -> impl Iterator<Item = (&'static str, &'static Value)> {
    PROJECT["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service))
}

/// All but the one that sends its events and ends.
fn long_running() -> impl Iterator<Item = (&'static str, &'static Value)> {
    services().filter(|(name, _)| *name != "publish_test_data")
}

fn environment(service: &str) -> BTreeMap<String, String> {
    let variables = PROJECT["services"][service]["environment"].as_object().unwrap();
    variables.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().map(|items| items.iter().map(|item| item.as_str().unwrap()).collect()).unwrap_or_default()
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// The arguments of an instruction of the Dockerfile, each time it stands there.
fn instructions(name: &str) -> Vec<String> {
    let text = file("Dockerfile");
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(|rest| rest.trim().to_owned()))
        .collect()
}

/// A tag that names a version, or a release of Debian: what is built tomorrow is what was built today.
fn has_fixed_tag(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap();
    name.split_once(':')
        .is_some_and(|(_, tag)| tag.starts_with(|c: char| c.is_ascii_digit()) || tag.starts_with("bookworm"))
}

#[test]
fn services_have_the_names_of_the_guide() {
    let names: BTreeSet<_> = services().map(|(name, _)| name).collect();
    let stores = ["kafka", "elasticsearch", "redis", "postgres", "mongodb", "mariadb"];
    assert_eq!(names, ours().chain(stores).collect());
}

#[test]
fn only_the_guide_s_services_start_without_a_profile() {
    for (name, service) in services() {
        let wanted: Vec<&str> = match name {
            "publish_test_data" => vec!["publish-data"],
            "mongodb" => in_need_of(Needed::MongoDb),
            "mariadb" => in_need_of(Needed::Operations),
            _ => SYSTEMS.iter().copied().filter(|system| *system == name).collect(),
        };
        assert_eq!(strings(&service["profiles"]), wanted, "{name}");
    }
}

#[test]
fn a_profile_brings_what_its_system_needs() {
    for system in SYSTEMS.iter().copied() {
        let service = &PROJECT["services"][system];
        assert_eq!(strings(&service["command"]), ["run", system]);
        let needs = service["depends_on"].as_object().unwrap();
        for (other, how) in needs {
            assert_eq!(how["condition"], "service_healthy", "{system} waits for {other}");
            let profiles = strings(&PROJECT["services"][other]["profiles"]);
            assert!(profiles.is_empty() || profiles.contains(&system), "{other} does not start with {system}");
        }
        for (variable, url) in environment(system).iter().filter(|(name, url)| name.ends_with("_URL") && *url != "none")
        {
            let place = url.split("://").nth(1).unwrap();
            let host = place.rsplit('@').next().unwrap().split(':').next().unwrap();
            assert!(needs.contains_key(host), "{system} does not wait for {host} of {variable}");
        }
        let consumer = &PROJECT["services"]["consumer"];
        for shared in ["healthcheck", "stop_grace_period", "restart"] {
            assert_eq!(service[shared], consumer[shared], "{system}");
        }
    }
}

#[test]
fn every_variable_is_one_that_the_program_knows() {
    let known: BTreeSet<String> = VARIABLES
        .iter()
        .flat_map(|variable| variable.env.iter().map(move |name| (variable, *name)))
        .flat_map(|(variable, name)| [Some(name.to_owned()), variable.secret.then(|| format!("{name}_FILE"))])
        .flatten()
        .collect();
    for service in ours() {
        let strange: Vec<_> = environment(service).into_keys().filter(|name| !known.contains(name)).collect();
        assert!(strange.is_empty(), "{service} sets {strange:?}, which the program does not know");
    }
}

#[test]
fn the_variables_hold_what_the_program_takes() {
    let consumer = Config::from_variables(environment("consumer")).unwrap();
    assert_eq!(consumer.kafka.bootstrap_servers, "kafka:9093");
    assert_eq!(consumer.batch.size, 1000);
    assert!(consumer.http.addr.is_unspecified(), "from outside the container, loopback is out of reach");
    for system in SYSTEMS.iter().copied() {
        Config::from_variables(environment(system)).unwrap();
    }
    let publisher = Config::from_variables(environment("publish_test_data")).unwrap();
    assert_eq!(publisher.topic("transactions"), consumer.topic("transactions"));
}

#[test]
fn the_commands_are_those_of_the_program() {
    for service in ours() {
        let command = strings(&PROJECT["services"][service]["command"]);
        let output = Command::new(PROGRAM).args(&command).arg("--help").output().unwrap();
        assert!(output.status.success(), "{service}: {command:?}: {}", String::from_utf8_lossy(&output.stderr));
        if let [run, system] = &command[..]
            && *run == "run"
        {
            millrace::systems::find(system).map(drop).unwrap();
        }
    }
}

#[test]
fn what_runs_on_is_restarted_and_watched() {
    for (name, service) in long_running() {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert!(strings(&service["healthcheck"]["test"]).len() > 1, "{name} has no health check");
    }
    assert_eq!(PROJECT["services"]["publish_test_data"]["restart"], "no");
}

#[test]
fn nothing_starts_before_what_it_needs_answers() {
    let watched: BTreeSet<_> =
        long_running().filter(|(_, service)| service["profiles"].is_null()).map(|(name, _)| name).collect();
    for (name, needs, wanted) in [
        ("consumer", &PROJECT["services"]["consumer"]["depends_on"], watched.len() - 1),
        ("publish_test_data", &PROJECT["services"]["publish_test_data"]["depends_on"], 1),
    ] {
        let needs = needs.as_object().unwrap();
        assert_eq!(needs.len(), wanted, "{name}");
        for (other, how) in needs {
            assert!(watched.contains(other.as_str()), "{name} waits for {other}");
            assert_eq!(how["condition"], "service_healthy", "{name} waits for {other}");
        }
    }
}

#[test]
fn images_have_fixed_tags() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        assert!(has_fixed_tag(image), "{name}: {image}");
    }
    let own = format!("millrace:{}", env!("CARGO_PKG_VERSION"));
    for service in ours() {
        assert_eq!(PROJECT["services"][service]["image"], own, "{service}");
    }
}

#[test]
fn ports_are_published_on_loopback_only() {
    for (name, service) in services() {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}: {port}");
        }
    }
}

#[test]
fn data_is_kept_in_named_volumes() {
    for (name, service) in long_running().filter(|(name, _)| !ours().any(|own| own == *name)) {
        let volumes = service["volumes"].as_array().unwrap();
        assert!(volumes.iter().all(|volume| volume["type"] == "volume" && volume["source"].is_string()), "{name}");
    }
}

#[test]
fn kafka_is_reached_from_containers_and_from_the_host() {
    let kafka = environment("kafka");
    let advertised: BTreeMap<_, _> =
        kafka["KAFKA_ADVERTISED_LISTENERS"].split(',').filter_map(|listener| listener.split_once("://")).collect();
    let bound: BTreeMap<_, _> =
        kafka["KAFKA_LISTENERS"].split(',').filter_map(|listener| listener.split_once("://")).collect();
    let addresses: BTreeSet<_> = advertised.values().copied().collect();
    assert_eq!(addresses, BTreeSet::from(["kafka:9093", "localhost:9092"]));
    for (name, address) in advertised {
        let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
        assert_eq!(port(bound[name]), port(address), "{name} listens elsewhere than it says");
    }
    let published = PROJECT["services"]["kafka"]["ports"].as_array().unwrap();
    assert!(published.iter().any(|port| port["published"] == "9092" && port["target"] == 9092));
}

#[test]
fn the_consumer_has_the_account_that_the_database_is_made_with() {
    let postgres = environment("postgres");
    let (user, password, name) = (&postgres["POSTGRES_USER"], &postgres["POSTGRES_PASSWORD"], &postgres["POSTGRES_DB"]);
    let url = format!("postgresql://{user}:{password}@postgres:5432/{name}");
    assert_eq!(environment("consumer")["DATABASE_URL"], url);
}

#[test]
fn the_health_check_asks_where_the_program_listens() {
    let consumer = &PROJECT["services"]["consumer"];
    let port = environment("consumer").remove("HTTP_PORT").unwrap();
    let test = strings(&consumer["healthcheck"]["test"]).join(" ");
    assert!(test.contains(&format!("127.0.0.1/{port};")) && test.contains("/livez"), "{test}");
    let published = consumer["ports"].as_array().unwrap();
    assert!(published.iter().any(|found| found["target"] == port.parse::<u16>().unwrap()), "{published:?}");
    assert_eq!(instructions("EXPOSE"), [port]);
}

#[test]
fn the_image_is_built_on_fixed_tags() {
    let stages = instructions("FROM");
    assert!(stages.len() > 1, "{stages:?}");
    for stage in stages {
        assert!(has_fixed_tag(stage.split(' ').next().unwrap()), "{stage}");
    }
}

#[test]
fn the_image_does_not_run_as_root() {
    let text = file("Dockerfile");
    let last_stage = text.rsplit("\nFROM ").next().unwrap();
    let user = last_stage.lines().rev().find_map(|line| line.strip_prefix("USER ")).expect("no USER in the last stage");
    let user = user.trim().split(':').next().unwrap();
    assert!(user != "root" && !user.trim_start_matches('0').is_empty(), "the image runs as {user}");
}

#[test]
fn the_image_starts_the_program() {
    assert_eq!(instructions("ENTRYPOINT"), [r#"["millrace"]"#]);
    assert_eq!(instructions("CMD"), [r#"["run"]"#]);
}

/// The sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn the_build_context_holds_what_the_program_takes_in() {
    let ignore = file(".dockerignore");
    assert!(ignore.lines().any(|line| line == "*"), "all that is not named stays away, a .env as well");
    let sent: BTreeSet<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let root = Path::new(ROOT).canonicalize().unwrap();
    let mut taken_in = 0;
    for source in ["src", "pipeline/src", "enrichers/src"].iter().flat_map(|folder| sources(&root.join(folder))) {
        let text = fs::read_to_string(&source).unwrap();
        for macro_call in ["include_str!(\"", "include_bytes!(\""] {
            for rest in text.split(macro_call).skip(1) {
                let path = source.with_file_name(rest.split('"').next().unwrap()).canonicalize().unwrap();
                let first = path.strip_prefix(&root).unwrap().iter().next().unwrap().to_str().unwrap();
                assert!(sent.contains(first), "{} takes in {path:?}, which .dockerignore keeps away", source.display());
                taken_in += 1;
            }
        }
    }
    assert!(taken_in > 0, "the program takes in an index template at least");
    for needed in ["Cargo.toml", "Cargo.lock", "src", "pipeline", "enrichers"] {
        assert!(sent.contains(needed), "{needed}");
    }
}
