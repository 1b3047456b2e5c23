use url::Url;

use super::postgres;

fn with(query: &str, variables: &[(&str, &str)]) -> Result<Url, String> {
    let mut url = Url::parse(&format!("postgresql://u:p@h/x{query}")).unwrap();
    let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    postgres(&mut url, of).map(|_| url)
}

fn kept(query: &str) -> Result<String, String> {
    with(query, &[]).map(|url| url.query().unwrap_or_default().to_owned())
}

#[test]
fn what_asks_for_encryption_is_honoured_or_refused() {
    assert_eq!(kept("").unwrap(), "sslmode=prefer");
    assert_eq!(kept("?ssl=require").unwrap(), "sslmode=require");
    assert_eq!(kept("?ssl=true&connect_timeout=5").unwrap(), "sslmode=require");
    assert_eq!(kept("?ssl=false").unwrap(), "sslmode=disable");
    let full = "sslmode=verify-full&sslrootcert=%2Fca.pem";
    assert_eq!(kept("?SSLMODE=verify-full&ssl-ca=/ca.pem").unwrap(), full);
    assert_eq!(kept("?options=-c%20a%3Db&options[c]=d").unwrap(), "options=-c+a%3Db&options=-c+c%3Dd&sslmode=prefer");
    for refused in [
        "?ssl=require&sslmode=disable",
        "?sslmode=require&sslmode=disable",
        "?sslmode=require&ssl-mode=disable",
        "?ssl=true&ssl=false",
        "?ssl=maybe",
        "?sslmode=hunter2",
        "?sslmode=allow",
        "?sslpassword=hunter2",
        "?channel_binding=require",
        "?sslcrl=/x",
        "?schema=hunter2",
        "?nobody=hunter2",
        "?hunter2%26",
        "?sslmode=require#hunter2",
    ] {
        let why = kept(refused).unwrap_err();
        assert!(!why.contains("hunter2"), "{why}");
    }
    assert!(kept("?sslpassword=hunter2").unwrap_err().contains("`sslpassword`"));
}

#[test]
fn an_authority_counts_only_where_its_certificates_are_checked() {
    for mode in ["", "&sslmode=disable", "&sslmode=prefer", "&sslmode=require", "&sslmode=verify-ca"] {
        let why = kept(&format!("?sslrootcert=/ca.pem{mode}")).unwrap_err();
        assert!(why.contains("verify-full"), "{mode}: {why}");
    }
    assert!(kept("?sslmode=verify-ca").unwrap_err().contains("verify-full"));
    let key = "-----BEGIN PRIVATE KEY-----hunter2-----END PRIVATE KEY-----";
    let why = kept(&format!("?sslmode=verify-full&sslrootcert={key}")).unwrap_err();
    assert!(!why.contains("hunter2"), "{why}");
}

#[test]
fn a_certificate_of_the_client_needs_its_key_and_tls() {
    assert!(kept("?sslmode=require&sslcert=/c&sslkey=/k").is_ok());
    for refused in ["?sslmode=require&sslcert=/c", "?sslmode=require&sslkey=/k", "?sslcert=/c&sslkey=/k"] {
        assert!(kept(refused).is_err(), "{refused}");
    }
}

#[test]
fn the_server_is_named_in_front_only() {
    for name in ["host", "hostaddr", "port", "dbname", "user", "password"] {
        let why = kept(&format!("?{name}=hunter2")).unwrap_err();
        assert!(why.contains(&format!("`{name}`")) && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn a_variable_counts_where_the_address_says_nothing() {
    let all = |query: &str, variables: &[(&str, &str)]| with(query, variables).unwrap().to_string();
    assert_eq!(all("", &[("PGSSLMODE", "require")]), "postgresql://u:p@h:5432/x?sslmode=require");
    assert_eq!(
        all("?sslmode=require", &[("PGSSLMODE", "disable"), ("PGPORT", "1"), ("PGUSER", "v"), ("PGPASSWORD", "q")]),
        "postgresql://u:p@h:1/x?sslmode=require"
    );
    for (name, value) in [
        ("PGSSLMODE", "hunter2"),
        ("PGSSLROOTCERT", "/ca.pem"),
        ("PGSSLCERT", "/c.pem"),
        ("PGCHANNELBINDING", "require"),
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGPORT", "hunter2"),
    ] {
        let why = with("", &[(name, value)]).unwrap_err();
        assert!(!why.contains("hunter2"), "{why}");
    }
    for name in ["PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR"] {
        let why = with("", &[(name, "hunter2")]).unwrap_err();
        assert!(why.contains(name) && !why.contains("hunter2"), "{why}");
    }
    let options = all("", &[("PGOPTIONS", "-c statement_timeout=9")]);
    assert!(options.contains("options=-c+statement_timeout%3D9"), "{options}");
    assert!(with("", &[("PGCHANNELBINDING", "require")]).unwrap_err().contains("PGCHANNELBINDING"));
}

#[test]
fn files_of_passwords_are_not_read() {
    let bare = |variables: &[(&str, &str)]| {
        let mut url = Url::parse("postgresql://h/x").unwrap();
        let of = |n: &str| variables.iter().find(|(name, _)| *name == n).map(|(_, value)| (*value).to_owned());
        postgres(&mut url, of).map(|_| url.to_string())
    };
    assert_eq!(bare(&[]).unwrap(), "postgresql://h:5432/x?sslmode=prefer&password=");
    let known = bare(&[("PGUSER", "u"), ("PGPASSWORD", "p@"), ("PGPASSFILE", "/x")]).unwrap();
    assert_eq!(known, "postgresql://u:p%40@h:5432/x?sslmode=prefer");
    assert!(bare(&[("PGPASSFILE", "/x")]).unwrap_err().contains("PGPASSFILE"));
}

#[test]
fn a_pool_of_transactions_gets_statements_without_names() {
    assert_eq!(kept("?pgbouncer=true").unwrap(), "sslmode=prefer&statement-cache-capacity=0");
    assert_eq!(kept("?pgbouncer=false").unwrap(), "sslmode=prefer");
    for refused in ["?pgbouncer=true&statement-cache-capacity=9", "?pgbouncer=x", "?statement-cache-capacity=-1"] {
        assert!(kept(refused).is_err(), "{refused}");
    }
}
