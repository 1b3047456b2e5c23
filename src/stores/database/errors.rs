//! What an error of MySQL, MariaDB or PostgreSQL means: one table, judged by code and never by message text, which may quote
//! values. <https://mariadb.com/kb/en/mariadb-error-code-reference/>,
//! <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>,
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use std::io::ErrorKind;

use pipeline::sink::Failure;
use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

/// What is done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorMeaning {
    /// The database is away, or has no room: everything waits, nothing is judged.
    Outage,
    /// The database is set up wrongly: everything waits until it is mended.
    Misconfigured,
    /// The transaction is over through no fault of its operations: the batch is begun anew.
    Restart,
    /// The table is not as it was: the catalogue is read again, and the operation judged by it.
    Catalogue,
    /// What the operation needs may still come: it is tried again on the ladder, and then a letter.
    Ladder,
    /// The operation can never be applied: a letter at once.
    Poison,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct ErrorCode {
    /// Of MySQL and MariaDB the number, of PostgreSQL the SQLSTATE or the two characters of its class.
    pub code: &'static str,
    pub meaning: ErrorMeaning,
    /// In words, for a person.
    pub what: &'static str,
}

const fn code(code: &'static str, meaning: ErrorMeaning, what: &'static str) -> ErrorCode {
    ErrorCode { code, meaning, what }
}

use ErrorMeaning::{Catalogue, Ladder, Misconfigured, Outage, Poison, Restart};

/// MySQL and MariaDB.
pub const MYSQL: &[ErrorCode] = &[
    code("1021", Outage, "the disk is full"),
    code("1037", Outage, "it is out of memory"),
    code("1040", Outage, "it has too many connections"),
    code("1041", Outage, "it is out of memory"),
    code("1047", Outage, "the node is not ready (Galera)"),
    code("1053", Outage, "it is shutting down"),
    code("1114", Outage, "the table is full, or its disk"),
    code("1129", Outage, "it blocks this host after too many failed connections"),
    code("1203", Outage, "this user has too many connections"),
    code("1226", Outage, "this user has used up what it may"),
    code("1290", Outage, "it is read-only"),
    code("1792", Outage, "the transaction is read-only"),
    code("1836", Outage, "it is read-only"),
    code("1927", Outage, "the connection was killed"),
    code("2006", Outage, "it has gone away"),
    code("2013", Outage, "the connection was lost"),
    code("3168", Outage, "the server is not ready"),
    code("4031", Outage, "it closed an idle connection"),
    code("1044", Misconfigured, "this user may not use the database"),
    code("1045", Misconfigured, "it refuses the login: check user and password"),
    code("1049", Misconfigured, "it has no such database: create it, or correct the name"),
    code("1142", Misconfigured, "this user lacks a right on a table"),
    code("1143", Misconfigured, "this user lacks a right on a column"),
    code("1227", Misconfigured, "this user lacks a right"),
    code("1698", Misconfigured, "it refuses the login: check user and password"),
    code("1020", Restart, "a row has changed since it was read"),
    code("1205", Restart, "a lock was waited for too long"),
    code("1213", Restart, "a deadlock"),
    code("1317", Restart, "the statement was interrupted"),
    code("1969", Restart, "the statement took too long"),
    code("3024", Restart, "the statement took too long"),
    code("1054", Catalogue, "a column is not there"),
    code("1146", Catalogue, "the table is not there"),
    code("1216", Ladder, "a foreign key: the parent is not there"),
    code("1217", Ladder, "a foreign key: children are still there"),
    code("1451", Ladder, "a foreign key: children are still there"),
    code("1452", Ladder, "a foreign key: the parent is not there"),
    code("1048", Poison, "a column does not take NULL"),
    code("1062", Poison, "a unique key is taken"),
    code("1118", Poison, "the row is too large"),
    code("1153", Poison, "the packet is larger than the server takes"),
    code("1264", Poison, "a number is out of range"),
    code("1265", Poison, "a value does not fit into its column"),
    code("1292", Poison, "a value is of the wrong type"),
    code("1364", Poison, "a column without a default is missing"),
    code("1366", Poison, "a value is of the wrong type"),
    code("1406", Poison, "a value is too long"),
    code("1690", Poison, "a number is out of range"),
    code("3140", Poison, "a value is no JSON"),
    code("3819", Poison, "a check fails"),
    code("4025", Poison, "a check fails"),
];

