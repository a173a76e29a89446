//! What data take once they are compressed: zeros, codes and repeated values take their bytes in a plain file, and almost none in a
//! package.

use std::io::{self, Read, Write};

use bytes::Bytes;
use ruzstd::encoding::{CompressionLevel, compress};

/// Reads parts one after the other.
struct Joined<'a> {
    parts: std::slice::Iter<'a, Bytes>,
    left: &'a [u8],
}

impl Read for Joined<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.parts.next() {
                Some(part) => self.left = part,
                None => return Ok(0),
            }
        }
        self.left.read(into)
    }
}

/// Counts bytes and forgets them.
#[derive(Default)]
struct Counted(usize);

impl Write for &mut Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of some data, one after the other, after zstd at its fastest level.
pub(crate) fn zstd(parts: &[Bytes]) -> usize {
    let mut counted = Counted::default();
    compress(Joined { parts: parts.iter(), left: &[] }, &mut counted, CompressionLevel::Fastest);
    counted.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_take_next_to_nothing() {
        let mut random = onnxpress_ir::random::SplitMix64::new(1);
        let noise: Vec<u8> = (0..4096).map(|_| random.bits() as u8).collect();
        let (zeros, noise) = (Bytes::from(vec![0; 4096]), Bytes::from(noise));
        assert!(zstd(std::slice::from_ref(&zeros)) < 40);
        assert!(zstd(&[noise.clone(), zeros]) < 4096 + 100);
        assert!(zstd(&[noise]) > 4000);
        assert!(zstd(&[]) < 40);
    }
}
