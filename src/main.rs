//! The `millrace` program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("millrace: a TLS provider is installed already, which is a bug");
        return millrace::cli::CommandExit::Internal.into();
    }
    millrace::cli::main()
}
