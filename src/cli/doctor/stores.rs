//! The stores: Elasticsearch, Redis, MongoDB, the audit's database.

use std::collections::BTreeSet;

use pipeline::Sink;
use pipeline::sink::{Failure, FailureKind};

use super::{Diagnosis, Level, traces, unpublished};
use crate::config::{Config, Database, IndexStore};
use crate::run::consumer::redis;
use crate::stores::algolia;
use crate::stores::elasticsearch::{AliasState, Cluster, ElasticsearchClient, ElasticsearchSink, inspect};
use crate::stores::mongodb::Mongo;
use crate::stores::postgres::{Postgres, PostgresServer};
use crate::stores::target::Needed;
use crate::systems::{Chosen, transactions};

const ELASTICSEARCH: &str = "elasticsearch";
const REDIS: &str = "redis";
const POSTGRES: &str = "postgres";
const SQLITE: &str = "sqlite";
const MONGODB: &str = "mongodb";
const ALGOLIA: &str = "algolia";

pub(super) async fn look(config: &Config, chosen: &[Chosen]) -> Vec<Diagnosis> {
    // Two systems on one store are looked at once, and each index of Algolia by itself.
    let needed: BTreeSet<Needed> = chosen.iter().flat_map(|chosen| (chosen.system.stores)(config)).collect();
    let mut findings = Vec::new();
    for store in needed {
        match store {
            Needed::Documents => match &config.transactions.store {
                IndexStore::Elasticsearch => findings.extend(elasticsearch(config).await),
                IndexStore::Sqlite(path) => findings.push(file(path)),
            },
            Needed::Database => findings.push(database(config).await),
            Needed::Operations => findings.extend(traces::look(config).await),
            Needed::Reactions => findings.extend(unpublished::look(config).await),
            Needed::MongoDb => findings.push(documents(config).await),
            Needed::Algolia(index) => findings.push(objects(config, index).await),
        }
    }
    findings.push(marks(config).await);
    findings
}

/// The audit's database.
async fn database(config: &Config) -> Diagnosis {
    match &config.database {
        Some(Database::Postgres { url, address }) => {
            let looked = match Postgres::new(url, address, 1) {
                Ok(postgres) => postgres.inspect().await.map_err(|failure| failure.why.into_owned()),
                Err(why) => Err(why.to_string()),
            };
            looked.map_or_else(|why| Diagnosis::failure(POSTGRES, why), |server| postgres(&server, address))
        }
        Some(Database::Sqlite { path }) => file(path),
        None => Diagnosis::fault(POSTGRES, "the audit has no database", "set DATABASE_URL"),
    }
}

/// Sends Algolia a write that changes nothing, to see whether the index takes writes.
async fn objects(config: &Config, index: &str) -> Diagnosis {
    let Some(settings) = &config.algolia else {
        let advice = "set ALGOLIA_APP_ID and ALGOLIA_API_KEY";
        return Diagnosis::fault(ALGOLIA, format!("the index {index} has no application"), advice);
    };
    let asked = match algolia::AlgoliaClient::new(settings) {
        Ok(client) => client.probe(index).await.map_err(|failure| failure.why.into_owned()),
        Err(why) => Err(why.to_string()),
    };
    let known = format!("application {}, index {}{index} takes writes", settings.app_id, settings.index_prefix);
    asked.map_or_else(|why| Diagnosis::failure(ALGOLIA, why), |_| Diagnosis::ok(ALGOLIA, known))
}

async fn elasticsearch(config: &Config) -> Vec<Diagnosis> {
    let alias = &config.elasticsearch.index;
    let client = match ElasticsearchClient::new(&config.elasticsearch) {
        Ok(client) => client,
        Err(why) => return vec![Diagnosis::failure(ELASTICSEARCH, why.to_string())],
    };
    let cluster = match inspect(&client, alias).await {
        Ok(cluster) => cluster,
        Err(failure) => return vec![Diagnosis::failure(ELASTICSEARCH, failure.why)],
    };
    let mut findings = judge(&cluster, alias);
    let stands = matches!(cluster.name, AliasState::Alias { .. });
    if stands && findings.iter().all(|finding| finding.level != Level::Fault) {
        match ElasticsearchSink::new(client, alias).probe().await {
            Ok(()) => findings.push(Diagnosis::ok(ELASTICSEARCH, "takes writes")),
            Err(failure) => findings.push(Diagnosis::failure(ELASTICSEARCH, failure.why)),
        }
    }
    findings
}

