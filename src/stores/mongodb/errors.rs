//! What an error of MongoDB means, judged by its kind and code and never by message text, which may quote values.
//! <https://www.mongodb.com/docs/manual/reference/error-codes/>

use std::io;

use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, ErrorKind};
use pipeline::sink::{Failure, Reject, Verdict};

/// `address` is hosts and database, without credentials.
pub(crate) fn judge(error: &Error, address: &str) -> Failure {
    match &*error.kind {
        ErrorKind::Command(command) => judge_code(command.code, address),
        ErrorKind::Authentication { .. } => {
            Failure::misconfigured(format!("MongoDB at {address} refuses the login: check MONGODB_URL"))
        }
        ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::DnsResolve { .. } => {
            Failure::unavailable(format!("no connection to MongoDB at {address}"))
        }
        ErrorKind::Io(cause) => match cause.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::HostUnreachable => {
                Failure::unavailable(format!("no connection to MongoDB at {address}: {cause}; check MONGODB_URL"))
            }
            _ => Failure::broken(format!("the connection to MongoDB at {address} was cut: {}", cause.kind())),
        },
        ErrorKind::InvalidTlsConfig { .. } => {
            Failure::misconfigured(format!("MongoDB at {address}: TLS cannot be set up; check MONGODB_URL"))
        }
        ErrorKind::InvalidArgument { .. } => {
            Failure::misconfigured(format!("MONGODB_URL for {address} cannot be used: check its parameters"))
        }
        ErrorKind::IncompatibleServer { .. } => {
            Failure::misconfigured(format!("MongoDB at {address} is too old: 4.4 or newer is needed"))
        }
        ErrorKind::BsonSerialization(_) | ErrorKind::Bson(_) => {
            Failure::refused("a value cannot be written as BSON".to_owned())
        }
        _ => Failure::broken(format!("MongoDB at {address} did not answer as expected")),
    }
}

/// An error of a whole command.
pub(crate) fn judge_code(code: i32, address: &str) -> Failure {
    let at = |what: &str| format!("MongoDB at {address} {what} (code {code})");
    match code {
        13 | 18 | 8000 => Failure::misconfigured(at("denies permission: grant this user readWrite on the database")),
        67 | 85 | 86 | 11000 => Failure::misconfigured(at(
            "cannot make a unique index of ours: documents share a key, or an index is there under its name; mend them",
        )),
        // Stepping down, starting or stopping, a shard without a primary, a network of its own, out of time or room, a lock not had.
        6 | 7 | 24 | 46 | 50 | 63 | 64 | 70 | 89 | 91 | 100 | 112 | 133 | 134 | 150 | 189 | 202 | 262 | 334 | 462
        | 9001 | 10058 | 10107 | 11600 | 11602 | 13388 | 13435 | 13436 | 14031 => {
            Failure::unavailable(at("asks to try again"))
        }
        10334 | 17419 | 17420 => Failure::refused(at("does not take so large a document")),
        2 | 9 | 14 | 52 | 57 => Failure::refused(at("does not take the command")),
        _ => Failure::broken(at("answered with an error")),
    }
}

/// An error of one write of several, other than a key that is there already.
pub(crate) fn judge_write(error: &Document, address: &str) -> Verdict {
    let code = error.get_i32("code").unwrap_or_default();
    let reject = |class: &'static str, what: &str| Verdict::Reject(Reject::new(class, format!("MongoDB {what}")));
    match code {
        121 => {
            reject("document_validation_failure", "does not take the document: the collection's validator refuses it")
        }
        52 | 55 | 57 | 56 => reject("bad_field_name", "does not take the name of a field"),
        10334 | 17419 | 17420 => reject("document_too_large", "does not take so large a document: at most 16 MiB"),
        15 => reject("overflow", "does not take the depth of the document"),
        2 | 9 | 14 | 16755 | 16756 => reject("bad_value", "does not take a value of the document"),
        _ => Verdict::Retry(judge_code(code, address)),
    }
}

/// The errors of single writes in an answer.
pub(crate) fn write_errors(answer: &Document) -> impl Iterator<Item = &Document> {
    let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(Bson::as_document)
}
