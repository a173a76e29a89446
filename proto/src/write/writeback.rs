//! Writing to a file while the disk already takes what was written.
//!
//! Left alone, Linux keeps what is written in memory until somebody asks for it to be brought to the disk,
//! and the disk idles meanwhile. Asked every few megabytes, it works alongside, and the final `fsync` finds
//! most of its work done: the time becomes the longer of copying and storing, not their sum.

use std::fs::File;
use std::io::{self, IoSlice, Write};

/// Bytes after which the disk is asked again: large enough that the asking costs nothing.
#[cfg(target_os = "linux")]
const STEP: u64 = 8 << 20;

/// A file that is written from its beginning to its end.
pub(super) struct Writeback<'a> {
    file: &'a File,
    #[cfg(target_os = "linux")]
    written: u64,
    /// How much of it the disk was asked for.
    #[cfg(target_os = "linux")]
    asked: u64,
}

impl<'a> Writeback<'a> {
    pub(super) fn new(file: &'a File) -> Writeback<'a> {
        Writeback {
            file,
            #[cfg(target_os = "linux")]
            written: 0,
            #[cfg(target_os = "linux")]
            asked: 0,
        }
    }

    #[cfg(target_os = "linux")]
    fn note(&mut self, count: usize) {
        use std::os::fd::AsRawFd as _;
        self.written += count as u64;
        let waiting = self.written - self.asked;
        if waiting >= STEP {
            let (from, len) = (self.asked as libc::off64_t, waiting as libc::off64_t);
            // SAFETY: a plain call on an open file. Its answer does not matter: this is a hint, and
            // whatever goes wrong on the way to the disk, `fsync` tells.
            unsafe { libc::sync_file_range(self.file.as_raw_fd(), from, len, libc::SYNC_FILE_RANGE_WRITE) };
            self.asked = self.written;
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn note(&mut self, _count: usize) {}
}

impl Write for Writeback<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.note(count);
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.file.write_vectored(slices)?;
        self.note(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
