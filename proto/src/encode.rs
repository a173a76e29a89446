//! Messages as bytes, without copying a weight.
//!
//! prost encodes into a `BufMut`. The one here puts small fields together in a buffer and keeps a
//! `Bytes` field of [`KEPT`] bytes or more as it is: a segment that shares the memory, or the mapped
//! file, that it came from. A model of gigabytes is so encoded in the time its small fields take, and
//! its length is known before a byte is written.

use std::io::{self, IoSlice, Write};

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::promise::{Promise, Promises};

/// Fields of this many bytes or more become segments of their own. Below a page, copying is cheaper than
/// one more slice to keep and to write.
pub(crate) const KEPT: usize = 4096;

/// Bytes in one call of the system, at offsets that are multiples of it. What `cp` writes at a time too: in
/// one call for all, the page cache allocates in pieces so large that making room for them costs more than
/// twice the time of the copy itself (measured on ext4 with 1.9 GB).
const BATCH: usize = 256 * 1024;

/// Slices in one vectored write: the most that Linux takes (`IOV_MAX`).
const SLICES: usize = 1024;

/// Largest model, in bytes, that protobuf's own readers take in a single message. Above it the weights
/// must go to external data, or nobody else can read the file.
pub const MESSAGE_LIMIT: u64 = i32::MAX as u64;

/// Bytes that `message` takes when encoded. Costs one walk over its fields, and no memory.
pub fn encoded_len(message: &impl Message) -> u64 {
    message.encoded_len() as u64
}

/// A part of a file's content.
#[derive(Debug, Clone)]
enum Segment {
    /// At hand.
    Here(Bytes),
    /// Made when it is written.
    Promised(Promise),
}

/// The content of a file, as segments that may share memory with where they came from.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    segments: Vec<Segment>,
    len: u64,
}

impl Encoded {
    /// Encodes `message`: fields in the order of their numbers, as protobuf's own writers do.
    pub fn of(message: &impl Message) -> Encoded {
        let mut buffer = SegmentBuf::default();
        message.encode(&mut buffer).expect("a segment buffer has no end");
        buffer.cut();
        buffer.done
    }

    /// Total length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same content, where segments stand for what was promised.
    #[must_use]
    pub fn with_promises(mut self, promises: &Promises) -> Encoded {
        for segment in &mut self.segments {
            if let Segment::Here(bytes) = segment
                && let Some(promise) = promises.of(bytes)
            {
                debug_assert_eq!(promise.len(), bytes.len());
                *segment = Segment::Promised(promise.clone());
            }
        }
        self
    }

    /// Puts `bytes` at the end, without a copy.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len() as u64;
            self.segments.push(Segment::Here(bytes));
        }
    }

    /// Writes all segments, many with each call of the system. What was promised is made when its turn comes, and goes once it is
    /// written.
    ///
    /// # Errors
    /// What `to` reports; a call that was interrupted is repeated.
    pub fn write_to(&self, to: &mut impl Write) -> io::Result<()> {
        let mut room = BATCH;
        let mut batch = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Here(bytes) => gather(bytes, &mut batch, &mut room, to)?,
                Segment::Promised(promise) => {
                    write_all_vectored(to, &mut batch)?;
                    batch.clear();
                    let made = promise.made();
                    let mut own = Vec::new();
                    gather(&made, &mut own, &mut room, to)?;
                    write_all_vectored(to, &mut own)?;
                }
            }
        }
        write_all_vectored(to, &mut batch)?;
        to.flush()
    }
}

/// Adds bytes to what the next call of the system writes, and makes that call as often as it is full. `room` is what is left of it.
fn gather<'b>(
    mut rest: &'b [u8],
    batch: &mut Vec<IoSlice<'b>>,
    room: &mut usize,
    to: &mut impl Write,
) -> io::Result<()> {
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(*room));
        batch.push(IoSlice::new(now));
        *room -= now.len();
        rest = later;
        if *room == 0 || batch.len() == SLICES {
            write_all_vectored(to, batch)?;
            batch.clear();
            *room = if *room == 0 { BATCH } else { *room };
        }
    }
    Ok(())
}

