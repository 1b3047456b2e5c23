//! The table of variables: every setting of the program, once.
//!
//! The look-up, the check of keys in the file, the `*_FILE` variants of secrets and `.env.example` are all made from it.
//! It guarantees that keys and environment names are unique within one system.

/// One setting: where it may come from and what it is when it comes from nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its key in the configuration file.
    pub key: &'static str,
    /// Its names in the environment; the first that is set wins.
    pub env: &'static [&'static str],
    /// The value when nothing is set.
    pub default: Option<&'static str>,
    /// A secret is never printed, and may come from the file that `NAME_FILE` names.
    pub secret: bool,
    /// Set but empty means something else than not set.
    pub empty_is_a_value: bool,
    /// The one system that it concerns.
    pub system: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
}

impl Variable {
    const fn new(key: &'static str, env: &'static [&'static str], help: &'static str) -> Self {
        Self { key, env, default: None, secret: false, empty_is_a_value: false, system: None, help }
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn empty_is_a_value(mut self) -> Self {
        self.empty_is_a_value = true;
        self
    }

    const fn of(mut self, system: &'static str) -> Self {
        self.system = Some(system);
        self
    }

    /// Connections are less secure where somebody sets it and it is not read; it has no file variant.
    pub(super) fn secures(&self) -> bool {
        !self.secret && (self.key.ends_with("_cert") || self.key.ends_with(".username"))
    }

    /// The name that messages use for it.
    pub fn name(&self) -> &'static str {
        self.env.first().copied().unwrap_or(self.key)
    }
}

const fn var(key: &'static str, env: &'static [&'static str], help: &'static str) -> Variable {
    Variable::new(key, env, help)
}

/// Every setting there is.
#[rustfmt::skip]
pub const VARIABLES: &[Variable] = &[
    var("run.systems", &["MILLRACE_SYSTEMS"], "The systems that `millrace run` runs when none is named, separated by commas.").or("transactions"),

    var("kafka.bootstrap_servers", &["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS", "KAFKA_SERVICE_URI"], "The brokers, host:port, separated by commas.").or("localhost:9092"),
    var("kafka.security_protocol", &["KAFKA_SECURITY_PROTOCOL"], "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Not set: SASL_SSL with a user name, SSL with a CA certificate, else PLAINTEXT."),
    var("kafka.sasl_mechanism", &["KAFKA_SASL_MECHANISM"], "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or OAUTHBEARER with tokens from KAFKA_OAUTH_TOKEN_URL.").or("PLAIN"),
    var("kafka.username", &["KAFKA_USERNAME"], "The SASL user name; with OAUTHBEARER the client's id."),
    var("kafka.password", &["KAFKA_PASSWORD"], "The SASL password; with OAUTHBEARER the client's secret.").secret(),
    var("kafka.oauth_token_url", &["KAFKA_OAUTH_TOKEN_URL"], "Where OAUTHBEARER gets its tokens, by client credentials (OIDC)."),
    var("kafka.oauth_scope", &["KAFKA_OAUTH_SCOPE"], "The scope of those tokens, where the endpoint wants one."),
    var("kafka.oauth_extensions", &["KAFKA_OAUTH_EXTENSIONS"], "Extensions that the brokers want beside them: name=value, separated by commas."),
    var("kafka.ca_cert", &["KAFKA_CA_CERT"], "The certificate authority of the brokers: a path, or the PEM text itself."),
    var("kafka.client_cert", &["KAFKA_CLIENT_CERT"], "The certificate, with its chain, by which the brokers know this client: a path, or the PEM text itself."),
    var("kafka.client_key", &["KAFKA_CLIENT_KEY"], "Its private key: a path, or the PEM text itself.").secret(),
    var("kafka.client_key_password", &["KAFKA_CLIENT_KEY_PASSWORD"], "The password of that key, where it has one.").secret(),
    var("kafka.client_id", &["KAFKA_CLIENT_ID"], "The client id that brokers see.").or("millrace"),
    var("kafka.session_timeout_ms", &["CONSUMER_SESSION_TIMEOUT"], "After this many milliseconds without a heartbeat a consumer loses its partitions.").or("30000"),
    var("kafka.heartbeat_interval_ms", &["CONSUMER_HEARTBEAT_INTERVAL"], "Milliseconds between heartbeats; less than the session timeout.").or("3000"),
    var("kafka.stuck_seconds", &["CONSUMER_STUCK_SECONDS"], "After this many seconds a partition of which nothing is fetched, while others are read, is assigned anew; after as many again the process ends with an error. 0: never.").or("300"),
    var("kafka.state_topic", &["KAFKA_STATE_TOPIC"], "The topic where losses are written down; compacted, and shared by all systems.").or("millrace.state"),
    var("kafka.topic_replication", &["TOPIC_REPLICATION"], "Replication factor of the topics that millrace creates. Not set: the cluster's default."),

    var("batch.size", &["CONSUMER_BATCH_SIZE"], "Records in a batch, at most.").or("10"),
    var("batch.timeout", &["CONSUMER_BATCH_TIMEOUT"], "Seconds after its first record until a batch is cut, full or not.").or("5.0"),
    var("batch.bytes", &["CONSUMER_BATCH_BYTES"], "Size of a batch, at most, such as 8MiB; never more than a batch's share of the memory budget.").or("8MiB"),

    var("retry.attempts", &["MAX_RETRY_ATTEMPTS"], "How often a record is tried again that fails while others pass; then it is a dead letter. Rejects are not tried again, and outages without limit. One variable for all systems; the default of database is another.").or("3"),
    var("retry.delay_ms", &["RETRY_DELAY_MS"], "Milliseconds before the first retry. One variable for all systems; the default of database is another.").or("1000"),

    var("engine.memory_budget", &["MEMORY_BUDGET"], "Bytes of records held from fetch to write, such as 256MiB; at least 16MiB. Not set, where the control group has a memory limit: a quarter of that, if it is less than the default.").or("256MiB"),
    var("engine.max_in_flight", &["CONSUMER_MAX_IN_FLIGHT"], "Batches written at the same time, at most.").or("4"),
    var("engine.adaptive", &["CONSUMER_ADAPTIVE"], "Whether the size of batches and their number in flight are tuned to the store while running; CONSUMER_BATCH_SIZE and CONSUMER_MAX_IN_FLIGHT are where that begins.").or("false"),
    var("engine.adaptive_max_batch_size", &["CONSUMER_ADAPTIVE_MAX_BATCH_SIZE"], "Records in a batch, at most, where it is tuned; never less than CONSUMER_BATCH_SIZE.").or("5000"),
    var("engine.adaptive_max_in_flight", &["CONSUMER_ADAPTIVE_MAX_IN_FLIGHT"], "Batches written at the same time, at most, where that is tuned; never less than CONSUMER_MAX_IN_FLIGHT.").or("8"),
    var("engine.max_rate", &["CONSUMER_MAX_RATE"], "What each system of a process passes on in a second, at most: a number of records such as 5000, or bytes such as 20MB or 20MiB. Not set: as much as the store takes."),

    var("elasticsearch.url", &["ELASTICSEARCH_URL"], "The nodes, separated by commas.").or("http://localhost:9200"),
    var("elasticsearch.index", &["ELASTICSEARCH_INDEX"], "The alias that is written to.").or("transactions"),
    var("elasticsearch.username", &["ELASTICSEARCH_USERNAME"], "The user name, for basic authentication."),
    var("elasticsearch.password", &["ELASTICSEARCH_PASSWORD"], "The password, for basic authentication.").secret(),
    var("elasticsearch.api_key", &["ELASTICSEARCH_API_KEY"], "An encoded API key, instead of user name and password.").secret(),
    var("elasticsearch.ca_cert", &["ELASTICSEARCH_CA_CERT"], "The certificate authority of the nodes: a path, or the PEM text itself."),
    var("elasticsearch.client_cert", &["ELASTICSEARCH_CLIENT_CERT"], "The certificate, with its chain, by which the nodes know this client: a path, or the PEM text itself."),
    var("elasticsearch.client_key", &["ELASTICSEARCH_CLIENT_KEY"], "Its private key, without a password: a path, or the PEM text itself.").secret(),
    var("elasticsearch.gzip", &["ELASTICSEARCH_GZIP"], "Compress requests.").or("false"),

    var("redis.url", &["REDIS_URL"], "Where marks of processed messages are kept; rediss:// for TLS. Empty or `none`: in memory only.").or("redis://localhost:6379/0").secret().empty_is_a_value(),
    var("redis.host", &["REDIS_HOST"], "The host. Ignored where REDIS_URL is set in the same place or a stronger one."),
    var("redis.port", &["REDIS_PORT"], "The port. Ignored where REDIS_URL is set in the same place or a stronger one."),
    var("redis.password", &["REDIS_PASSWORD"], "The password. Ignored where REDIS_URL is set in the same place or a stronger one.").secret(),
    var("redis.db", &["REDIS_DB"], "The database number. Ignored where REDIS_URL is set in the same place or a stronger one."),
    var("redis.ca_cert", &["REDIS_CA_CERT"], "The certificate authority of a rediss:// server: a path, or the PEM text itself."),

    var("mongodb.url", &["MONGODB_URL", "DATABASE_URL_ONLINE"], "The MongoDB database of transactions-mongo, users and ratings, and of the version store of Algolia: mongodb:// or mongodb+srv://.").secret(),
    var("database.url", &["DATABASE_URL"], "The database of the audit: postgresql://user:password@host:5432/name or another form that psql takes, also behind a pool of transactions (PgBouncer), or sqlite:PATH. Certificates are checked with ?sslmode=verify-full alone; without sslmode it is prefer, which encrypts only where the server offers it.").secret(),

    var("database.consumer_url", &["DATABASE_CONSUMER_URL"], "The database that database writes to: mysql://, mariadb:// or postgresql://user:password@host:port/name. For MySQL with ?ssl-mode=DISABLED, PREFERRED (the default), REQUIRED or VERIFY_IDENTITY, and ssl-ca. Not set: the parts that follow, of a MySQL.").secret().of("database"),
    var("database.host", &["DB_HOST"], "The host, when there is no DATABASE_CONSUMER_URL.").or("localhost").of("database"),
    var("database.port", &["DB_PORT"], "The port, when there is no DATABASE_CONSUMER_URL.").or("3306").of("database"),
    var("database.user", &["DB_USER"], "The user, when there is no DATABASE_CONSUMER_URL.").or("root").of("database"),
    var("database.password", &["DB_PASSWORD"], "The password, when there is no DATABASE_CONSUMER_URL.").secret().of("database"),
    var("database.name", &["DB_NAME"], "The name of the database, when there is no DATABASE_CONSUMER_URL.").or("adelante_sumerce").of("database"),
    var("database.topic", &["TOPIC_DB_OPERATIONS"], "The topic of database operations.").or("db-operations-buffer").of("database"),
    var("database.group", &["KAFKA_GROUP_ID"], "The consumer group of database.").or("database-writer-group").of("database"),
    var("database.kafka.client_id", &["KAFKA_CLIENT_ID"], "The client id that brokers see of database, when it is not set for all.").or("database-consumer").of("database"),
    var("database.retry.attempts", &["MAX_RETRY_ATTEMPTS"], "Retries of an operation that waits for another, such as a parent; then it is a dead letter.").or("5").of("database"),
    var("database.retry.delay_ms", &["RETRY_DELAY_MS"], "Milliseconds before the first of these retries; each is twice as long as the one before.").or("5000").of("database"),
    var("database.health_check_interval_ms", &["DB_HEALTH_CHECK_INTERVAL"], "Milliseconds between two looks whether the database is well.").or("10000").of("database"),
    var("database.reconnect_interval_ms", &["DB_RECONNECT_INTERVAL"], "Milliseconds between two tries to reach it while it is not.").or("5000").of("database"),
    var("database.entities", &["DATABASE_ENTITIES"], "Entities and their tables, separated by commas; with User=Users(id name) only these columns may be written.").or("Business=Businesses,User=Users,Finance=Finances,BusinessModel=BusinessModels,WorkTeam=WorkTeams,Rating=Ratings,SocialEnvironmentalImpact=SocialEnvironmentalImpacts").of("database"),
    var("database.version_column", &["DATABASE_VERSION_COLUMN"], "The column that counts the changes of a row, for updates that expect a version.").or("version").of("database"),
    var("database.create_tables", &["DATABASE_CREATE_TABLES"], "Whether the tables of the seven entities that ship with the program are made where they are missing.").or("false").of("database"),
    var("database.cache", &["DATABASE_CACHE"], "What becomes of a row in Redis that is written: delete, set (its JSON, as it was committed), or off. Where neither this nor a Redis is set it is off.").or("delete").of("database"),
    var("database.cache_prefix", &["DATABASE_CACHE_PREFIX"], "What the keys of rows in Redis begin with; entity and id follow, as in business:42.").or("").of("database"),
    var("database.cache_ttl_seconds", &["DATABASE_CACHE_TTL_SECONDS"], "Seconds for which a row that is set stays in Redis.").or("3600").of("database"),
    var("database.results_topic", &["DATABASE_RESULTS_TOPIC"], "A topic that is told what became of each operation. Not set: none is.").of("database"),
    var("database.cache_grace_ms", &["DATABASE_CACHE_GRACE_MS"], "Milliseconds after a write for which readers keep nothing of the row: more than the replicas lag that they read from.").or("0").of("database"),

    var("algolia.app_id", &["ALGOLIA_APP_ID"], "The Algolia application."),
    var("algolia.api_key", &["ALGOLIA_API_KEY"], "Its API key, with the rights addObject, deleteObject, search and browse.").secret(),
    var("algolia.url", &["ALGOLIA_URL"], "Base URLs, separated by commas, tried in this order instead of the application's hosts (for tests)."),
    var("algolia.index_prefix", &["ALGOLIA_INDEX_PREFIX"], "Put before the name of every index, such as dev_.").or(""),

    var("transactions.topic", &["KAFKA_TRANSACTIONS_TOPIC"], "The topic of transaction events.").or("transactions").of("transactions"),
    var("transactions.group", &["KAFKA_CONSUMER_GROUP"], "The consumer group that indexes them.").or("transaction_indexer").of("transactions"),
    var("transactions.store", &["TRANSACTIONS_STORE"], "Where documents go: elasticsearch, or sqlite:PATH for a file.").or("elasticsearch").of("transactions"),
    var("transactions.mongo", &["CONSUMER_ENABLE_MONGO"], "Whether `run transactions` brings transactions-mongo along.").or("false").of("transactions"),
    var("transactions.algolia", &["CONSUMER_ENABLE_ALGOLIA"], "Whether `run transactions` brings transactions-algolia along.").or("false").of("transactions"),
    var("transactions.audit", &["CONSUMER_ENABLE_AUDIT_DB"], "Whether `run transactions` brings transactions-audit along. Not set: when there is a DATABASE_URL.").of("transactions"),

    var("users.topic", &["KAFKA_USERS_TOPIC"], "The topic of Clerk's events.").or("clerk-user-events").of("users"),
    var("users.group", &["KAFKA_USERS_GROUP"], "The consumer group of users.").or("user-sync").of("users"),
    var("users.erase_deleted", &["USERS_ERASE_DELETED"], "Whether a deleted user or membership keeps id, times and version alone, and not the values that were there, such as the address that a unique index then refuses to somebody who registers again.").or("false").of("users"),

    var("reviews.topic", &["KAFKA_REVIEWS_TOPIC"], "The topic of review events, which reviews and ratings read.").or("review-events").of("reviews"),
    var("reviews.group", &["KAFKA_REVIEWS_GROUP"], "The consumer group of reviews.").or("review-algolia-update").of("reviews"),
    var("ratings.cache_prefix", &["RATINGS_CACHE_PREFIX"], "What the keys of ratings in Redis begin with; the creator's id and :rating follow.").or("creator:").of("ratings"),
    var("ratings.retry", &["RATINGS_RETRY_SECONDS"], "How often a rating is tried again that a document refuses, in MongoDB, Redis or Algolia.").or("60").of("ratings"),
    var("ratings.group", &["KAFKA_RATINGS_GROUP"], "The consumer group of ratings.").or("review-calculate").of("ratings"),

    var("reactions.database_url", &["REACTIONS_DATABASE_URL"], "The PostgreSQL of reactions, as DATABASE_URL. Not set: that of DATABASE_URL.").secret().of("reactions"),
    var("reactions.schema", &["REACTIONS_SCHEMA"], "The schema of its tables, which is made where it is missing.").or("reactions").of("reactions"),
    var("reactions.group", &["KAFKA_REACTIONS_GROUP"], "What the consumer groups of reactions begin with; .subscription, .payment, .content and .media follow.").or("event-reactions").of("reactions"),
    var("reactions.emit", &["REACTIONS_EMIT"], "Whether events lead to others, and to files that are deleted; false for a replay or a rebuild.").or("true").of("reactions"),
    var("reactions.relay", &["REACTIONS_RELAY"], "Whether this program publishes what stands in the outbox; false where Debezium does.").or("true").of("reactions"),
    var("reactions.listen_url", &["REACTIONS_LISTEN_URL"], "The address of that PostgreSQL itself where REACTIONS_DATABASE_URL leads to a pool of transactions: new rows of the outbox are announced by NOTIFY, and the relay listens there. The same for all processes. Not set: the relay looks twenty times a second.").secret().of("reactions"),
    var("reactions.retention_days", &["REACTIONS_RETENTION"], "Days for which marks and what was published of the outbox are kept; more than the topics and their dead letters keep records.").or("90").of("reactions"),
    var("reactions.media_url", &["REACTIONS_MEDIA_URL"], "Where the files of media are: file:///FOLDER or s3://BUCKET/PREFIX. What S3 asks for is read from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT and the like. Not set: files are not deleted, and what is to be deleted waits.").secret().of("reactions"),
    var("reactions.cloud_source", &["REACTIONS_CLOUD_SOURCE"], "The ce_source of what is published, which then has the headers of a CloudEvent. Not set: without them.").of("reactions"),

    var("events.topic_prefix", &["EVENTS_TOPIC_PREFIX"], "What stands before the names of the events' topics, such as staging. (with its dot)."),

    var("purge.tombstone_days", &["TOMBSTONE_DAYS"], "Days after which `millrace purge` removes the tombstone of a deleted document; more than the topics keep records.").or("90"),

    var("http.addr", &["HTTP_ADDR"], "The address for health and metrics; 0.0.0.0 in a container.").or("127.0.0.1"),
    var("http.port", &["HTTP_PORT"], "The port for health and metrics; 0 picks a free one and logs it.").or("8080"),
    var("http.token", &["HTTP_TOKEN"], "What `POST /continue/SYSTEM` has to show, as Authorization: Bearer. Off loopback it is refused without.").secret(),
    var("http.hosts", &["HTTP_HOSTS"], "Names under which such a request may reach this process, besides loopback and its address, separated by commas."),

    var("log.level", &["LOG_LEVEL"], "error, warn, info, debug or trace; also per target, such as info,pipeline=debug.").or("info"),
    var("log.format", &["LOG_FORMAT"], "json or pretty. Not set: pretty on a terminal, else json."),
    var("log.dir", &["LOG_DIR"], "A folder for combined.log and, of errors alone, error.log, in JSON, besides what is logged on stderr."),
];

/// The key that a wrong one most probably stands for.
pub fn nearest_key(wrong: &str) -> Option<&'static str> {
    let same_name = |variable: &&Variable| variable.env.iter().any(|name| name.eq_ignore_ascii_case(wrong));
    if let Some(variable) = VARIABLES.iter().find(same_name) {
        return Some(variable.key);
    }
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    VARIABLES
        .iter()
        .map(|variable| {
            let whole = strsim::normalized_damerau_levenshtein(wrong, variable.key);
            // A key in the wrong section is likelier meant than one that merely looks alike.
            let misplaced = if last(wrong) == last(variable.key) { 0.3 } else { 0.0 };
            (whole + misplaced, variable.key)
        })
        .filter(|(score, _)| *score > 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

/// The text of `.env.example`: every variable with its help and its default.
#[cfg(test)]
fn env_example() -> String {
    let mut text = String::from(
        "# Settings of millrace. Copy to .env and change what differs; what is commented out shows the default.\n\
         # The command line wins over the environment, that over .env, that over millrace.toml.\n\
         # Every variable marked as a secret has a NAME_FILE variant that names a file to read it from.\n\
         # Put values with a dollar sign, a space or a # in single quotes.\n\
         # Mount this file for `docker run`, and do not give it by --env-file, which keeps the quotes.\n",
    );
    let mut section = "";
    for variable in VARIABLES {
        let own = variable.key.split('.').next().unwrap_or_default();
        if own != section {
            section = own;
            text.push_str(&format!("\n# ---- {section}\n"));
        }
        let mut notes = String::new();
        if let Some((_, others @ [_, ..])) = variable.env.split_first() {
            notes.push_str(&format!(" Also: {}.", others.join(", ")));
        }
        if variable.secret {
            notes.push_str(" (secret)");
        }
        text.push_str(&format!("# {}{notes}\n", variable.help));
        text.push_str(&format!("#{}={}\n", variable.name(), variable.default.unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_and_names_are_unique() {
        let keys: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.key).collect();
        assert_eq!(keys.len(), VARIABLES.len());
        let mut seen = BTreeSet::new();
        for variable in VARIABLES {
            assert!(!variable.env.is_empty(), "{} has no name in the environment", variable.key);
            for name in variable.env {
                assert!(seen.insert((variable.system, *name)), "{name} stands twice");
            }
        }
    }

    #[test]
    fn the_example_shows_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
        if std::env::var_os("UPDATE_EXAMPLES").is_some() {
            std::fs::write(path, env_example()).unwrap();
        }
        let shipped = std::fs::read_to_string(path).unwrap();
        assert_eq!(shipped, env_example(), "write it anew with UPDATE_EXAMPLES=1 cargo test --lib config");
    }

    #[test]
    fn a_wrong_key_finds_its_neighbour() {
        assert_eq!(nearest_key("kafka.bootstrap_server"), Some("kafka.bootstrap_servers"));
        assert_eq!(nearest_key("KAFKA_BROKERS"), Some("kafka.bootstrap_servers"));
        assert_eq!(nearest_key("bootstrap_servers"), Some("kafka.bootstrap_servers"));
        assert_eq!(nearest_key("batch.sise"), Some("batch.size"));
        assert_eq!(nearest_key("xyzzy"), None);
    }
}
