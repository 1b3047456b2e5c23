//! The parameters that an address may carry, for each kind of address.
//!
//! It guarantees that no library is handed a parameter which it would ignore or log, and that no wish for security is
//! ignored: what cannot be honoured is refused. Messages name parameters and never show their values.

use url::Url;
use url::form_urlencoded;

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// The library does what it asks for.
    Honoured,
    /// It asks for nothing that matters here: ignored, and named by `doctor`.
    Harmless,
    /// Harmless with one of these values, else refused, with what to do.
    HarmlessAs(&'static [&'static str], &'static str),
    /// Refused, with what to do.
    Refused(&'static str),
}

/// Names of one rule, in lower case.
type Rules = [(&'static [&'static str], Rule)];

use Rule::{Harmless, HarmlessAs, Honoured, Refused};

const NOT_HONOURED: &str = "this program cannot honour it, and would connect with less security than it asks for";

/// Of libpq ("Parameter Key Words"), JDBC, Prisma and others; sqlx honours a part of them.
const POSTGRES: &Rules = &[
    (
        &[
            "sslmode",
            "ssl-mode",
            "sslrootcert",
            "ssl-root-cert",
            "ssl-ca",
            "sslcert",
            "ssl-cert",
            "sslkey",
            "ssl-key",
            "host",
            "hostaddr",
            "port",
            "dbname",
            "user",
            "password",
            "options",
            "statement-cache-capacity",
        ],
        Honoured,
    ),
    (
        &[
            "application_name",
            "applicationname",
            "fallback_application_name",
            "client_encoding",
            "connect_timeout",
            "connecttimeout",
            "sockettimeout",
            "logintimeout",
            "keepalives",
            "keepalives_idle",
            "keepalives_interval",
            "keepalives_count",
            "tcp_user_timeout",
            "tcpkeepalive",
            "target_session_attrs",
            "load_balance_hosts",
            "sslcompression",
            "sslsni",
            "connection_limit",
            "pool_timeout",
            "pool_size",
            "pgbouncer",
            "binary_parameters",
            "preparethreshold",
            "reconnect",
            "sslkeylogfile",
        ],
        Harmless,
    ),
    (&["gssencmode"], HarmlessAs(&["disable", "prefer"], NOT_HONOURED)),
    (&["channel_binding", "channelbinding"], HarmlessAs(&["disable", "prefer"], NOT_HONOURED)),
    (&["sslnegotiation"], HarmlessAs(&["postgres"], NOT_HONOURED)),
    (
        &[
            "sslpassword",
            "sslcrl",
            "sslcrldir",
            "sslcertmode",
            "ssl_min_protocol_version",
            "ssl_max_protocol_version",
            "requirepeer",
            "require_auth",
            "requiressl",
            "krbsrvname",
            "gsslib",
            "gssdelegation",
            "scram_client_key",
            "scram_server_key",
            "sslfactory",
            "sslhostnameverifier",
        ],
        Refused(NOT_HONOURED),
    ),
    (&["schema", "currentschema", "search_path"], Refused("write options=-c search_path=NAME instead")),
    (&["passfile", "service", "servicefile"], Refused("files of settings are not read: write what they say")),
];

/// Of redis-py, Celery, Lettuce and others; the client honours `protocol`, and `db` is put into the path.
const REDIS: &Rules = &[
    (&["protocol", "db"], Honoured),
    (
        &[
            "client_name",
            "clientname",
            "socket_timeout",
            "socket_connect_timeout",
            "socket_keepalive",
            "timeout",
            "connect_timeout",
            "max_connections",
            "health_check_interval",
            "retry_on_timeout",
            "decode_responses",
            "pool_size",
            "family",
            "dial_timeout",
            "read_timeout",
            "write_timeout",
        ],
        Harmless,
    ),
    (&["ssl_cert_reqs"], HarmlessAs(&["required", "cert_required"], "certificates are always checked")),
    (&["ssl", "tls"], Refused("write rediss:// for TLS")),
    (&["username", "password"], Refused("write it in front of the host: redis://USER:PASSWORD@HOST")),
];

