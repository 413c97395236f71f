//! The daemon: what a server does of itself.
//!
//! What it promises
//! - What is wanted is done, or is caught up with, or stands in the alerts; a run that was missed is never silent.
//! - Nothing that it has to remember is in its memory alone: points and ended jobs say what was done, so a restart loses
//!   nothing, and what a person did by hand counts as done.
//! - What fails holds up nothing else.
//! - It stops when it is asked to, and leaves nothing half done that the next start would not find.
//!
//! Three layers. [`scheduler`] decides: values in, values out. [`daemon`] keeps the time and the threads, for any
//! [`World`]. [`home`] is the world of a real server.
//!
//! What it must not know: how a job is done, terminals and arguments. (The network will come here, and nowhere else.)

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod daemon;
pub mod home;
pub mod scheduler;
pub mod systemd;
mod work;

pub use daemon::{Event, Options, Tally, World, serve};
pub use scheduler::{History, Scheduler, Task};
pub use work::{Lane, Work};

#[cfg(test)]
mod tests;
