//! The parameters of the address of a PostgreSQL, and the variables of its clients that stand for them.
//!
//! sqlx reads such variables and `.pgpass` by itself, where an address says nothing. Here all of it is written into the
//! address and judged, so that one place decides how secure a connection is, and a message names the server truly.

use url::Url;

use super::Rule::{As, Harmless, HarmlessAs, Honoured, Refused};
use super::{Given, NOT_HONOURED, Rules, Sifted, put};

const IN_FRONT: &str = "write it in front of the `?`: postgresql://USER:PASSWORD@HOST:PORT/NAME, and the folder of a \
                        socket as HOST with %2F for each slash";

/// Of libpq ("Parameter Key Words"), JDBC, Prisma and others; sqlx honours a part of them.
const RULES: &Rules = &[
    // `ssl`, as many drivers have it, is read as `sslmode`.
    (&["sslmode", "ssl-mode", "ssl"], As("sslmode")),
    (&["sslrootcert", "ssl-root-cert", "ssl-ca"], As("sslrootcert")),
    (&["sslcert", "ssl-cert"], As("sslcert")),
    (&["sslkey", "ssl-key"], As("sslkey")),
    (&["options", "statement-cache-capacity", "pgbouncer"], Honoured),
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
            "reconnect",
            "sslkeylogfile",
        ],
        Harmless,
    ),
    (&["host", "hostaddr", "port", "dbname", "user", "password"], Refused(IN_FRONT)),
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
const ENVIRONMENT: [(&str, &str); 18] = [
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
    ("PGHOSTADDR", "hostaddr"),
];

/// Variables of libpq for what stands in front of the parameters.
const IN_FRONT_OF: [&str; 4] = ["PGUSER", "PGPASSWORD", "PGPASSFILE", "PGPORT"];

/// The variables of libpq that are read.
pub(in crate::config) fn variables() -> impl Iterator<Item = &'static str> {
    ENVIRONMENT.iter().map(|(name, _)| *name).chain(IN_FRONT_OF)
}

/// Leaves in the address what sqlx honours, writes into it what `variable` says beside it, and gives the names of what
/// is ignored.
///
/// # Errors
/// The parameter that is refused, and what to do.
pub(in crate::config) fn sift(url: &mut Url, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    if url.fragment().is_some() {
        return Err("it ends in `#…`: a # of the password is written %23".to_owned());
    }
    let mut given = super::given(url.query().unwrap_or_default());
    given.iter_mut().for_each(spell_out);
    let said = super::sift(&given, RULES, &["options"])?;
    let around: Vec<Given> = ENVIRONMENT
        .iter()
        .filter(|(_, name)| said.value(name).is_none())
        .filter_map(|(from, name)| Some((from, name, variable(from)?)))
        .map(|(from, name, value)| Given { name: (*name).to_owned(), value, variable: Some(from) })
        .collect();
    let mut sifted = said;
    sifted.kept.append(&mut super::sift(&around, RULES, &[])?.kept);
    let beside: Vec<&str> = around.iter().filter_map(|given| given.variable).collect();
    secured(&mut sifted).map_err(|why| match beside.as_slice() {
        [] => why,
        names => format!("{why} ({} counts where the address says nothing)", names.join(", ")),
    })?;
    pooled(&mut sifted)?;
    in_front(url, &variable)?;
    if url.password().is_none_or(str::is_empty) {
        // Without one sqlx reads `.pgpass`, and logs the lines that it does not understand.
        sifted.kept.push(("password".to_owned(), String::new()));
    }
    put(url, &sifted.kept);
    Ok(sifted.ignored)
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
fn secured(sifted: &mut Sifted) -> Result<(), String> {
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

/// `pgbouncer=true` asks for statements without names, which a pool of transactions needs.
fn pooled(sifted: &mut Sifted) -> Result<(), String> {
    const CAPACITY: &str = "statement-cache-capacity";
    if let Some(index) = sifted.kept.iter().position(|(name, _)| name == "pgbouncer") {
        let (_, text) = sifted.kept.remove(index);
        let on = crate::config::values::switch(&text);
        match (on.ok_or("its parameter `pgbouncer` is true or false")?, sifted.value(CAPACITY)) {
            (false, _) | (true, Some("0")) => {}
            (true, None) => sifted.kept.push((CAPACITY.to_owned(), "0".to_owned())),
            (true, Some(_)) => return Err(format!("its parameter `pgbouncer` needs {CAPACITY}=0: take that out")),
        }
    }
    match sifted.value(CAPACITY).map(str::parse::<u16>) {
        Some(Err(_)) => Err(format!("its parameter `{CAPACITY}` is a number, at most 65535")),
        _ => Ok(()),
    }
}

/// User, password and port, where the address names none.
fn in_front(url: &mut Url, variable: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let wrong = |name: &str| format!("the variable {name}, which counts where the address says nothing, does not fit");
    if url.username().is_empty()
        && let Some(user) = variable("PGUSER")
    {
        url.set_username(&user).map_err(|()| wrong("PGUSER"))?;
    }
    if url.password().is_none() {
        match (variable("PGPASSWORD"), variable("PGPASSFILE")) {
            (Some(password), _) => url.set_password(Some(&password)).map_err(|()| wrong("PGPASSWORD"))?,
            (None, Some(_)) => {
                return Err("PGPASSFILE is set, and files of passwords are not read: write the password into the \
                            address"
                    .to_owned());
            }
            (None, None) => {}
        }
    }
    if url.port().is_none() {
        let port = variable("PGPORT").map_or(Some(5432), |port| port.parse().ok().filter(|port| *port > 0));
        url.set_port(Some(port.ok_or_else(|| wrong("PGPORT"))?)).map_err(|()| wrong("PGPORT"))?;
    }
    Ok(())
}
