//! What the reader of a file keeps for its writer.
//!
//! A file says more than the graph models: denotations, presence of empty fields, segments, the form in which a weight
//! was stored. The reader hangs its own message on the entity that it became, and the writer finds it there, so that
//! what no pass touched is written as it came. This crate neither looks inside nor knows the type.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// An opaque companion of an entity; empty for whatever a pass made.
#[derive(Clone, Default)]
pub struct Carried(Option<Arc<dyn Any + Send + Sync>>);

impl Carried {
    /// Nothing: the entity did not come from a file.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Keeps `companion`.
    pub fn new<T: Any + Send + Sync>(companion: T) -> Self {
        Self(Some(Arc::new(companion)))
    }

    /// Whether there is a companion.
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The companion, if there is one and it is a `T`.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.as_deref().and_then(|any| any.downcast_ref())
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Carried(..)" } else { "Carried(none)" })
    }
}
