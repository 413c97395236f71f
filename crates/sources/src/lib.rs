//! resurgam-sources
