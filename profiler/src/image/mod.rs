//! Reading and writing container images.
//!
//! A [`Source`] names an image by transport (`docker-daemon:`,
//! `docker-archive:`, `oci:`, `oci-archive:`); [`open`] gives its config and
//! layers with every layer's bytes reachable at random, and [`tree::Tree`]
//! is the rootfs that the layers stack up to. [`write`] stores a filtered
//! copy.
