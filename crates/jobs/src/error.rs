//! Why a job or a request did not do what was asked.

use resurgam_sources::SourceError;
use resurgam_store::StoreError;
use resurgam_catalog::CatalogError;

/// What went wrong. Each has a code that programs can rely on, and a remedy.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A volume failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source or a target failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// What was asked for makes no sense here.
    #[error("{message}")]
    Request {
        /// A stable word.
        code: &'static str,
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: String,
    },
}

impl JobError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Source(_) => "source",
            Self::Catalog(_) => "catalog",
            Self::Request { code, .. } => code,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Request { remedy, .. } => remedy.clone(),
            _ => String::new(),
        }
    }

    /// Whether somebody asked for the work to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Store(StoreError::Cancelled))
    }
}
