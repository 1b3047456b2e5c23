//! deploy/kubernetes against the program: commands, variables, ports, and every key that is referred to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the answer"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use millrace::config::table::VARIABLES;
use millrace::systems::SYSTEMS;
use serde_json::Value;
use testkit::program::Running;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes");

fn manifest(name: &str) -> Value {
    let text = fs::read_to_string(Path::new(FOLDER).join(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn deployments() -> Vec<Value> {
    let kustomization = manifest("kustomization.yaml");
    let resources = kustomization["resources"].as_array().unwrap();
    let found: Vec<_> = resources.iter().map(|name| manifest(name.as_str().unwrap())).collect();
    let deployments: Vec<_> = found.into_iter().filter(|found| found["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), SYSTEMS.iter().filter(|system| system.service.is_some()).count());
    deployments
}

fn container(deployment: &Value) -> &Value {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

fn keys(map: &Value) -> BTreeSet<&str> {
    map.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_manifest_but_the_secret_is_applied() {
    let kustomization = manifest("kustomization.yaml");
    let applied: BTreeSet<_> =
        kustomization["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let files = fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let rest = ["README.md", "kustomization.yaml", "secret.example.yaml"];
    assert_eq!(applied, files.filter(|name| !rest.contains(&name.as_str())).collect());
}

#[test]
fn the_commands_are_those_of_the_program() {
    for deployment in deployments() {
        let args: Vec<_> =
            container(&deployment)["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let system = deployment["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap();
        assert_eq!(args, ["run", system]);
        assert_eq!(deployment["metadata"]["name"], format!("millrace-{system}"));
        let parsed = Command::new(env!("CARGO_BIN_EXE_millrace")).args(&args).arg("--help").output().unwrap();
        assert!(parsed.status.success(), "{args:?}: {}", String::from_utf8_lossy(&parsed.stderr));
        millrace::systems::find(system).map(drop).unwrap();
    }
}

#[test]
fn every_variable_is_one_that_the_program_knows() {
    let known: BTreeSet<&str> = VARIABLES.iter().flat_map(|variable| variable.env.iter().copied()).collect();
    let (settings, secret) = (manifest("settings.yaml"), manifest("secret.example.yaml"));
    let named: BTreeSet<_> = keys(&settings["data"]).union(&keys(&secret["stringData"])).copied().collect();
    let strange: Vec<_> = named.difference(&known).collect();
    assert!(strange.is_empty(), "the program does not know {strange:?}");
    for (name, value) in secret["stringData"].as_object().unwrap() {
        assert_eq!(value, "", "{name} is filled in");
    }
}

#[test]
fn every_key_that_is_referred_to_is_there_and_used() {
    let (settings, secret) = (manifest("settings.yaml"), manifest("secret.example.yaml"));
    let offered = keys(&secret["stringData"]);
    let mut used = BTreeSet::new();
    for deployment in deployments() {
        let container = container(&deployment);
        assert_eq!(container["envFrom"][0]["configMapRef"]["name"], settings["metadata"]["name"]);
        for variable in container["env"].as_array().unwrap() {
            let from = &variable["valueFrom"]["secretKeyRef"];
            assert_eq!(from["name"], secret["metadata"]["name"], "{variable}");
            assert_eq!(from["key"], variable["name"], "{variable}");
            let key = from["key"].as_str().unwrap();
            used.insert(offered.get(key).copied().unwrap_or_else(|| panic!("the Secret has no {key}")));
        }
    }
    assert_eq!(used, offered);
}

/// What a container finds in its environment when the Secret has these keys; `None` where a pod would not start.
fn environment(deployment: &Value, secret: &BTreeMap<&str, String>) -> Option<BTreeMap<String, String>> {
    let settings = manifest("settings.yaml");
    let mut variables: BTreeMap<String, String> = settings["data"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    for variable in container(deployment)["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        match secret.get(name) {
            Some(value) => _ = variables.insert(name.to_owned(), value.clone()),
            None if variable["valueFrom"]["secretKeyRef"]["optional"] == true => {}
            None => return None,
        }
    }
    Some(variables)
}

/// A client's certificate and its key, as PEM text.
fn client() -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=client",
            "-keyout",
            "key",
            "-out",
            "cert",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    (read("cert"), read("key"))
}

/// The program starts with what each container finds, whether the Secret has all keys or those alone that the system needs.
#[test]
fn the_program_starts_in_each_environment() {
    let authority = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes/authority.pem")).unwrap();
    let needed = [
        ("KAFKA_SERVICE_URI", "127.0.0.1:1"),
        ("MONGODB_URL", "mongodb://127.0.0.1:1/app"),
        ("DATABASE_CONSUMER_URL", "mysql://u:p@127.0.0.1:1/app"),
        ("REACTIONS_DATABASE_URL", "postgresql://u:p@127.0.0.1:1/app"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
        ("ALGOLIA_APP_ID", "APP"),
        ("ALGOLIA_API_KEY", "key"),
    ];
    let (certificate, key) = client();
    let more = [
        ("KAFKA_USERNAME", "user"),
        ("KAFKA_PASSWORD", "password"),
        ("KAFKA_CA_CERT", &authority),
        ("KAFKA_CLIENT_CERT", &certificate),
        ("KAFKA_CLIENT_KEY", &key),
        ("KAFKA_CLIENT_KEY_PASSWORD", "secret"),
        ("REDIS_URL", "rediss://127.0.0.1:1/0"),
        ("REDIS_CA_CERT", &authority),
        ("ELASTICSEARCH_API_KEY", "key"),
        ("ELASTICSEARCH_CA_CERT", &authority),
        ("ELASTICSEARCH_CLIENT_CERT", &certificate),
        ("ELASTICSEARCH_CLIENT_KEY", &key),
        ("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/x"),
        ("HTTP_TOKEN", "token"),
    ];
    let secret = |pairs: &[(&'static str, &str)]| -> BTreeMap<&'static str, String> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let whole = secret(&[&needed[..], &more].concat());
    for deployment in deployments() {
        let container = container(&deployment);
        let named = |name: &str| container["env"].as_array().unwrap().iter().any(|variable| variable["name"] == name);
        let fewest = secret(&needed).into_iter().filter(|(name, _)| named(name)).collect();
        for secret in [&fewest, &whole] {
            let mut variables = environment(&deployment, secret).expect("a pod that starts");
            // A port that is free here; certificates of the nodes go with addresses that are encrypted.
            variables.insert("HTTP_PORT".to_owned(), "0".to_owned());
            if variables.contains_key("ELASTICSEARCH_CA_CERT") {
                variables.insert("ELASTICSEARCH_URL".to_owned(), "https://127.0.0.1:1".to_owned());
            }
            let folder = tempfile::tempdir().unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
            let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
            command.env_clear().envs(&variables).current_dir(folder.path()).args(args);
            let running = Running::start(command);
            running.await_events("HTTP server listening", 1);
        }
    }
}

#[test]
fn probes_and_scrapes_ask_where_the_program_listens() {
    let settings = manifest("settings.yaml");
    let port = settings["data"]["HTTP_PORT"].as_str().unwrap();
    assert_eq!(settings["data"]["HTTP_ADDR"], "0.0.0.0");
    for deployment in deployments() {
        let container = container(&deployment);
        let listening = &container["ports"][0];
        assert_eq!(listening["containerPort"].to_string(), port);
        for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"]["path"], path);
            assert_eq!(container[probe]["httpGet"]["port"], listening["name"]);
        }
        let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["prometheus.io/port"], port);
    }
}

#[test]
fn nothing_runs_as_root_or_writes_to_its_image() {
    for deployment in deployments() {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["terminationGracePeriodSeconds"], 30);
        let container = container(&deployment);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["volumeMounts"][0]["mountPath"], "/tmp", "verify sorts there");
        assert_eq!(container["image"], format!("millrace:{}", env!("CARGO_PKG_VERSION")));
    }
}
