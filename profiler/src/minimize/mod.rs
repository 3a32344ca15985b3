//! minimize.
