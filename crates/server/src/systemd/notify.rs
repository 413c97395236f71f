//! `sd_notify(3)` without the library: lines in a datagram to the socket that `$NOTIFY_SOCKET` names.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// How long it is waited for room in systemd's queue until it is told that all is set up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where systemd listens, if it started this process.
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Takes the values of `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID`, where they are set. `pid`: this
    /// process's.
    ///
    /// # Errors
    /// Where a socket is named and cannot be used.
    pub fn new(
        notify_socket: Option<&OsStr>,
        watchdog_usec: Option<&str>,
        watchdog_pid: Option<&str>,
        pid: u32,
    ) -> io::Result<Self> {
        let socket = match notify_socket.map(OsStrExt::as_bytes) {
            None | Some(b"") => None,
            Some(name) => {
                let address = match name.strip_prefix(b"@") {
                    Some(name) => SocketAddr::from_abstract_name(name)?,
                    None => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
                };
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Some((socket, address))
            }
        };
        // A watchdog of another process is none of ours.
        let ours = watchdog_pid.is_none_or(|of| of.parse() == Ok(pid));
        let watchdog = watchdog_usec.filter(|_| ours).and_then(|usec| usec.parse().ok()).filter(|usec| *usec > 0);
        Ok(Self { socket, watchdog: watchdog.map(Duration::from_micros) })
    }

    /// How often systemd wants to hear that the process is well; half of what it allows. `None`: never.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// Everything has been set up. From here on nothing is waited for: a daemon must not stand still because nobody reads
    /// what it says of itself.
    pub fn ready(&self) {
        self.send("READY=1");
        if let Some((socket, _)) = &self.socket {
            let _ = socket.set_nonblocking(true);
        }
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// What is going on, in one line.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.lines().next().unwrap_or_default()));
    }

    /// The process is well.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// Nothing depends on whether it arrives.
    fn send(&self, line: &str) {
        if let Some((socket, address)) = &self.socket {
            let _ = socket.send_to_addr(line.as_bytes(), address);
        }
    }
}