fn write_all_vectored(to: &mut impl Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match to.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where prost encodes to: small fields are gathered, large ones kept.
#[derive(Default)]
struct SegmentBuf {
    done: Encoded,
    small: BytesMut,
}

impl SegmentBuf {
    /// Ends the segment of small fields.
    fn cut(&mut self) {
        self.done.push(self.small.split().freeze());
    }
}

// SAFETY: `chunk_mut` and `advance_mut` are those of `small`, which upholds the contract; `remaining_mut`
// is a bound that `small` grows to as needed.
unsafe impl BufMut for SegmentBuf {
    fn remaining_mut(&self) -> usize {
        usize::MAX
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller's promise is about the chunk that `small` gave out.
        unsafe { self.small.advance_mut(count) }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.small.chunk_mut()
    }

    fn put_slice(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    fn put<T: Buf>(&mut self, mut bytes: T) {
        let len = bytes.remaining();
        if len >= KEPT {
            self.cut();
            // Of a `Bytes` this is a slice, not a copy.
            self.done.push(bytes.copy_to_bytes(len));
        } else {
            self.small.put(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::samples;
    use proptest::prelude::*;

    fn written(encoded: &Encoded) -> Vec<u8> {
        let mut bytes = Vec::new();
        encoded.write_to(&mut bytes).unwrap();
        bytes
    }

    /// A model with weights on both sides of the limit between copied and kept.
    fn model() -> crate::schema::ModelProto {
        let mut model = samples::model();
        let graph = model.graph.as_mut().unwrap();
        for len in [0, 1, KEPT - 1, KEPT, KEPT + 1, 3 * KEPT] {
            graph.initializer.push(samples::tensor(&format!("w{len}"), vec![len as u8; len]));
        }
        model
    }

    #[test]
    fn segments_together_are_what_prost_encodes() {
        let model = model();
        let encoded = Encoded::of(&model);
        assert_eq!(written(&encoded), model.encode_to_vec());
        assert_eq!(encoded.len(), encoded_len(&model));
        assert_eq!(encoded.segments.len(), 2 * 3 + 1, "three kept weights, and what is before each and behind");
    }

    #[test]
    fn a_large_weight_is_kept_not_copied() {
        let model = model();
        let weight = model.graph.as_ref().unwrap().initializer[7].raw_data.clone().unwrap();
        let encoded = Encoded::of(&model);
        let same = |segment: &Segment| matches!(segment, Segment::Here(bytes) if bytes.as_ptr() == weight.as_ptr());
        assert!(encoded.segments.iter().any(same));
    }

    #[test]
    fn what_is_promised_is_made_when_it_is_written_and_only_then() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        let mut promises = Promises::default();
        let mut model = model();
        let (len, made) = (3 * BATCH + 5, Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&made);
        let make = move || {
            count.fetch_add(1, Ordering::Relaxed);
            Bytes::from(vec![7; len])
        };
        let stand_in = promises.promise(len, make).unwrap();
        assert_eq!(
            promises.promise(KEPT - 1, Bytes::new),
            None,
            "what is short is copied, and would not be known again"
        );
        model.graph.as_mut().unwrap().initializer.insert(1, samples::tensor("later", Vec::new()));
        model.graph.as_mut().unwrap().initializer[1].raw_data = Some(stand_in);
        let encoded = Encoded::of(&model).with_promises(&promises);
        assert_eq!(made.load(Ordering::Relaxed), 0);
        let bytes = written(&encoded);
        assert_eq!((made.load(Ordering::Relaxed), bytes.len() as u64), (1, encoded.len()));
        model.graph.as_mut().unwrap().initializer[1].raw_data = Some(Bytes::from(vec![7; len]));
        assert!(bytes == model.encode_to_vec());
    }

    #[test]
    fn a_writer_that_takes_little_at_a_time_gets_everything() {
        /// Takes seven bytes a call, and is interrupted every other time.
        struct Slow(Vec<u8>, bool);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let taken = bytes.len().min(7);
                self.0.extend_from_slice(&bytes[..taken]);
                Ok(taken)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let model = model();
        let mut slow = Slow(Vec::new(), false);
        Encoded::of(&model).write_to(&mut slow).unwrap();
        assert_eq!(slow.0, model.encode_to_vec());
    }

    #[test]
    fn more_segments_than_one_call_takes() {
        let mut encoded = Encoded::default();
        for i in 0..3000_u32 {
            encoded.push(Bytes::copy_from_slice(&i.to_le_bytes()));
        }
        assert_eq!(written(&encoded).len() as u64, encoded.len());
    }

    #[test]
    fn calls_end_at_multiples_of_the_batch() {
        /// Notes where each call starts.
        struct Starts(Vec<usize>, usize);
        impl Write for Starts {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.write_vectored(&[IoSlice::new(bytes)])
            }
            fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                let len = slices.iter().map(|slice| slice.len()).sum();
                self.0.push(self.1);
                self.1 += len;
                Ok(len)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut encoded = Encoded::default();
        for len in [10, 3 * BATCH, 1, BATCH] {
            encoded.push(vec![0; len].into());
        }
        let mut starts = Starts(Vec::new(), 0);
        encoded.write_to(&mut starts).unwrap();
        assert_eq!(starts.0, [0, BATCH, 2 * BATCH, 3 * BATCH, 4 * BATCH]);
        assert_eq!(starts.1 as u64, encoded.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// Bytes, not messages, are compared: a NaN is not equal to itself.
        #[test]
        fn what_decodes_is_the_same_when_it_was_encoded_and_decoded_again(bytes in samples::mutated()) {
            if let Ok(decoded) = crate::read::ModelFile::from_bytes("m", bytes.into()).and_then(|file| file.decode()) {
                let once = written(&Encoded::of(&decoded.model));
                let again = crate::schema::ModelProto::decode(once.as_slice()).unwrap();
                prop_assert_eq!(written(&Encoded::of(&again)), once);
            }
        }
    }
}
