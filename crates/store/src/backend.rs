//! Where a volume lies.
