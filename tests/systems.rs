//! Every place that names the systems, against the table of the program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "in a test a panic is the answer"
)]

use std::collections::BTreeSet;

use millrace::config::Config;
use millrace::systems::{ConsumerGroup, Definition, SYSTEMS};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap()
}

/// The first cells of the table under this heading, and the second ones.
fn table(text: &str, heading: &str) -> Vec<(String, String)> {
    let rows = text.lines().skip_while(|line| *line != heading).skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2].trim_matches('`').to_owned())).collect()
}

#[test]
fn the_readme_has_every_system_with_its_topics() {
    let config = Config::from_variables([]).unwrap();
    let mut topic = String::new();
    let rows: Vec<(String, String)> = table(&read("README.md"), "| system | reads | writes |")
        .into_iter()
        .map(|(system, reads)| {
            if reads != "the same" {
                topic = reads;
            }
            (system, topic.clone())
        })
        .collect();
    let systems = SYSTEMS.iter().map(|system| {
        let topics = system.topics(&config);
        // So many are a page of their own.
        let many = || format!("{} topics of [events](docs/events.md)", topics.len());
        (system.name.to_owned(), if topics.len() > 2 { many() } else { topics.join(", ") })
    });
    assert_eq!(rows, systems.collect::<Vec<_>>());
}

#[test]
fn each_system_has_its_place_in_compose_and_kubernetes() {
    let compose = read("docker-compose.yml");
    let kubernetes = read("deploy/kubernetes/kustomization.yaml");
    for Definition { name, service, .. } in SYSTEMS {
        let Some(service) = service else { continue };
        let file = format!("deploy/kubernetes/{name}.yaml");
        assert!(kubernetes.contains(&format!("{name}.yaml")), "{name}");
        assert!(read(&file).contains(&format!("args: [run, {name}]")), "{file}");
        assert!(compose.contains(&format!("\n  {service}:\n")), "{name}");
    }
}

#[test]
fn groups_and_names_are_each_used_once() {
    let config = Config::from_variables([]).unwrap();
    let names: BTreeSet<&str> = SYSTEMS.iter().map(|system| system.name).collect();
    assert_eq!(names.len(), SYSTEMS.len());
    let groups: Vec<ConsumerGroup> = SYSTEMS.iter().flat_map(|system| (system.groups)(&config)).collect();
    let ids: BTreeSet<&str> = groups.iter().map(|group| group.id.as_str()).collect();
    let consumers: BTreeSet<&str> = groups.iter().map(|group| group.consumer).collect();
    assert_eq!((ids.len(), consumers.len()), (groups.len(), groups.len()));
}

#[test]
fn each_group_reads_a_topic_and_is_known_by_its_system() {
    let config = Config::from_variables([]).unwrap();
    for system in SYSTEMS {
        let groups = (system.groups)(&config);
        assert!(!groups.is_empty(), "{}", system.name);
        // Where documents are compared with a log, one group says how far it was read.
        assert!(!system.documents || groups.len() == 1, "{}", system.name);
        for group in groups {
            let named = !group.topics.is_empty() && group.topics.iter().all(|name| !name.is_empty());
            assert!(named && !group.id.is_empty(), "{}", group.consumer);
            assert!(group.consumer.starts_with(system.name), "{}", group.consumer);
        }
    }
}

#[test]
fn a_projection_reads_what_its_primary_reads() {
    let config = Config::from_variables([]).unwrap();
    for system in SYSTEMS {
        let Some(projection) = &system.projection else { continue };
        let primary = SYSTEMS.iter().find(|other| other.name == projection.of).unwrap();
        assert_eq!(system.topics(&config), primary.topics(&config), "{}", system.name);
        assert!(primary.projection.is_none() && system.generator.is_none(), "{}", system.name);
    }
}
