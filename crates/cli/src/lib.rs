//! resurgam
