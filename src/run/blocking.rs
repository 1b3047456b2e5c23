//! Calls of librdkafka, which block their thread.

/// Runs what blocks on a thread of its own.
///
/// # Errors
/// As it says; `stopped` makes one of a call that did not end. It does not panic, so that is the end of the program.
pub(crate) async fn blocking<T: Send + 'static, E: Send + 'static>(
    stopped: fn(String) -> E,
    ask: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(ask).await.unwrap_or_else(|error| Err(stopped(error.to_string())))
}