/// PostgreSQL; a code of five characters goes before the class of two.
pub const POSTGRES: &[ErrorCode] = &[
    code("08", Outage, "the connection was lost"),
    code("25006", Outage, "it is read-only"),
    code("53", Outage, "it is out of disk, memory or connections"),
    code("57P01", Outage, "it is shutting down"),
    code("57P02", Outage, "it is recovering from a crash"),
    code("57P03", Outage, "it is starting up"),
    code("57P05", Outage, "it closed an idle connection"),
    code("58", Outage, "its system has trouble"),
    code("XX", Outage, "it has trouble of its own"),
    code("28", Misconfigured, "it refuses the login: check user and password"),
    code("3D000", Misconfigured, "it has no such database: create it, or correct the name"),
    code("42501", Misconfigured, "this user lacks a right"),
    code("40001", Restart, "the transaction could not be serialised"),
    code("40P01", Restart, "a deadlock"),
    code("55P03", Restart, "a lock was waited for too long"),
    code("57014", Restart, "the statement was cancelled"),
    code("42703", Catalogue, "a column is not there"),
    code("42P01", Catalogue, "the table is not there"),
    code("23503", Ladder, "a foreign key: the parent is not there, or children still are"),
    code("22", Poison, "a value does not fit into its column"),
    code("23502", Poison, "a column does not take NULL"),
    code("23505", Poison, "a unique key is taken"),
    code("23514", Poison, "a check fails"),
    code("23P01", Poison, "an exclusion constraint fails"),
    code("428C9", Poison, "the column is made by the database, and takes no value"),
    code("54", Poison, "the row is larger than the database takes"),
];

/// A unique key is taken: an operation on the ladder may be the one that frees it.
const TAKEN: [&str; 2] = ["1062", "23505"];

/// An error that was judged.
#[derive(Clone, Debug)]
pub(super) struct SqlError {
    pub(super) meaning: ErrorMeaning,
    /// The database's own; empty where it said nothing.
    pub(super) code: String,
    pub(super) why: String,
}

/// The line of a code; a whole code goes before its class.
fn line_of<'t>(table: &'t [ErrorCode], code: &str) -> Option<&'t ErrorCode> {
    let exact = table.iter().find(|line| line.code == code);
    exact.or_else(|| table.iter().find(|line| line.code.len() == 2 && code.starts_with(line.code)))
}

/// Whether a code is of one of the tables. Those of MySQL are four digits, and those of PostgreSQL five characters.
pub(super) fn is_known(code: &str) -> bool {
    line_of(if code.len() == 5 { POSTGRES } else { MYSQL }, code).is_some()
}

/// The disk is full, or the table: a server in this state answers, and takes a write that needs no room.
const FULL: [&str; 3] = ["1021", "1114", "53100"];

impl SqlError {
    /// Whether the database has no room for more.
    pub(super) fn is_full(&self) -> bool {
        FULL.contains(&self.code.as_str())
    }

