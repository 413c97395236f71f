//! Scripts around the jobs of a source, as `ScriptingConfig.xml` in the home says.

use resurgam_model::{bytepath::escape, policy::Source};
use resurgam_sources::scripting::{ScriptError, ScriptingConfig};
use resurgam_store::{Cancel, StoreError};

use crate::{error::JobError, server::Server};

/// The folder in the home that holds `ScriptingConfig.xml`.
const FOLDER: &str = "Scripting";

impl Server {
    /// Runs `work` between the scripts of a source. They are read anew each time. The second one runs whatever came of the
    /// work, and is told.
    pub(crate) fn with_scripts<T>(
        &self,
        source: &Source,
        cancel: &Cancel,
        work: impl FnOnce() -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        let failed = |error: ScriptError| {
            if error.is_cancelled() {
                return StoreError::Cancelled.into();
            }
            JobError::request("script", format!("{}: {error}", escape(&source.root)), error.remedy())
        };
        let config = ScriptingConfig::read(&self.home.join(FOLDER)).map_err(failed)?;
        let Some(scripts) = config.for_source(&source.root) else { return work() };
        scripts.before(&self.home, cancel).map_err(failed)?;
        let done = work();
        let after = scripts.after(done.is_ok(), &self.home, cancel).map_err(failed);
        // What the work itself has to say comes first.
        let value = done?;
        after.map(|()| value)
    }
}
