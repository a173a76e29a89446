//! Data of a message that are made when they are written.
//!
//! A weight that is computed from another would take its memory from the moment the message is put together until the last byte is on
//! the disk, and so would all others. A promise is bytes in a message of which only the address and the length count: when the message
//! has become segments, each segment with a promise's address is known again, and made in the moment it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::MmapOptions;

use crate::encode::KEPT;

/// Makes the data that were promised.
type Make = Arc<dyn Fn() -> Bytes + Send + Sync>;

/// Data that are made when they are written.
#[derive(Clone)]
pub(crate) struct Promise {
    len: usize,
    make: Make,
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Promise({} bytes)", self.len)
    }
}

impl Promise {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The data.
    ///
    /// # Panics
    /// Where they are not as long as was promised.
    pub(crate) fn made(&self) -> Bytes {
        let bytes = (self.make)();
        assert_eq!(bytes.len(), self.len, "promised data are of the length that was said");
        bytes
    }
}

/// What a message has promised.
#[derive(Debug, Default)]
pub struct Promises {
    /// By the address of what stands for them, which nothing else has as long as that lives.
    made_later: BTreeMap<usize, (Bytes, Promise)>,
}

impl Promises {
    /// Promises data of a length. What is answered stands for them in a message: an address that nothing else has, and zeros where
    /// somebody looks at it all the same. No memory is behind it. `None` where the data are too short to be worth it, or the system has
    /// no such address.
    pub fn promise(&mut self, len: usize, make: impl Fn() -> Bytes + Send + Sync + 'static) -> Option<Bytes> {
        if len < KEPT {
            return None;
        }
        let place = MmapOptions::new().len(len).map_anon().ok()?.make_read_only().ok()?;
        let stand_in = Bytes::from_owner(place);
        let promise = Promise { len, make: Arc::new(make) };
        self.made_later.insert(stand_in.as_ptr() as usize, (stand_in.clone(), promise));
        Some(stand_in)
    }

    /// What a stretch of a message stands for, if it was promised.
    pub(crate) fn of(&self, bytes: &Bytes) -> Option<&Promise> {
        let (stand_in, promise) = self.made_later.get(&(bytes.as_ptr() as usize))?;
        (stand_in.len() == bytes.len()).then_some(promise)
    }

    /// Whether nothing was promised.
    pub fn is_empty(&self) -> bool {
        self.made_later.is_empty()
    }
}
