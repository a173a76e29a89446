//! The command line as a user meets it: the built binary is run, and what counts is its exit code, what it says, and which
//! files stand in the folder afterwards.
//!
//! Messages are snapshots, because they are the product here: whoever changes one sees it and reads it.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bad_bytes;
mod bad_external_data;
mod bad_graphs;
mod bad_requests;
mod changing_input;
mod compress;
mod declared_types;
mod digits;
mod distil;
mod eval;
mod evidence;
mod external_data;
mod low_bits;
mod pipes;
mod proof;
mod pruning;
mod quantize;
mod reports;
mod settled;
mod small_models;
mod unwritable_output;
mod workplace;
