//! What an error of PostgreSQL means, judged by SQLSTATE and never by message text, which may quote values.
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use std::io::ErrorKind;

use pipeline::sink::Failure;
use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

/// `address` is host, port and database, without credentials.
pub(super) fn judge(error: &Error, address: &str) -> Failure {
    match error {
        Error::Database(cause) => match cause.try_downcast_ref::<PgDatabaseError>() {
            Some(cause) => by_code(cause, address),
            None => Failure::broken(format!("PostgreSQL at {address}: an error of another database")),
        },
        Error::Io(cause) => match cause.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Failure::broken(format!("the connection to PostgreSQL at {address} was cut: {cause}"))
            }
            _ => Failure::unavailable(format!("no connection to PostgreSQL at {address}: {cause}; check DATABASE_URL")),
        },
        Error::PoolTimedOut => Failure::unavailable(format!("no connection to PostgreSQL at {address}")),
        Error::Tls(cause) => Failure::misconfigured(format!(
            "PostgreSQL at {address}: TLS failed ({cause}); check sslmode and sslrootcert in DATABASE_URL"
        )),
        Error::Configuration(_) => Failure::misconfigured(format!("DATABASE_URL for {address} cannot be used")),
        _ => Failure::broken(format!("PostgreSQL at {address} did not answer as expected")),
    }
}

fn by_code(error: &PgDatabaseError, address: &str) -> Failure {
    let code = error.code();
    let table = error.table().unwrap_or("a table");
    let class = code.get(..2).unwrap_or_default();
    let at = |what: &str| format!("PostgreSQL at {address} {what} ({code})");
    match (class, code) {
        ("28", _) => Failure::misconfigured(at("refuses the login: check user and password in DATABASE_URL")),
        (_, "3D000") => Failure::misconfigured(at("has no such database: create it, or correct DATABASE_URL")),
        (_, "42501") => Failure::misconfigured(at("denies permission: grant this user what it needs on the schema")),
        (_, "42P01" | "42703" | "3F000") => {
            Failure::misconfigured(at("lacks a table or column of ours: a restart makes what is missing"))
        }
        (_, "42P07") => Failure::misconfigured(at(
            "has a table or view already under a name that is ours (transaction… or algolia_…): use a database or a schema of our own",
        )),
        (_, "26000" | "42P05") => {
            Failure::unavailable(at("mixes up statements: a pooler in between does not keep transactions together"))
        }
        (_, "42P10") => Failure::misconfigured(at(
            "lacks a unique index of ours: make it again, as in the migrations, or let a restart make the table anew",
        )),
        (_, "57P04") => Failure::misconfigured(at("has dropped the database: create it, or correct DATABASE_URL")),
        (_, "25006") => Failure::unavailable(at("is read-only")),
        // A statement that was cancelled by a timeout, a system error, a damaged index: nothing that a row is to blame for.
        (_, "57014") | ("58" | "XX", _) => Failure::unavailable(at("has trouble of its own")),
        (_, "55P03") | ("40", _) => Failure::unavailable(at("asks to try again")),
        ("53", _) => Failure::unavailable(at("is out of resources")),
        ("08", _) => of_pooler(error.message(), code, address),
        (_, "57P01" | "57P02" | "57P03" | "57P05") => Failure::unavailable(at("is starting or stopping")),
        ("22" | "23" | "54", _) => {
            let field = error.column().or(error.constraint()).unwrap_or("a value");
            Failure::refused(format!("PostgreSQL does not take {field} of {table} ({code})"))
        }
        _ => Failure::broken(at("answered with an error")),
    }
}

/// Errors of class 08 are not of the server, which cuts a connection that breaks its protocol, but of a pooler in between,
/// whose words hold no values. PgBouncer has one code for all of them.
fn of_pooler(words: &str, code: &str, address: &str) -> Failure {
    let words: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
    let said = |what: &str| format!("the pooler at {address} {what}: \"{words}\" ({code})");
    if words.starts_with("unsupported startup parameter") {
        return Failure::misconfigured(said(
            "does not take what `options` of DATABASE_URL asks for; set it for the role (ALTER ROLE … SET …) instead",
        ));
    }
    if words.contains("statement pooling") {
        return Failure::misconfigured(said(
            "pools statements, which breaks transactions up; let it pool transactions",
        ));
    }
    Failure::unavailable(said("has no connection to the server for us"))
}
