//! What a person sees while a run goes on: the pass at work, once it takes longer than a second; the model after a pass.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Global;
use crate::ir::Model;
use crate::passes::manager::Observer;

/// Shows nothing before this long, so that short runs leave no trace.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Watch {
    bar: ProgressBar,
    print_after: Option<String>,
    last: RefCell<u64>,
}

impl Watch {
    pub(super) fn new(global: &Global, print_after: Option<&str>) -> Self {
        let bar = ProgressBar::new_spinner();
        let shown = !global.quiet && !global.json && std::io::stderr().is_terminal();
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
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
        Self { bar, print_after: print_after.map(str::to_owned), last: RefCell::new(0) }
    }

    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Watch {
    fn before(&self, pass: &str) {
        self.bar.set_message(pass.to_owned());
    }

    fn after(&self, pass: &'static str, model: &Model) {
        let changed = self.last.replace(model.revision()) != model.revision();
        match self.print_after.as_deref() {
            Some("*") if changed => {}
            Some(name) if name == pass => {}
            _ => return,
        }
        self.bar.suspend(|| eprintln!("# after {pass}\n{}", model.to_brief_text()));
    }
}
