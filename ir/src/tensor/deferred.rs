//! Data that is made when somebody first looks at it.
//!
//! A proof may need weights that a result does not have, as large as the model; where nobody runs the proof, nobody should pay
//! for them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// Packed data of a known length, made once.
pub(super) struct Deferred {
    length: usize,
    made: OnceLock<Bytes>,
    make: Box<dyn Fn() -> Bytes + Send + Sync>,
}

impl Deferred {
    pub(super) fn new(length: usize, make: Box<dyn Fn() -> Bytes + Send + Sync>) -> Self {
        Self { length, made: OnceLock::new(), make }
    }

    /// The data, which are made for the caller alone where nobody looked at them before.
    fn once(&self) -> Bytes {
        self.made.get().cloned().unwrap_or_else(|| self.fresh())
    }

    fn fresh(&self) -> Bytes {
        let bytes = (self.make)();
        assert_eq!(bytes.len(), self.length, "deferred data is of the length that was said");
        bytes
    }

    /// Whether somebody looked at the data.
    pub(super) fn is_made(&self) -> bool {
        self.made.get().is_some()
    }

    /// The length, without making the data.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The data.
    pub(super) fn bytes(&self) -> &Bytes {
        self.made.get_or_init(|| self.fresh())
    }
}

/// Data that are still to be made, for whoever needs them once and has no room to keep them.
#[derive(Clone)]
pub struct Unmade(pub(super) Arc<Deferred>);

impl Unmade {
    /// How many bytes they take.
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// Makes them. The tensor does not keep them.
    pub fn make(&self) -> Bytes {
        self.0.once()
    }
}
