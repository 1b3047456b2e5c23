//! The files of media: in a folder, or in a bucket of S3, below a prefix that no key leads out of.

use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use tokio::time::timeout;
use url::Url;

use crate::stores::objects;
use crate::stores::target::SetupError;

/// How long the store may take for one file.
const ONE_FILE: Duration = Duration::from_secs(30);

/// Where the files are.
#[derive(Debug)]
pub struct MediaFiles {
    files: PrefixStore<Box<dyn ObjectStore>>,
    /// For messages.
    address: String,
}

impl MediaFiles {
    /// Credentials of S3 are read from the environment, as its own tools do. Connects nowhere yet.
    ///
    /// # Errors
    /// A sentence about the setting.
    pub fn new(url: &Url) -> Result<Self, SetupError> {
        // The error may quote a value of the environment.
        let unusable = |_| {
            SetupError::Unusable(format!(
                "the files of media at {url} cannot be used: check REACTIONS_MEDIA_URL and AWS_*"
            ))
        };
        let (files, prefix) = objects::open(url).map_err(unusable)?;
        Ok(Self { files: PrefixStore::new(files, prefix), address: url.to_string() })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Deletes a file; one that is not there is deleted.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn delete(&self, key: &str) -> Result<(), String> {
        let path = Path::parse(key).map_err(|_| "the key is none that the store takes".to_owned())?;
        match timeout(ONE_FILE, self.files.delete(&path)).await {
            Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Ok(Err(error)) => Err(objects::cause(&error)),
            Err(_) => Err(format!("no answer within {ONE_FILE:?}")),
        }
    }

    /// The keys of all files.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub async fn keys(&self) -> Result<Vec<String>, String> {
        let listed = self.files.list(None).map_ok(|file| file.location.to_string());
        listed.try_collect().await.map_err(|error| objects::cause(&error))
    }
}