/// Of the MongoDB specification ("URI Options"); the driver refuses what it cannot honour.
const MONGODB: &Rules = &[
    (
        &[
            "appname",
            "authmechanism",
            "authmechanismproperties",
            "authsource",
            "compressors",
            "connecttimeoutms",
            "directconnection",
            "heartbeatfrequencyms",
            "journal",
            "loadbalanced",
            "localthresholdms",
            "maxconnecting",
            "maxidletimems",
            "maxpoolsize",
            "maxstalenessseconds",
            "minpoolsize",
            "readconcernlevel",
            "readpreference",
            "readpreferencetags",
            "replicaset",
            "retryreads",
            "retrywrites",
            "servermonitoringmode",
            "serverselectiontimeoutms",
            "serverselectiontryonce",
            "sockettimeoutms",
            "srvmaxhosts",
            "srvservicename",
            "ssl",
            "tls",
            "tlscafile",
            "tlscertificatekeyfile",
            "tlscertificatekeyfilepassword",
            "uuidrepresentation",
            "w",
            "waitqueuetimeoutms",
            "wtimeoutms",
            "zlibcompressionlevel",
        ],
        Honoured,
    ),
    (
        &[
            "tlsinsecure",
            "tlsallowinvalidcertificates",
            "tlsallowinvalidhostnames",
            "sslinvalidhostnameallowed",
            "sslallowinvalidcertificates",
            "sslallowinvalidhostnames",
        ],
        HarmlessAs(&["false"], "certificates are always checked: name their authority with tlsCAFile"),
    ),
];

/// An address that was looked through.
#[derive(Debug, Default)]
struct Sifted {
    /// The parameters that the library is handed.
    kept: Vec<(String, String)>,
    /// Names of those that are left out.
    ignored: Vec<String>,
}

fn sift(query: &str, rules: &Rules) -> Result<Sifted, String> {
    let mut sifted = Sifted::default();
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let lower = name.to_ascii_lowercase();
        if seen.contains(&lower) && lower != "readpreferencetags" && lower != "options" {
            return Err(format!("its parameter {} is given twice: keep one", shown(&name)));
        }
        let rule = rules.iter().find(|(names, _)| names.contains(&lower.as_str())).map(|(_, rule)| *rule);
        match rule {
            Some(Honoured) => sifted.kept.push((name.clone().into_owned(), value.into_owned())),
            Some(Harmless) => sifted.ignored.push(name.clone().into_owned()),
            Some(HarmlessAs(values, _)) if values.contains(&value.to_ascii_lowercase().as_str()) => {
                sifted.ignored.push(name.clone().into_owned());
            }
            Some(HarmlessAs(_, why) | Refused(why)) => {
                return Err(format!("its parameter {} is refused: {why}", shown(&name)));
            }
            // `options[NAME]` of sqlx.
            None if std::ptr::eq(rules, POSTGRES) && lower.starts_with("options[") => {
                sifted.kept.push((name.clone().into_owned(), value.into_owned()));
            }
            None => return Err(format!("its parameter {} is not known: take it out", shown(&name))),
        }
        seen.push(lower);
    }
    Ok(sifted)
}

/// A name that looks like one; anything else may be a part of a password that was not encoded.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    let fits = (1..=40).contains(&name.len()) && name.chars().all(plain);
    if fits { format!("`{name}`") } else { "(its name is not shown)".to_owned() }
}

fn put(url: &mut Url, kept: &[(String, String)]) {
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
}

/// Leaves in the address of a PostgreSQL database what sqlx honours. `ssl`, as many drivers have it, is read as `sslmode`.
///
/// # Errors
/// The parameter that is refused, and what to do.
pub(super) fn sift_postgres(url: &mut Url) -> Result<(), String> {
    let query = url.query().unwrap_or_default().to_owned();
    let (ssl, rest): (Vec<_>, Vec<_>) = form_urlencoded::parse(query.as_bytes()).partition(|(name, _)| name == "ssl");
    let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let mut kept = sift(&rest, POSTGRES)?.kept;
    let mode_is_set = kept.iter().any(|(name, _)| matches!(&*name.to_ascii_lowercase(), "sslmode" | "ssl-mode"));
    match ssl.as_slice() {
        [] => {}
        [_] if mode_is_set => {
            return Err("its parameters `ssl` and `sslmode` are both given: keep `sslmode`".to_owned());
        }
        [(_, value)] => kept.push(("sslmode".to_owned(), mode_of(value)?.to_owned())),
        _ => return Err("its parameter `ssl` is given twice: keep one".to_owned()),
    }
    for (name, _) in &mut kept {
        // sqlx tells small letters from capitals.
        *name = if name.starts_with("options[") { name.clone() } else { name.to_ascii_lowercase() };
    }
    put(url, &kept);
    Ok(())
}

fn mode_of(ssl: &str) -> Result<&'static str, String> {
    match &*ssl.to_ascii_lowercase() {
        // Given without a value it means yes.
        "" | "true" | "1" | "yes" | "on" | "require" | "required" => Ok("require"),
        "false" | "0" | "no" | "off" | "disable" | "disabled" => Ok("disable"),
        "verify-ca" => Ok("verify-ca"),
        "verify-full" => Ok("verify-full"),
        _ => {
            Err("its parameter `ssl` has a value that is not known: write sslmode=require or sslmode=verify-full"
                .into())
        }
    }
}

