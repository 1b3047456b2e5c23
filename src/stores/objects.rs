//! Stores of objects: a folder, or a bucket of S3.

use object_store::path::Path;
use object_store::{Error, ObjectStore, parse_url_opts};
use url::Url;

/// The store of an address, and what is below which of its keys. Credentials of S3 are read from the environment, as its own tools
/// do. Connects nowhere yet.
///
/// # Errors
/// What may quote a value of the environment, and so must not be shown.
pub(crate) fn open(url: &Url) -> Result<(Box<dyn ObjectStore>, Path), Error> {
    let aws = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    parse_url_opts(url, aws.map(|(name, value)| (name.to_lowercase(), value)))
}

/// Why a request failed. Of several lines of causes the first, which names no secret.
pub(crate) fn cause(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().chars().take(300).collect()
}
