//! resurgam-jobs