/// Leaves in the address of a Redis what the client honours; `db` goes into the path.
///
/// # Errors
/// As [`sift_postgres`].
pub(super) fn sift_redis(url: &mut Url) -> Result<(), String> {
    if url.fragment().is_some() {
        return Err("it ends in `#…`, which is refused: certificates are always checked, REDIS_CA_CERT names their \
                    authority; a # of the password is written %23"
            .to_owned());
    }
    let mut kept = sift(url.query().unwrap_or_default(), REDIS)?.kept;
    if let Some(index) = kept.iter().position(|(name, _)| name.eq_ignore_ascii_case("db")) {
        let (_, number) = kept.remove(index);
        let path = url.path().trim_start_matches('/').to_owned();
        if number.parse::<u32>().is_err() || (!path.is_empty() && path != number) {
            return Err("its parameter `db` is no number of a database, or another than the path's".to_owned());
        }
        url.set_path(&format!("/{number}"));
    }
    put(url, &kept);
    Ok(())
}

/// Looks through the address of a MongoDB; the driver is handed all that is not refused.
///
/// # Errors
/// As [`sift_postgres`].
pub(super) fn check_mongodb(url: &str) -> Result<(), String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    sift(query, MONGODB).map(drop)
}

/// The parameters of an address that are ignored, by name.
pub(super) fn ignored(kind: Kind, url: &str) -> Vec<String> {
    let rules = match kind {
        Kind::Postgres => POSTGRES,
        Kind::Redis => REDIS,
        Kind::Mongodb => MONGODB,
    };
    let query = url.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or_default());
    sift(query, rules).map(|sifted| sifted.ignored).unwrap_or_default()
}

/// Kinds of addresses with parameters; those of Elasticsearch and Algolia take none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Postgres,
    Redis,
    Mongodb,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(query: &str) -> Result<String, String> {
        let mut url = Url::parse(&format!("postgresql://u:p@h/x{query}")).unwrap();
        sift_postgres(&mut url).map(|()| url.query().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_asks_for_encryption_is_honoured_or_refused() {
        assert_eq!(postgres("?ssl=require").unwrap(), "sslmode=require");
        assert_eq!(postgres("?ssl=true&connect_timeout=5").unwrap(), "sslmode=require");
        assert_eq!(postgres("?ssl=false").unwrap(), "sslmode=disable");
        assert_eq!(
            postgres("?SSLMODE=verify-full&sslrootcert=/ca.pem").unwrap(),
            "sslmode=verify-full&sslrootcert=%2Fca.pem"
        );
        assert_eq!(postgres("?options=-c%20a%3Db&options[x]=y").unwrap(), "options=-c+a%3Db&options%5Bx%5D=y");
        for refused in [
            "?ssl=require&sslmode=disable",
            "?sslmode=require&sslmode=disable",
            "?ssl=true&ssl=false",
            "?ssl=maybe",
            "?sslpassword=hunter2",
            "?channel_binding=require",
            "?sslcrl=/x",
            "?schema=hunter2",
            "?nobody=hunter2",
            "?hunter2%26",
        ] {
            let why = postgres(refused).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
        assert!(postgres("?sslpassword=hunter2").unwrap_err().contains("`sslpassword`"));
        assert_eq!(
            ignored(Kind::Postgres, "postgresql://u:p@h/x?connect_timeout=5&sslmode=require"),
            ["connect_timeout"]
        );
    }

    #[test]
    fn redis_takes_its_database_either_way_and_checks_certificates() {
        let redis = |text: &str| {
            let mut url = Url::parse(text).unwrap();
            sift_redis(&mut url).map(|()| url.to_string())
        };
        assert_eq!(redis("redis://h:1?db=2").unwrap(), "redis://h:1/2");
        assert_eq!(redis("redis://h:1/2?db=2&socket_timeout=1").unwrap(), "redis://h:1/2");
        assert_eq!(redis("redis://h:1/?protocol=resp3").unwrap(), "redis://h:1/?protocol=resp3");
        for refused in [
            "rediss://h#insecure",
            "redis://h/1?db=2",
            "redis://h?db=x",
            "redis://h?ssl=true",
            "rediss://h?ssl_cert_reqs=none",
            "redis://h?password=hunter2",
            "redis://h?x=hunter2",
        ] {
            let why = redis(refused).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn mongodb_checks_certificates() {
        assert!(
            check_mongodb(
                "mongodb://a,b/x?replicaSet=r&tls=true&w=majority&readPreferenceTags=a:b&readPreferenceTags="
            )
            .is_ok()
        );
        assert!(check_mongodb("mongodb://a/x?tlsInsecure=false").is_ok());
        for refused in ["tlsInsecure=true", "tlsAllowInvalidCertificates=true", "tls=true&TLS=false", "nobody=hunter2"]
        {
            let why = check_mongodb(&format!("mongodb://u:hunter3@a/x?{refused}")).unwrap_err();
            assert!(!why.contains("hunter"), "{why}");
        }
    }
}
