//! The parameters of the address of a MongoDB.

use super::Rule::{Harmless, Honoured, HonouredAs, Refused};
use super::Rules;

/// Of the MongoDB specification ("URI Options"), as the driver takes them with the features that it is built with.
const RULES: &Rules = &[
    (
        &[
            "authsource",
            "directconnection",
            "enableoverloadretargeting",
            "heartbeatfrequencyms",
            "journal",
            "loadbalanced",
            "localthresholdms",
            "maxadaptiveretries",
            "maxconnecting",
            "maxidletimems",
            "maxpoolsize",
            "minpoolsize",
            "replicaset",
            "retryreads",
            "retrywrites",
            "servermonitoringmode",
            "srvmaxhosts",
            "srvservicename",
            "ssl",
            "tls",
            "tlscafile",
            "tlscertificatekeyfile",
            "w",
            "wtimeoutms",
        ],
        Honoured,
    ),
    (
        &["authmechanism"],
        HonouredAs(
            &["scram-sha-1", "scram-sha-256", "mongodb-x509", "plain"],
            "write SCRAM-SHA-256, SCRAM-SHA-1, MONGODB-X509 or PLAIN, or leave it out",
        ),
    ),
    // Ours whatever is asked for: what was written must be seen, and nothing waits for ever.
    (
        &[
            "appname",
            "connecttimeoutms",
            "maxstalenessseconds",
            "readconcernlevel",
            "readpreference",
            "readpreferencetags",
            "serverselectiontimeoutms",
            "uuidrepresentation",
            "waitqueuetimeoutms",
        ],
        Harmless,
    ),
    // Without it TLS may not be on, so it is not left out.
    (
        &["tlsinsecure", "tlsallowinvalidcertificates"],
        HonouredAs(&["false"], "certificates are always checked: name their authority with tlsCAFile"),
    ),
    (
        &[
            "tlsallowinvalidhostnames",
            "sslinvalidhostnameallowed",
            "sslallowinvalidcertificates",
            "sslallowinvalidhostnames",
        ],
        Refused("certificates and their names are always checked: take it out"),
    ),
    (
        &["tlscertificatekeyfilepassword", "sslclientcertificatekeypassword"],
        Refused("keys with a password are not read: name a file that holds the key without one"),
    ),
    (
        &["tlscrlfile", "tlsdisablecertificaterevocationcheck", "tlsdisableocspendpointcheck"],
        Refused("this program does not ask whether certificates were revoked: take it out"),
    ),
    (
        &["proxyhost", "proxyport", "proxyusername", "proxypassword"],
        Refused("proxies are not supported: name hosts that can be reached"),
    ),
    (&["authmechanismproperties", "gssapiservicename"], Refused("no mechanism of this program takes properties")),
    (&["compressors", "zlibcompressionlevel"], Refused("nothing is compressed: take it out")),
    (&["sockettimeoutms", "serverselectiontryonce"], Refused("the driver has no such limit: take it out")),
];

/// Looks through the address and gives the names of what is ignored; the driver is handed all that is not refused.
///
/// # Errors
/// The parameter that is refused, and what to do.
pub(in crate::config) fn check(url: &str) -> Result<Vec<String>, String> {
    let given = super::parse_query(url.split_once('?').map_or("", |(_, query)| query));
    let sifted = super::sift(&given, RULES, &["readpreferencetags"])?;
    if sifted.value("w") == Some("0") {
        return Err("its parameter `w` is refused: a write counts when the server has confirmed it".to_owned());
    }
    Ok(sifted.ignored)
}

#[cfg(test)]
mod tests {
    use mongodb::options::ClientOptions;

    use super::super::Rule;
    use super::*;

    fn query(query: &str) -> Result<Vec<String>, String> {
        check(&format!("mongodb://u:hunter3@a/x?{query}"))
    }

    #[test]
    fn mongodb_checks_certificates_and_writes() {
        let read = query("replicaSet=r&tls=true&w=majority&readPreferenceTags=a:b&readPreferenceTags=").unwrap();
        assert_eq!(read, ["readPreferenceTags", "readPreferenceTags"]);
        assert!(query("tlsInsecure=false&authMechanism=SCRAM-SHA-256").is_ok());
        for refused in [
            "tlsInsecure=true",
            "tlsAllowInvalidCertificates=true",
            "tlsAllowInvalidHostnames=false",
            "tls=true&TLS=false",
            "tlsCertificateKeyFilePassword=hunter2",
            "authMechanism=GSSAPI",
            "w=0",
            "nobody=hunter2",
        ] {
            let why = query(refused).unwrap_err();
            assert!(!why.contains("hunter"), "{why}");
        }
    }

    /// A value that each parameter may have, with what it needs beside it.
    fn sample(name: &str) -> String {
        let value = match name {
            "authmechanism" => "SCRAM-SHA-256",
            "directconnection" | "retryreads" | "retrywrites" | "journal" | "ssl" | "tls" => "true",
            "enableoverloadretargeting" => "true",
            "loadbalanced" | "tlsinsecure" | "tlsallowinvalidcertificates" => "false",
            "maxstalenessseconds" => "120&readPreference=secondary",
            "readpreference" => "nearest",
            "readpreferencetags" => "a:b&readPreference=nearest",
            "readconcernlevel" => "local",
            "servermonitoringmode" => "poll",
            "uuidrepresentation" => "javaLegacy",
            _ => "1000",
        };
        format!("{name}={value}")
    }

    #[tokio::test]
    async fn the_driver_takes_what_the_table_lets_through_and_no_more() {
        for (names, rule) in RULES {
            for name in *names {
                let of_srv = name.starts_with("srv");
                // The name of a service is of an address that is looked up, which no test does.
                if of_srv {
                    continue;
                }
                let taken = ClientOptions::parse(format!("mongodb://u:p@a/x?{}", sample(name))).await;
                let lets_through = matches!(rule, Rule::Honoured | Rule::HonouredAs(..) | Rule::Harmless);
                match (lets_through, taken) {
                    (true, Err(error)) => panic!("{name} is let through, and the driver says {error}"),
                    (false, Ok(_)) => assert_eq!(*name, "authmechanismproperties", "{name} is refused for nothing"),
                    _ => {}
                }
            }
        }
    }
}