fn judge(cluster: &Cluster, alias: &str) -> Vec<Diagnosis> {
    let at = |level, what: String, advice: Option<&str>| Diagnosis {
        level,
        part: ELASTICSEARCH,
        what,
        advice: advice.map(str::to_owned),
    };
    let mut findings = Vec::new();
    let version = format!("version {}", cluster.versions.join(" and "));
    let away = "a primary shard is away: see GET /_cluster/allocation/explain";
    findings.push(match (cluster.index_health.as_deref(), cluster.cluster_health.as_str()) {
        (Some("red"), _) => at(Level::Fault, format!("{version}, {alias} is red"), Some(away)),
        (Some(health), "red") => at(Level::Ok, format!("{version}, {health}; another index is red"), None),
        (None, "red") => at(Level::Note, format!("{version}, an index is red"), Some(away)),
        (health, cluster) => at(Level::Ok, format!("{version}, {}", health.unwrap_or(cluster)), None),
    });
    let ours = serde_json::from_str::<serde_json::Value>(transactions::TEMPLATE);
    let ours = ours.ok().and_then(|template| template.get("version")?.as_u64());
    findings.push(match cluster.template {
        None => at(Level::Note, format!("the index template {alias} is not there"), Some("run installs it")),
        theirs if theirs < ours => {
            at(Level::Note, format!("the index template {alias} is old"), Some("run updates it"))
        }
        Some(version) => at(Level::Ok, format!("index template {alias}, version {version}"), None),
    });
    findings.push(match &cluster.name {
        AliasState::Nothing => at(Level::Note, format!("the alias {alias} is not there"), Some("run makes it")),
        AliasState::Index => at(
            Level::Fault,
            format!("{alias} is an index, and an alias is needed under that name"),
            Some("rename the index, or set ELASTICSEARCH_INDEX to another name"),
        ),
        AliasState::Alias { indices, .. } if indices.len() > 1 => at(
            Level::Fault,
            format!("the alias {alias} stands for several indices ({})", indices.join(", ")),
            Some("leave one behind the alias, with all documents: versions are only compared within one"),
        ),
        AliasState::Alias { write_index: None, .. } => at(
            Level::Fault,
            format!("the alias {alias} has no write index"),
            Some("set is_write_index on one of its indices"),
        ),
        AliasState::Alias { filtered: false, .. } => at(
            Level::Fault,
            format!("the alias {alias} has no filter, so deleted documents show"),
            Some(r#"add it anew with the filter {"bool":{"must_not":{"term":{"_deleted":true}}}}"#),
        ),
        AliasState::Alias { write_index: Some(index), .. } => {
            at(Level::Ok, format!("alias {alias} writes to {index}"), None)
        }
    });
    let blocked = |block: &String| {
        at(Level::Fault, format!("writes are blocked ({block})"), Some("free the disk, then set it to null"))
    };
    findings.extend(cluster.blocks.iter().map(blocked));
    findings
}

fn postgres(server: &PostgresServer, address: &str) -> Diagnosis {
    let known = format!("version {} at {address}", server.version);
    match server {
        PostgresServer { is_standby: true, .. } => {
            Diagnosis::fault(POSTGRES, format!("{known} is a standby"), "name the primary in DATABASE_URL")
        }
        PostgresServer { has_tables: false, may_create: false, .. } => Diagnosis::fault(
            POSTGRES,
            format!("{known} has no tables of ours, and this user may not make them"),
            "grant CREATE on the schema",
        ),
        PostgresServer { has_tables: false, .. } => {
            Diagnosis::note(POSTGRES, format!("{known} has no tables of ours"), "run makes them")
        }
        _ => Diagnosis::ok(POSTGRES, format!("{known}, tables in place")),
    }
}

async fn documents(config: &Config) -> Diagnosis {
    let Some(settings) = &config.mongodb else {
        return Diagnosis::fault(MONGODB, "there is no database for the documents", "set MONGODB_URL");
    };
    match Mongo::new(settings).inspect().await {
        Ok(server) => Diagnosis::ok(MONGODB, format!("version {} at {}", server.version, settings.address)),
        Err(Failure { kind: FailureKind::Unavailable, why }) => {
            Diagnosis::fault(MONGODB, why, "start it, or correct MONGODB_URL")
        }
        Err(failure) => Diagnosis::failure(MONGODB, failure.why),
    }
}

fn file(path: &std::path::Path) -> Diagnosis {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let shown = path.display();
    match (path.exists(), folder) {
        (true, _) => Diagnosis::ok(SQLITE, format!("{shown}")),
        (false, Some(folder)) if !folder.is_dir() => {
            Diagnosis::fault(SQLITE, format!("the folder {} does not exist", folder.display()), "make it")
        }
        (false, _) => Diagnosis::note(SQLITE, format!("{shown} is not there"), "run makes it"),
    }
}

async fn marks(config: &Config) -> Diagnosis {
    let Some(settings) = &config.redis else {
        return Diagnosis::note(
            REDIS,
            "switched off",
            "copies are recognised from memory alone, and not after a restart",
        );
    };
    let server = match redis(config, "doctor", "doctor") {
        Ok(Some(marks)) => marks.server().await,
        Ok(None) => return Diagnosis::ok(REDIS, "switched off"),
        Err(why) => Err(why.to_string()),
    };
    match server {
        Err(why) => Diagnosis::fault(
            REDIS,
            format!("{} does not answer ({why})", settings.address),
            "check REDIS_URL; without it nothing is lost, and copies are written again",
        ),
        Ok(server) if !["", "noeviction"].contains(&server.eviction.as_str()) => Diagnosis::note(
            REDIS,
            format!("version {}, maxmemory-policy {}", server.version, server.eviction),
            "marks may be evicted, and copies are then written again; noeviction keeps them",
        ),
        Ok(server) => Diagnosis::ok(REDIS, format!("version {} at {}", server.version, settings.address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems;

    fn cluster(name: AliasState) -> Cluster {
        let alias = |name| Cluster {
            versions: vec!["9.2.0".into()],
            index_health: Some("green".into()),
            cluster_health: "green".into(),
            name,
            template: Some(2),
            blocks: Vec::new(),
        };
        alias(name)
    }

    fn worst(cluster: &Cluster) -> Level {
        let rank = |finding: &Diagnosis| finding.level as u8;
        judge(cluster, "t").into_iter().max_by_key(rank).unwrap().level
    }

    #[test]
    fn an_alias_needs_a_write_index_and_its_filter() {
        let alias = |write_index: Option<&str>, filtered| {
            let indices = vec!["t-1".to_owned()];
            worst(&cluster(AliasState::Alias { indices, write_index: write_index.map(str::to_owned), filtered }))
        };
        let indices = vec!["t-1".to_owned(), "t-2".to_owned()];
        let two = AliasState::Alias { indices, write_index: Some("t-2".to_owned()), filtered: true };
        assert_eq!(worst(&cluster(two)), Level::Fault);
        assert_eq!(alias(Some("t-1"), true), Level::Ok);
        assert_eq!(alias(None, true), Level::Fault);
        assert_eq!(alias(Some("t-1"), false), Level::Fault);
        assert_eq!(worst(&cluster(AliasState::Index)), Level::Fault);
        assert_eq!(worst(&cluster(AliasState::Nothing)), Level::Note);
    }

    #[test]
    fn blocks_and_red_are_faults_and_an_old_template_is_a_note() {
        let good =
            cluster(AliasState::Alias { indices: vec!["t-1".into()], write_index: Some("t-1".into()), filtered: true });
        assert_eq!(worst(&Cluster { index_health: Some("red".into()), ..good.clone() }), Level::Fault);
        let foreign = Cluster { cluster_health: "red".into(), ..good.clone() };
        assert_eq!(worst(&foreign), Level::Ok);
        assert_eq!(worst(&Cluster { index_health: None, ..foreign }), Level::Note);
        assert_eq!(worst(&Cluster { blocks: vec!["t-1: index.blocks.write".into()], ..good.clone() }), Level::Fault);
        assert_eq!(worst(&Cluster { template: Some(1), ..good }), Level::Note);
    }

    #[tokio::test]
    async fn mongodb_is_looked_at_where_it_is_needed() {
        let config = |variables: &[(&str, &str)]| {
            Config::from_variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
                .unwrap()
        };
        let none = config(&[]);
        let postgres = config(&[("DATABASE_URL", "postgresql://h/x")]);
        for (config, systems, expected) in [
            (&none, &["transactions", "transactions-audit"][..], false),
            (&none, &["transactions", "users"], true),
            (&none, &["reviews"], true),
            (&postgres, &["reviews", "transactions-algolia"], false),
            (&postgres, &["reviews", "ratings"], true),
        ] {
            let needed = |name: &&str| (systems::find(name).unwrap().stores)(config).contains(&Needed::MongoDb);
            assert_eq!(systems.iter().any(needed), expected, "{systems:?}");
        }
        let missing = documents(&postgres).await;
        assert_eq!((missing.level, missing.advice.as_deref()), (Level::Fault, Some("set MONGODB_URL")));
    }

    #[test]
    fn a_database_must_be_writable() {
        let server = PostgresServer { version: "17".into(), has_tables: true, may_create: true, is_standby: false };
        assert_eq!(postgres(&server, "h").level, Level::Ok);
        assert_eq!(postgres(&PostgresServer { has_tables: false, ..server.clone() }, "h").level, Level::Note);
        let neither = PostgresServer { has_tables: false, may_create: false, ..server.clone() };
        assert_eq!(postgres(&neither, "h").level, Level::Fault);
        assert_eq!(postgres(&PostgresServer { is_standby: true, ..server }, "h").level, Level::Fault);
    }
}
