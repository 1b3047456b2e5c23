//! The parameters of the address of a PostgreSQL, and the variables of its clients that stand for them.
//!
//! sqlx reads such variables and `.pgpass` by itself, where an address says nothing. Here all of it is written into the
//! address and judged, so that one place decides how secure a connection is, and a message names the server truly.

use url::Url;

use super::Rule::{As, Harmless, HarmlessAs, Honoured, Refused};
use super::server::{self, ServerAddress};
use super::{Given, NOT_HONOURED, Rules, Sifted};

/// Of libpq ("Parameter Key Words"), JDBC, Prisma and others; sqlx honours a part of them.
const RULES: &Rules = &[
    // `ssl`, as many drivers have it, is read as `sslmode`.
    (&["sslmode", "ssl-mode", "ssl"], As("sslmode")),
    (&["sslrootcert", "ssl-root-cert", "ssl-ca"], As("sslrootcert")),
    (&["sslcert", "ssl-cert"], As("sslcert")),
    (&["sslkey", "ssl-key"], As("sslkey")),
    (&["options", "host", "hostaddr", "port", "dbname", "user", "password"], Honoured),
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
            "binary_parameters",
            "preparethreshold",
            // Statements have no names in any case.
            "pgbouncer",
            "statement-cache-capacity",
            "statement_cache_size",
            "prepared_statement_cache_size",
            "reconnect",
            "sslkeylogfile",
        ],
        Harmless,
    ),
    (&["gssencmode"], HarmlessAs(&["disable", "prefer"], NOT_HONOURED)),
    (&["channel_binding", "channelbinding"], HarmlessAs(&["disable", "prefer"], NOT_HONOURED)),
    (&["sslnegotiation"], HarmlessAs(&["postgres"], NOT_HONOURED)),
    (&["requiressl"], HarmlessAs(&["0"], "write sslmode=require instead")),
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

/// Variables of libpq that count where an address says nothing, and the parameter that each stands for.
const ENVIRONMENT: [(&str, &str); 17] = [
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGOPTIONS", "options"),
    ("PGSERVICE", "service"),
    ("PGSERVICEFILE", "servicefile"),
];

/// Variables of libpq for what stands in front of the parameters.
const IN_FRONT_OF: [&str; 7] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGDATABASE"];

/// The variables of libpq that are read.
pub(in crate::config) fn variables() -> impl Iterator<Item = &'static str> {
    ENVIRONMENT.iter().map(|(name, _)| *name).chain(IN_FRONT_OF)
}

/// An address as it was looked through.
#[derive(Debug)]
pub(in crate::config) struct PostgresAddress {
    /// As sqlx takes it, with credentials.
    pub(in crate::config) url: Url,
    /// Host, port and database, for messages.
    pub(in crate::config) shown: String,
    /// Names of the parameters that are ignored.
    pub(in crate::config) ignored: Vec<String>,
}

