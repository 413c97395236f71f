//! Where text goes: answers to standard output, everything else to standard error; people and programs told apart.
//!
//! A reader that has gone away (`resurgam points | head`) is no error: what was to be said is dropped in silence.

use std::{
    cell::Cell,
    io::{self, BufWriter, IsTerminal, Write},
};

use serde::Serialize;

use crate::{
    args::Global,
    failure::{ErrorBody, Failure},
};

/// Code of the one failure that cannot be told on standard output.
const NOT_WRITTEN: &str = "output";

/// How this run speaks.
pub(crate) struct Output {
    json: bool,
    verbose: bool,
    quiet: bool,
    /// A document was printed: a second one would make neither readable.
    printed: Cell<bool>,
}

impl Output {
    /// As the global options ask.
    pub(crate) fn new(global: &Global) -> Self {
        Self { json: global.json, verbose: global.verbose, quiet: global.quiet, printed: Cell::new(false) }
    }

    /// For errors in the arguments themselves.
    pub(crate) fn plain(json: bool) -> Self {
        Self { json, verbose: false, quiet: false, printed: Cell::new(false) }
    }

    /// Whether a program reads.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether more than usual is wanted.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether less than usual is wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints the answer: as a document for programs, as the text that `text` makes for people.
    pub(crate) fn answer(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { self.document(document) } else { self.text(&text()) }
    }

    /// Prints text on standard output.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        quiet_if_closed(output.write_all(text.as_bytes()).and_then(|()| output.flush()))
            .map_err(|error| cannot_write(&error))
    }

    fn document(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.printed.set(true);
        let mut output = BufWriter::new(io::stdout().lock());
        let written = serde_json::to_writer(&mut output, document).map_err(io::Error::from);
        let written = written.and_then(|()| output.write_all(b"\n")).and_then(|()| output.flush());
        quiet_if_closed(written).map_err(|error| cannot_write(&error))
    }

    /// Prints a list that may be long, one item at a time: for programs as `{"key":[…]}`, for people as `line` writes each.
    /// `produce` is given what takes the items. Where it fails midway, the failure is a second key of the document.
    pub(crate) fn list<T: Serialize>(
        &self,
        key: &str,
        line: impl Fn(&mut String, &T),
        produce: impl FnOnce(&mut dyn FnMut(T)) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut list = List::new(io::stdout().lock(), self.json.then_some(key));
        let result = produce(&mut |item| list.item(&item, &line));
        if self.json && (result.is_ok() || list.begun) {
            self.printed.set(true);
        }
        let written = list.end(result.as_ref().err());
        // A program has the failure in its document; a person reads it on standard error.
        result.and_then(|()| quiet_if_closed(written).map_err(|error| cannot_write(&error)))
    }

    /// Says something by the way, unless less is wanted.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Says something that must not be missed.
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(io::stderr(), "resurgam: {text}");
    }

    /// Says why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json && !self.printed.get() {
            let _ = self.document(&failure.document());
        } else if !self.json || failure.code == NOT_WRITTEN {
            let _ = io::stderr().write_all(failure.text(self.verbose).as_bytes());
        }
    }
}

/// A list on its way out.
struct List<W: Write> {
    output: BufWriter<W>,
    key: Option<String>,
    begun: bool,
    eager: bool,
    /// The line of the last item: one memory for all of them.
    line: String,
    result: io::Result<()>,
}

impl<W: Write> List<W> {
    fn new(output: W, key: Option<&str>) -> Self {
        Self {
            output: BufWriter::with_capacity(1 << 16, output),
            key: key.map(str::to_owned),
            begun: false,
            // A person who waits sees each line as it comes.
            eager: key.is_none() && io::stdout().is_terminal(),
            line: String::new(),
            result: Ok(()),
        }
    }

    fn item<T: Serialize>(&mut self, item: &T, line: &impl Fn(&mut String, &T)) {
        if self.result.is_ok() {
            self.result = self.write_item(item, line);
            if self.result.as_ref().is_err_and(is_closed) {
                end_as_the_reader_did();
            }
        }
    }

    fn write_item<T: Serialize>(&mut self, item: &T, line: &impl Fn(&mut String, &T)) -> io::Result<()> {
        if self.key.is_some() {
            let opening = if self.begun { ",\n".to_owned() } else { self.opening() };
            self.output.write_all(opening.as_bytes())?;
            self.begun = true;
            serde_json::to_writer(&mut self.output, item)?;
        } else {
            self.begun = true;
            self.line.clear();
            line(&mut self.line, item);
            self.line.push('\n');
            self.output.write_all(self.line.as_bytes())?;
        }
        if self.eager { self.output.flush() } else { Ok(()) }
    }

    fn opening(&self) -> String {
        format!("{{\"{}\":[", self.key.as_deref().unwrap_or_default())
    }

    fn end(mut self, failure: Option<&Failure>) -> io::Result<()> {
        std::mem::replace(&mut self.result, Ok(()))?;
        if self.key.is_some() {
            // Nothing has been said yet: the failure is the whole document, and the caller's to print.
            if failure.is_some() && !self.begun {
                return Ok(());
            }
            if !self.begun {
                let opening = self.opening();
                self.output.write_all(opening.as_bytes())?;
            }
            self.output.write_all(b"]")?;
            if let Some(failure) = failure {
                self.output.write_all(b",\"error\":")?;
                serde_json::to_writer::<_, ErrorBody<'_>>(&mut self.output, &failure.body())?;
            }
            self.output.write_all(b"}\n")?;
        }
        self.output.flush()
    }
}

/// Ends the program as the system ends one whose reader has gone away; only listings come here, which hold nothing.
fn end_as_the_reader_did() {
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

fn quiet_if_closed(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) })
}

fn cannot_write(error: &io::Error) -> Failure {
    Failure::new(
        NOT_WRITTEN,
        format!("cannot write to standard output: {error}"),
        "the work itself is done; send the output somewhere else and ask again (`resurgam points`, `resurgam jobs`)",
    )
}

#[cfg(test)]
mod tests;
