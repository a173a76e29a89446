//! Bars and spinners for people who wait.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::Global;

/// Shows nothing before this long, so that short runs leave no trace.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that appears once the run takes long, if there is someone to look at it.
pub(super) fn patient(global: &Global, bar: ProgressBar) -> ProgressBar {
    let shown = !global.quiet && !global.json && std::io::stderr().is_terminal();
    bar.set_draw_target(ProgressDrawTarget::hidden());
    if shown {
        let late = bar.clone();
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            if !late.is_finished() {
                late.set_draw_target(ProgressDrawTarget::stderr());
                late.enable_steady_tick(Duration::from_millis(100));
            }
        });
    }
    bar
}
