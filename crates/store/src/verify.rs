//! Verifying and mending a volume.
