//! Ctrl-C while a training runs: it ends with the best so far, and the pipeline goes on.
//!
//! Nobody listens before something asks, so that elsewhere Ctrl-C ends the program as ever; so does a second one.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// What shells expect of a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Whether the user wants what takes long to end.
#[expect(clippy::exit, reason = "a second interrupt ends the program as the first would have without a handler")]
pub(super) fn asked() -> bool {
    static LISTENING: Once = Once::new();
    static ASKED: AtomicBool = AtomicBool::new(false);
    LISTENING.call_once(|| {
        // Where there can be no handler, an interrupt ends the program.
        let _ = ctrlc::set_handler(|| {
            if ASKED.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED);
            }
        });
    });
    ASKED.load(Ordering::Relaxed)
}
