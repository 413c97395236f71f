//! How far a job is: a bar where somebody watches, a line every ten seconds where the output goes to a file.

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use resurgam_jobs::Meter;

use crate::{output::Output, show::amount};

const REDRAW: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bar,
    Lines,
    Nothing,
}

/// Runs a job and shows how far its meter is until it ends.
pub(crate) fn watched<T>(output: &Output, what: &str, job: impl FnOnce(&Meter) -> T) -> T {
    let style = if output.is_quiet() {
        Style::Nothing
    } else if io::stderr().is_terminal() && !output.is_json() {
        Style::Bar
    } else {
        Style::Lines
    };
    let meter = Meter::default();
    if style == Style::Nothing {
        return job(&meter);
    }
    thread::scope(|scope| {
        let (running, ended) = mpsc::channel::<()>();
        let counted = &meter;
        let watch = move || follow(style, what, counted, &ended);
        // A job that cannot be watched is still done.
        let _ = thread::Builder::new().name("progress".to_owned()).spawn_scoped(scope, watch);
        let answer = job(&meter);
        drop(running);
        answer
    })
}

fn follow(style: Style, what: &str, meter: &Meter, ended: &Receiver<()>) {
    match style {
        Style::Bar => draw(what, meter, ended),
        Style::Lines => {
            let started = now();
            while is_running(ended, LINE) {
                let _ = writeln!(io::stderr(), "{}", line(what, meter, started.elapsed()));
            }
        }
        Style::Nothing => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "progress measures how fast a job is; nothing depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// Waits; says whether the job still runs.
fn is_running(ended: &Receiver<()>, pause: Duration) -> bool {
    ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
}

fn draw(what: &str, meter: &Meter, ended: &Receiver<()>) {
    // Short jobs draw nothing at all.
    if !is_running(ended, REDRAW) {
        return;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5))
        .with_style(style_of_bar(false))
        .with_prefix(what.to_owned());
    let mut is_known = false;
    while is_running(ended, REDRAW) {
        let (bytes, expected) = (meter.bytes.get(), meter.expected.get());
        if expected > 0 {
            bar.set_length(expected.max(bytes));
            if !is_known {
                bar.set_style(style_of_bar(true));
                is_known = true;
            }
        }
        bar.set_message(format!("{} items", amount::count(meter.entries.get())));
        bar.set_position(bytes);
        bar.tick();
    }
    bar.finish_and_clear();
}

fn style_of_bar(is_known: bool) -> ProgressStyle {
    let template = if is_known {
        "{prefix}  {bar:24}  {binary_bytes} of {binary_total_bytes}, {msg}, {binary_bytes_per_sec}, {eta} left"
    } else {
        "{prefix}  {spinner}  {binary_bytes}, {msg}, {binary_bytes_per_sec}, {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// One line for a log.
fn line(what: &str, meter: &Meter, elapsed: Duration) -> String {
    let (bytes, expected) = (meter.bytes.get(), meter.expected.get());
    let seconds = elapsed.as_secs().max(1);
    let mut text = format!("{what}: {} items, {}", amount::count(meter.entries.get()), amount::bytes(bytes));
    if expected > 0 {
        text.push_str(&format!(" of {}", amount::bytes(expected)));
    }
    text.push_str(&format!(", {}/s", amount::bytes(bytes / seconds)));
    if bytes > 0 && expected > bytes {
        let left = (u128::from(seconds) * u128::from(expected - bytes) / u128::from(bytes)).min(u128::from(u64::MAX));
        text.push_str(&format!(", {} left", amount::span(u64::try_from(left).unwrap_or(u64::MAX))));
    }
    text
}

#[cfg(test)]
mod tests;