/// Writes an address as sqlx takes it, with all that `variable` says beside it, and without what sqlx does not honour;
/// `None`: it is no address of a PostgreSQL.
///
/// # Errors
/// What is refused, and what to do.
pub(in crate::config) fn sift(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<Result<PostgresAddress, String>> {
    Some(server::take_apart(text)?.and_then(|(server, given)| sift_given(server, given, variable)))
}

fn sift_given(
    mut server: ServerAddress,
    mut given: Vec<Given>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<PostgresAddress, String> {
    given.iter_mut().for_each(spell_out);
    let mut sifted = super::sift(&given, RULES, &["options"])?;
    server.take(&mut sifted.kept)?;
    let around: Vec<Given> = ENVIRONMENT
        .iter()
        .filter(|(_, name)| sifted.value(name).is_none())
        .filter_map(|(from, name)| Some((from, name, variable(from)?)))
        .map(|(from, name, value)| Given { name: (*name).to_owned(), value, variable: Some(from) })
        .collect();
    sifted.kept.append(&mut super::sift(&around, RULES, &[])?.kept);
    server.complete(&variable)?;
    let beside: Vec<&str> = around.iter().filter_map(|given| given.variable).collect();
    if server.is_socket() {
        unsecure(&mut sifted);
    }
    secure(&mut sifted).map_err(|why| match beside.as_slice() {
        [] => why,
        names => format!("{why} ({} counts where the address says nothing)", names.join(", ")),
    })?;
    if server.is_renamed() && sifted.value("sslmode") == Some("verify-full") {
        return Err(
            "its `hostaddr` is refused beside sslmode=verify-full, which checks the name that is connected to: \
                    take it out"
                .to_owned(),
        );
    }
    let (url, shown) = server.build_url(sifted.kept)?;
    Ok(PostgresAddress { url, shown, ignored: sifted.ignored })
}

/// What psql does with a socket: it is a file of this machine, and nothing is encrypted.
fn unsecure(sifted: &mut Sifted) {
    let (of_tls, kept) = std::mem::take(&mut sifted.kept).into_iter().partition(|(name, _)| name.starts_with("ssl"));
    let of_tls: Vec<(String, String)> = of_tls;
    sifted.kept = kept;
    sifted.ignored.extend(of_tls.into_iter().map(|(name, _)| name));
    sifted.kept.push(("sslmode".to_owned(), "disable".to_owned()));
}

/// `options[NAME]=VALUE` of sqlx, as libpq has it.
fn spell_out(given: &mut Given) {
    let name = given.name.strip_prefix("options[").and_then(|rest| rest.strip_suffix(']'));
    if let Some(name) = name {
        given.value = format!("-c {name}={}", given.value);
        given.name = "options".to_owned();
    }
}

/// Holds how connections are secured to what sqlx does; the mode is always written out.
fn secure(sifted: &mut Sifted) -> Result<(), String> {
    let mode = match sifted.kept.iter_mut().find(|(name, _)| name == "sslmode") {
        Some((_, mode)) => {
            *mode = mode_of(mode)?.to_owned();
            mode.clone()
        }
        None => {
            sifted.kept.push(("sslmode".to_owned(), "prefer".to_owned()));
            "prefer".to_owned()
        }
    };
    let root = sifted.value("sslrootcert");
    if root.is_some_and(|text| text.contains("PRIVATE KEY")) {
        return Err("its parameter `sslrootcert` holds a private key: name the certificate of the authority".to_owned());
    }
    // libpq checks the certificate then; sqlx would not.
    if root.is_some() && mode != "verify-full" {
        return Err(
            "its parameter `sslrootcert` is of use only with sslmode=verify-full: write both, or none".to_owned()
        );
    }
    match (sifted.value("sslcert"), sifted.value("sslkey")) {
        (None, None) => Ok(()),
        (Some(_), Some(_)) if ["require", "verify-full"].contains(&mode.as_str()) => Ok(()),
        (Some(_), Some(_)) => {
            Err("its parameter `sslcert` needs TLS: write sslmode=verify-full or sslmode=require".to_owned())
        }
        _ => Err("its parameters `sslcert` and `sslkey` go together: write both, or none".to_owned()),
    }
}

fn mode_of(text: &str) -> Result<&'static str, String> {
    match &*text.to_ascii_lowercase() {
        // `ssl` given without a value means yes.
        "" | "true" | "1" | "yes" | "on" | "require" | "required" => Ok("require"),
        "false" | "0" | "no" | "off" | "disable" | "disabled" => Ok("disable"),
        "prefer" => Ok("prefer"),
        "verify-full" => Ok("verify-full"),
        "allow" => {
            Err("sslmode=allow is refused: it would never encrypt; write disable, prefer, require or verify-full"
                .to_owned())
        }
        // sqlx adds the public authorities to the one that is named, and any of their certificates would do.
        "verify-ca" => Err("sslmode=verify-ca is refused: it would take the certificate of any public authority for \
                            any host; write verify-full"
            .to_owned()),
        _ => Err("sslmode has a value that is not known: write disable, prefer, require or verify-full".to_owned()),
    }
}
