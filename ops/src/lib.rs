//! The operators.

pub mod schema;
