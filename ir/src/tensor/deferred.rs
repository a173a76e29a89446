//! Data that is made when somebody first looks at it.
//!
//! A proof may need weights that a result does not have, as large as the model; where nobody runs the proof, nobody should pay
//! for them.

use std::sync::OnceLock;

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

    /// The length, without making the data.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The data.
    pub(super) fn bytes(&self) -> &Bytes {
        self.made.get_or_init(|| {
            let bytes = (self.make)();
            assert_eq!(bytes.len(), self.length, "deferred data is of the length that was said");
            bytes
        })
    }
}