    /// Of an error of sqlx; `address` is host, port and name, without credentials.
    pub(super) fn of(error: &Error, address: &str) -> Self {
        let new = |meaning, why: String| Self { meaning, code: String::new(), why };
        match error {
            Error::Database(cause) => match cause.try_downcast_ref::<MySqlDatabaseError>() {
                Some(cause) => Self::by_code(MYSQL, cause.number().to_string(), address),
                None => Self::by_code(POSTGRES, cause.code().unwrap_or_default().into_owned(), address),
            },
            Error::Io(cause) => match cause.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                    new(Outage, format!("the connection to the database at {address} was cut: {cause}"))
                }
                _ => new(Outage, format!("no connection to the database at {address}: {cause}")),
            },
            Error::PoolTimedOut => new(Outage, format!("no connection to the database at {address}")),
            Error::Tls(cause) => new(Misconfigured, format!("the database at {address}: TLS failed: {cause}")),
            Error::Configuration(_) => {
                new(Misconfigured, format!("the address of the database at {address} cannot be used"))
            }
            // The transaction is gone with its connection, and nothing says whose fault it was.
            _ => new(Outage, format!("the database at {address} did not answer as expected")),
        }
    }

    fn by_code(table: &[ErrorCode], code: String, address: &str) -> Self {
        let found = line_of(table, &code);
        let (meaning, what) =
            found.map_or((Ladder, "an error that is not in the table"), |line| (line.meaning, line.what));
        if found.is_none() {
            metrics::counter!("millrace_unknown_database_errors_total", "code" => code.clone()).increment(1);
        }
        Self { meaning, why: format!("the database at {address} says: {what} ({code})"), code }
    }

    pub(super) fn late(address: &str, after: std::time::Duration) -> Self {
        let why = format!("the database at {address} did not answer within {after:?}");
        Self { meaning: Outage, code: String::new(), why }
    }

    /// Whether what its transaction held is begun anew, so many times at most; says so in the log and counts it.
    pub(super) fn begins_anew(&self, restarts: &mut u32, most: u32) -> bool {
        if self.meaning != Restart || *restarts >= most {
            return false;
        }
        *restarts += 1;
        tracing::warn!(code = self.code, reason = self.why, "Transaction restarted");
        metrics::counter!("millrace_database_restarts_total", "code" => self.code.clone()).increment(1);
        true
    }

    /// Whether a unique key is taken.
    pub(super) fn is_taken(&self) -> bool {
        TAKEN.contains(&self.code.as_str())
    }

    /// As a failure of the store, which accuses no operation.
    pub(super) fn failure(self) -> Failure {
        match self.meaning {
            Misconfigured | Catalogue => Failure::misconfigured(self.why),
            Outage | Restart | Ladder | Poison => Failure::unavailable(self.why),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn meaning(table: &[ErrorCode], code: &str) -> ErrorMeaning {
        SqlError::by_code(table, code.to_owned(), "h:1/n").meaning
    }

    /// The tables as the documentation shows them.
    fn documented() -> String {
        let mut text = String::new();
        for (name, table) in [("MySQL and MariaDB", MYSQL), ("PostgreSQL", POSTGRES)] {
            text.push_str(&format!("\n| {name} | meaning | what the database says |\n|---|---|---|\n"));
            for ErrorCode { code, meaning, what } in table {
                text.push_str(&format!("| {code} | {} | {what} |\n", format!("{meaning:?}").to_lowercase()));
            }
        }
        text
    }

    #[test]
    fn the_documentation_shows_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/database.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (kept, shown) =
            page.split_at(page.find("database::errors -->\n").unwrap() + "database::errors -->\n".len());
        if std::env::var_os("UPDATE_EXAMPLES").is_some() {
            std::fs::write(path, format!("{kept}{}", documented())).unwrap();
        } else {
            assert_eq!(shown, documented(), "write it anew with UPDATE_EXAMPLES=1 cargo test --lib database::errors");
        }
    }

    #[test]
    fn no_code_stands_twice() {
        for table in [MYSQL, POSTGRES] {
            let codes: BTreeSet<_> = table.iter().map(|line| line.code).collect();
            assert_eq!(codes.len(), table.len());
        }
    }

    #[test]
    fn a_code_goes_before_its_class_and_what_is_unknown_goes_up_the_ladder() {
        assert_eq!(meaning(POSTGRES, "25006"), Outage);
        assert_eq!(meaning(POSTGRES, "53100"), Outage);
        assert_eq!(meaning(POSTGRES, "22001"), Poison);
        assert_eq!(meaning(POSTGRES, "23503"), Ladder);
        assert_eq!(meaning(POSTGRES, "0A000"), Ladder);
        assert_eq!(meaning(MYSQL, "1020"), Restart);
        assert_eq!(meaning(MYSQL, "106"), Ladder);
        assert_eq!(["0A000", "22001", "106", "1062"].map(is_known), [false, true, false, true]);
    }
}
