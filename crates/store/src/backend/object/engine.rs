//! The runtime of a backend: two threads that talk to the store, behind calls that wait.
//!
//! It never leaves this folder: the engine above is threads and plain calls.

use std::{future::Future, io};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

/// Two threads for everything that one backend has on its way.
pub(super) struct Engine(Option<Runtime>, Handle);

impl Engine {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("object-store").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self(Some(runtime), handle))
    }

    /// Runs to its end on this thread, or on one made for it where this one belongs to a runtime.
    pub(super) fn wait<F: Future<Output: Send> + Send>(&self, future: F) -> F::Output {
        if Handle::try_current().is_err() {
            return self.1.block_on(future);
        }
        let on_its_own = std::thread::scope(|scope| scope.spawn(|| self.1.block_on(future)).join());
        on_its_own.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs in the background. What is unfinished when the last holder of the engine goes is cut off.
    pub(super) fn spawn<F: Future<Output: Send> + Send + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.1.spawn(future)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting for tasks here could be waiting for ourselves.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
