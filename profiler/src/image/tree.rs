//! The rootfs that an image's layers stack up to.
