use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::{PostgresAddress, postgres};

fn with(query: &str, variables: &[(&str, &str)]) -> Result<Url, String> {
    whole(&format!("postgresql://u:p@h/x{query}"), variables).map(|address| address.url)
}

fn whole(text: &str, variables: &[(&str, &str)]) -> Result<PostgresAddress, String> {
    let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    postgres(text, of).unwrap()
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

/// What sqlx makes of an address: host or folder, port, user, database; and how it is shown.
fn server(text: &str, variables: &[(&str, &str)]) -> Result<(String, u16, String, String, String), String> {
    let PostgresAddress { url, shown, .. } = whole(text, variables)?;
    let options: PgConnectOptions = url.as_str().parse().unwrap();
    let socket = options.get_socket().map(|folder| folder.display().to_string());
    let host = socket.unwrap_or_else(|| options.get_host().to_owned());
    let name = options.get_database().unwrap_or_default().to_owned();
    Ok((host, options.get_port(), options.get_username().to_owned(), name, shown))
}

#[test]
fn every_form_that_psql_takes_is_taken() {
    let is = |text: &str, expected: (&str, u16, &str, &str, &str)| {
        let (host, port, user, name, shown) = server(text, &[]).unwrap();
        assert_eq!((&*host, port, &*user, &*name, &*shown), expected, "{text}");
    };
    let socket = ("/dir", 5432, "u", "db", "/dir:5432/db");
    is("postgresql://u@/db?host=/dir", socket);
    is("postgresql://u@%2Fdir/db", socket);
    is("postgres:///db?host=/dir&user=u", socket);
    is("host=/dir dbname=db user=u", socket);
    is("postgresql://u@/db?host=/dir&sslmode=require", socket);
    let six = ("::1", 5433, "u", "db", "[::1]:5433/db");
    is("postgresql://u@[::1]:5433/db", six);
    is("postgresql+asyncpg://u@[::1]:5433/db", six);
    is("postgresql://u@/db?host=::1&port=5433", six);
    is("postgresql://u@h:5433/db?hostaddr=::1", six);
    is(" dbname = 'db' user=u hostaddr='::1'  port=5433 ", six);
    let plain = ("my_db", 5432, "u", "u", "my_db:5432/u");
    is("postgresql://u@my_db", plain);
    is("postgresql://u@my_db/", plain);
    is("postgresql://my_db?user=u", plain);
    is("postgresql://u@my_db/a%2Fb%2541", ("my_db", 5432, "u", "a/b%41", "my_db:5432/a/b%41"));
    is("user='a\\'b c' host=h dbname=d\\ e", ("h", 5432, "a'b c", "d e", "h:5432/d e"));
    is("postgresql://:5433/db?user=u&host=h", ("h", 5433, "u", "db", "h:5433/db"));
    let around = [("PGHOST", "/dir"), ("PGDATABASE", "db"), ("PGUSER", "u"), ("PGPORT", "7")];
    assert_eq!(server("postgresql://", &around).unwrap().4, "/dir:7/db");
    assert_eq!(server("postgresql://h/x", &around).unwrap().4, "h:7/x");
    assert_eq!(server("postgresql://h/x", &[("PGHOSTADDR", "10.0.0.1")]).unwrap().4, "10.0.0.1:5432/x");
}

#[test]
fn a_password_is_what_was_written() {
    for (text, variables) in [
        ("postgresql://u:a%2541%2Fb@h/x", [].as_slice()),
        ("postgresql://u@h/x?password=a%2541%2Fb", &[]),
        ("host=h user=u dbname=x password='a%41/b'", &[]),
        ("postgresql://u@h/x", &[("PGPASSWORD", "a%41/b")]),
    ] {
        let url = whole(text, variables).unwrap().url;
        let password = percent_encoding::percent_decode_str(url.password().unwrap()).decode_utf8().unwrap();
        assert_eq!(password, "a%41/b", "{text}");
    }
}

#[test]
fn a_server_that_cannot_be_gone_to_is_refused_by_name() {
    for (text, named) in [
        ("postgresql://u:hunter2@a,b/x", "several"),
        ("postgresql://u:hunter2@a:1,b:2/x", "several"),
        ("postgresql://u:hunter2@/x?host=a,b", "several"),
        ("postgresql://u:hunter2@a/x?port=1,2", "several"),
        ("host=a,b dbname=x password=hunter2", "several"),
        ("postgresql://u:hunter2@::1/x", "brackets"),
        ("postgresql://u:hunter2@[::1/x", "bracket"),
        ("postgresql://u:hunter2@a:x/x", "port"),
        ("postgresql://u:hunter2@a:0/x", "port"),
        ("postgresql://h?password=hunter2", "database"),
        ("postgresql://u:hunter2@a/x?host=b", "`host`"),
        ("postgresql://u:hunter2@a/x?hostaddr=b", "`hostaddr`"),
        ("postgresql://u:hunter2@a/x?hostaddr=::1&sslmode=verify-full", "`hostaddr`"),
        ("postgresql://u:hunter2@/x?host=@abstract", "abstract"),
        ("host=h password='hunter2", "words"),
        ("host=h hunter2", "words"),
    ] {
        let why = whole(text, &[]).unwrap_err();
        assert!(why.contains(named) && !why.contains("hunter2"), "{text}: {why}");
    }
    for text in ["x", "postgresql:x", "mysql://a/b", "http://a/b?c=d"] {
        assert!(postgres(text, |_| None).is_none(), "{text}");
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
    for name in ["PGSERVICE", "PGSERVICEFILE"] {
        let why = with("", &[(name, "hunter2")]).unwrap_err();
        assert!(why.contains(name) && !why.contains("hunter2"), "{why}");
    }
    let options = all("", &[("PGOPTIONS", "-c statement_timeout=9")]);
    assert!(options.contains("options=-c+statement_timeout%3D9"), "{options}");
    assert!(with("", &[("PGCHANNELBINDING", "require")]).unwrap_err().contains("PGCHANNELBINDING"));
}

#[test]
fn files_of_passwords_are_not_read() {
    let bare = |variables: &[(&str, &str)]| whole("postgresql://h/x", variables).map(|address| address.url.to_string());
    assert_eq!(bare(&[]).unwrap(), "postgresql://h:5432/x?sslmode=prefer&password=");
    let known = bare(&[("PGUSER", "u"), ("PGPASSWORD", "p@"), ("PGPASSFILE", "/x")]).unwrap();
    assert_eq!(known, "postgresql://u:p%40@h:5432/x?sslmode=prefer");
    assert!(bare(&[("PGPASSFILE", "/x")]).unwrap_err().contains("PGPASSFILE"));
}

#[test]
fn what_is_asked_for_a_pool_is_so_in_any_case() {
    for asked in ["?pgbouncer=true", "?pgbouncer=false", "?statement-cache-capacity=9"] {
        assert_eq!(kept(asked).unwrap(), "sslmode=prefer", "{asked}");
    }
    assert_eq!(whole("postgresql://h/x?pgbouncer=true", &[]).unwrap().ignored, ["pgbouncer"]);
}
