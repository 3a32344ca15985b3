//! Event types shared by both sides.
#![no_std]
