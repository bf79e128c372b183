//! Not written yet.

pub mod config;
