//! The program's own store that holds nothing, with a runtime of its own.

use tokio::runtime::{Builder, Runtime};

/// The server, until it is dropped.
pub struct NullServer {
    pub url: String,
    _server: millrace::cli::bench::NullStore,
    _runtime: Runtime,
}

impl NullServer {
    /// Listens on a port of its own.
    pub fn start() -> Self {
        Self::on(0)
    }

    /// Listens on this port; 0: a free one.
    pub fn on(port: u16) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(millrace::cli::bench::NullStore::start(port)).unwrap();
        Self { url: server.url(), _server: server, _runtime: runtime }
    }
}
