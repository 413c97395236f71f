//! Scripts before and after the jobs of a source: `ScriptingConfig.xml`, as MABS has it.
//!
//! The file lies in a folder of the server's home and is read anew for each job. It names, for a data source, a program
//! to run before the job and one to run after it; the second is told by a last argument, `true` or `false`, how the job
//! went. A program that fails, or that is not done in time, fails the job and nothing else.
//!
//! Who can write to a script decides what the server does, so a script that others can write to is refused, and so is
//! one whose folder, or whose `ScriptingConfig.xml`, is open to them.

mod document;
mod error;
mod program;
mod trust;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_store::Cancel;

pub use document::fuzz_scripting;
pub use error::{ScriptError, When};
use program::{Ended, Limits, Outcome};

/// The file's name in its folder.
pub const FILE: &str = "ScriptingConfig.xml";
/// A file of this size is nobody's.
const FILE_MAX: u64 = 1 << 20;
/// How long a script may take where the file does not say.
const TIME_OUT: Duration = Duration::from_mins(30);
/// How long a script that is to end may take to do so before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long a second script may take after a job that was called off.
const TIME_OUT_CANCELLED: Duration = Duration::from_mins(1);
/// Where the scripts' own commands are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `ScriptingConfig.xml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptingConfig {
    sources: Vec<SourceScripts>,
}

/// One `DatasourceScriptConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct SourceScripts {
    /// `DataSourceName`, without slashes at its end.
    name: String,
    before: Option<Call>,
    after: Option<Call>,
    time_out: Option<Duration>,
}

/// A program and its arguments, as they stand in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Call {
    script: String,
    arguments: String,
}

/// The scripts of one source.
#[derive(Debug, Clone)]
pub struct Scripts {
    scripts: SourceScripts,
    root: Vec<u8>,
    grace: Duration,
}

impl ScriptingConfig {
    /// Reads the bytes of a `ScriptingConfig.xml`.
    ///
    /// # Errors
    /// Where they are no XML, or not of that kind.
    pub fn parse(bytes: &[u8]) -> Result<Self, ScriptError> {
        let sources = document::parse(bytes).map_err(|reason| ScriptError::Malformed { path: FILE.into(), reason })?;
        Ok(Self { sources })
    }

    /// Reads the file in `folder`. Where there is none, there are no scripts.
    ///
    /// # Errors
    /// Where it cannot be read or understood, or others can write to it.
    pub fn read(folder: &Path) -> Result<Self, ScriptError> {
        let path = folder.join(FILE);
        let unreadable = |source| ScriptError::Unreadable { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error)),
        };
        trust::check(&path, &file.metadata().map_err(unreadable)?)?;
        trust::check_path(folder)?;
        let mut bytes = Vec::new();
        file.by_ref().take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(ScriptError::Malformed { path, reason: "it is larger than 1 MiB".to_owned() });
        }
        let sources = document::parse(&bytes).map_err(|reason| ScriptError::Malformed { path, reason })?;
        Ok(Self { sources })
    }

    /// The scripts for the source with this root: those of its name, else of the nearest directory above it. The
    /// catalog is named `DPMDB`.
    pub fn for_source(&self, root: &[u8]) -> Option<Scripts> {
        let names = |scripts: &&SourceScripts| is_at_or_above(scripts.name.as_bytes(), root);
        let nearest = self.sources.iter().filter(names).max_by_key(|scripts| scripts.name.len())?;
        Some(Scripts { scripts: nearest.clone(), root: root.to_owned(), grace: GRACE })
    }
}

/// Whether a source's root is the thing named or lies below it.
fn is_at_or_above(name: &[u8], root: &[u8]) -> bool {
    match root.strip_prefix(name) {
        Some(rest) => rest.is_empty() || rest.starts_with(b"/") || (name == b"/"),
        None => false,
    }
}

impl Scripts {
    /// Runs the script that comes before the job, if there is one.
    ///
    /// # Errors
    /// Where it fails, is not done in time, must not be run, or the job is called off meanwhile.
    pub fn before(&self, home: &Path, cancel: &Cancel) -> Result<(), ScriptError> {
        if cancel.is_cancelled() {
            return Err(ScriptError::Cancelled);
        }
        let limits = Limits { time_out: self.time_out(), grace: self.grace };
        self.run(When::Before, self.scripts.before.as_ref(), None, home, &limits, &|| cancel.is_cancelled())
    }

    /// Runs the script that comes after the job, if there is one. `done`: whether the job achieved what it was to. It
    /// runs after a job that was called off as well, since it may have to undo what the first did; but not for long.
    ///
    /// # Errors
    /// Where it fails, is not done in time, must not be run, or is called off itself.
    pub fn after(&self, done: bool, home: &Path, cancel: &Cancel) -> Result<(), ScriptError> {
        let called_off = cancel.is_cancelled();
        let time_out = self.time_out();
        let time_out = if called_off { time_out.min(TIME_OUT_CANCELLED) } else { time_out };
        let limits = Limits { time_out, grace: self.grace };
        let stop = || !called_off && cancel.is_cancelled();
        self.run(When::After, self.scripts.after.as_ref(), Some(done), home, &limits, &stop)
    }

    fn time_out(&self) -> Duration {
        self.scripts.time_out.unwrap_or(TIME_OUT)
    }

    fn run(
        &self,
        when: When,
        call: Option<&Call>,
        done: Option<bool>,
        home: &Path,
        limits: &Limits,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ScriptError> {
        let Some(call) = call else { return Ok(()) };
        let (program, mut arguments) = call.resolve();
        let failed =
            |reason: String, output: String| ScriptError::Failed { when, program: program.clone(), reason, output };
        if !program.is_absolute() {
            return Err(failed("its path does not begin with a slash".to_owned(), String::new()));
        }
        let real = program.canonicalize().map_err(|error| failed(crate::error::explain(&error), String::new()))?;
        for path in [&program, &real] {
            trust::check_path(path)?;
            path.parent().map_or(Ok(()), trust::check_path)?;
        }
        arguments.extend(done.map(|done| OsString::from(done.to_string())));
        let mut command = Command::new(&real);
        command.args(arguments).env_clear().env("PATH", PATH).env("RESURGAM_HOME", home).current_dir("/");
        command.env("RESURGAM_SOURCE", OsStr::from_bytes(&self.root));
        let Outcome { ended, output } = program::run(command, limits, is_cancelled)
            .map_err(|error| failed(format!("it cannot be run: {}", crate::error::explain(&error)), String::new()))?;
        match ended {
            Ended::Exit(status) if status.success() => Ok(()),
            Ended::Exit(status) => Err(failed(format!("it ended with {status}"), output)),
            Ended::TimedOut => Err(ScriptError::TimedOut { when, program, time_out: limits.time_out, output }),
            Ended::Cancelled => Err(ScriptError::Cancelled),
        }
    }
}

impl Call {
    /// Program and arguments. A script in quotation marks may bring arguments with it, inside or behind them; a path
    /// with spaces that is there wins.
    fn resolve(&self) -> (PathBuf, Vec<OsString>) {
        let quoted = self.script.strip_prefix('"').map(|rest| rest.split_once('"').unwrap_or((rest, "")));
        let (script, behind) = quoted.unwrap_or((&self.script, ""));
        let (program, inside) = match script.split_once(' ') {
            Some(parts) if quoted.is_some() && !Path::new(script).exists() => parts,
            _ => (script, ""),
        };
        let arguments = [inside, behind, &self.arguments].into_iter().flat_map(words).map(OsString::from).collect();
        (PathBuf::from(program), arguments)
    }
}

/// Words between spaces; quotation marks hold words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests;
