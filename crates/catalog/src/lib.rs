//! resurgam-catalog
