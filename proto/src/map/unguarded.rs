//! Where the system refuses to cut a file that is mapped (Windows), no guard is needed.

use std::io;

#[derive(Debug)]
pub(super) struct Watch;

impl Watch {
    pub(super) fn new(_map: &[u8]) -> io::Result<Watch> {
        Ok(Watch)
    }

    pub(super) fn was_cut(&self) -> bool {
        false
    }
}
