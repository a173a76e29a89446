//! Values between two layers: in memory as long as there is room, the others laid aside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use onnxpress_ir::{DType, Tensor};
use onnxpress_ops::evaluate::Value;

use crate::evidence::{Aside, EvidenceError};

/// The most bytes of values that stay in memory where others can be laid aside.
const ROOM: usize = 64 << 20;
/// Values of fewer bytes stay in any case.
const SMALL: usize = 64 << 10;

/// Where values are kept.
pub(super) struct Shelf {
    aside: Option<Box<dyn Aside>>,
    room: usize,
    /// Bytes of values that are in memory.
    used: AtomicUsize,
}

/// A value that is kept.
pub(super) struct Kept {
    place: Place,
    shelf: Arc<Shelf>,
}

enum Place {
    Here { value: Box<Value>, bytes: usize },
    Aside { dtype: DType, dims: Vec<usize>, at: u64, bytes: usize },
}

impl Shelf {
    /// One that lays aside where somebody takes it.
    pub(super) fn new(aside: Option<Box<dyn Aside>>) -> Arc<Self> {
        Self::with_room(aside, ROOM)
    }

    fn with_room(aside: Option<Box<dyn Aside>>, room: usize) -> Arc<Self> {
        Arc::new(Self { aside, room, used: AtomicUsize::new(0) })
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// Where there is no room for it anywhere.
    pub(super) fn keep(self: &Arc<Self>, value: Value) -> Result<Arc<Kept>, EvidenceError> {
        let bytes = match &value {
            Value::Tensor(tensor) => tensor.bytes().map_or(0, |bytes| bytes.len()),
            _ => 0,
        };
        let full = bytes >= SMALL && self.used.load(Ordering::Relaxed).saturating_add(bytes) > self.room;
        let place = match (&self.aside, &value) {
            (Some(aside), Value::Tensor(tensor)) if full => {
                let at = aside.put(tensor.bytes().map_or(&[], |bytes| &bytes[..]))?;
                Place::Aside { dtype: tensor.dtype(), dims: tensor.dims().to_vec(), at, bytes }
            }
            _ => {
                self.used.fetch_add(bytes, Ordering::Relaxed);
                Place::Here { value: Box::new(value), bytes }
            }
        };
        Ok(Arc::new(Kept { place, shelf: Arc::clone(self) }))
    }
}

impl Kept {
    /// The value.
    ///
    /// # Errors
    /// Where it cannot be had back.
    pub(super) fn value(&self) -> Result<Value, EvidenceError> {
        match (&self.place, &self.shelf.aside) {
            (Place::Aside { dtype, dims, at, bytes }, Some(aside)) => {
                let tensor = Tensor::from_bytes(*dtype, dims, aside.get(*at, *bytes)?.into());
                tensor.map(Value::Tensor).map_err(|error| EvidenceError::Run(error.to_string()))
            }
            (Place::Here { value, .. }, _) => Ok(Value::clone(value)),
            (Place::Aside { .. }, None) => Err(EvidenceError::Run("what was laid aside is gone".to_owned())),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        match (&self.place, &self.shelf.aside) {
            (Place::Here { bytes, .. }, _) => {
                self.shelf.used.fetch_sub(*bytes, Ordering::Relaxed);
            }
            (Place::Aside { at, bytes, .. }, Some(aside)) => aside.free(*at, *bytes),
            (Place::Aside { .. }, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use super::*;

    /// Slots of bytes.
    #[derive(Clone, Default)]
    struct Slots(Arc<Mutex<Vec<Option<Vec<u8>>>>>);

    impl Aside for Slots {
        fn put(&self, bytes: &[u8]) -> Result<u64, EvidenceError> {
            let mut slots = self.0.lock().unwrap();
            slots.push(Some(bytes.to_vec()));
            Ok(slots.len() as u64 - 1)
        }
        fn get(&self, at: u64, _: usize) -> Result<Vec<u8>, EvidenceError> {
            Ok(self.0.lock().unwrap()[at as usize].clone().unwrap())
        }
        fn free(&self, at: u64, _: usize) {
            self.0.lock().unwrap()[at as usize] = None;
        }
    }

    #[test]
    fn what_memory_has_no_room_for_is_laid_aside_until_nobody_needs_it() {
        let slots = Slots::default();
        let aside = || slots.0.lock().unwrap().iter().flatten().count();
        let large = |number: f32| Value::Tensor(Tensor::vector(vec![number; SMALL / 4]));
        let shelf = Shelf::with_room(Some(Box::new(slots.clone())), SMALL + 4);
        let first = shelf.keep(large(1.0)).unwrap();
        let second = shelf.keep(large(2.0)).unwrap();
        let little = shelf.keep(Value::Tensor(Tensor::vector(vec![3f32; 9]))).unwrap();
        assert_eq!(aside(), 1);
        assert_eq!(first.value().unwrap(), large(1.0));
        assert_eq!(second.value().unwrap(), large(2.0));
        drop(first);
        drop(little);
        let third = shelf.keep(large(4.0)).unwrap();
        assert_eq!(aside(), 1, "there is room again");
        drop(second);
        assert_eq!((aside(), third.value().unwrap()), (0, large(4.0)));
    }
}
