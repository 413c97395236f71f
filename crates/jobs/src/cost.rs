//! What a job cost: the traffic with the stores that it worked on.

use std::fmt;

use resurgam_store::{Volume, backend::Traffic};

/// The traffic of a job so far.
#[derive(Default)]
pub(crate) struct Cost(Traffic);

impl Cost {
    /// The traffic with one volume since it was opened.
    pub(crate) fn of(volume: &Volume) -> Self {
        Self(volume.backend().traffic())
    }

    /// Adds the traffic with a volume since that was opened.
    pub(crate) fn add(&mut self, volume: &Volume) {
        let more = volume.backend().traffic();
        self.0.requests += more.requests;
        self.0.bytes_up += more.bytes_up;
        self.0.bytes_down += more.bytes_down;
    }
}

/// The end of a job's message; nothing where nothing went over a network.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traffic { requests, bytes_up, bytes_down } = self.0;
        if requests == 0 {
            return Ok(());
        }
        write!(f, "; {requests} requests, {bytes_up} bytes up, {bytes_down} bytes down")
    }
}
