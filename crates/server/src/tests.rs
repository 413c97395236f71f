//! Tests of the layers together.

mod daemon;
mod oracle;
mod scheduler;
mod simulation;
mod systemd;
mod year;
