//! What the end-to-end tests stand on: running the real program, building trees, comparing them, breaking disks.
//!
//! What it promises: everything is drawn from a printed seed; a started process, a mount and a temporary directory end
//! with the value that stands for them; a part that is missing (root, a loop device, a tool) is reported loudly, never
//! passed over.
//!
//! What it must not know: any crate of the project. It reads the command line's contract, as a user would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and says why where it is read; it measures real processes by real clocks"
)]

pub mod compare;
pub mod database;
pub mod disk;
pub mod facts;
pub mod killed;
pub mod line;
pub mod losing;
pub mod odd_tree;
pub mod outcome;
pub mod parts;
pub mod plain_tree;
pub mod program;
pub mod random;
pub mod rows;
pub mod running;
pub mod scene;
pub mod slow;
pub mod spoil;
pub mod store;
pub mod watch;

pub use compare::{AsItWas, assert_same, differences, rsync_differences};
pub use database::Database;
pub use line::{Line, Passed, Trouble};
pub use outcome::{Failure, Outcome, Point};
pub use parts::{Part, is_present};
pub use program::Program;
pub use random::Random;
pub use rows::Rows;
pub use running::Running;
pub use scene::Scene;
pub use store::{Service, Store};
