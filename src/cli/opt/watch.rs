//! What a person sees while a run goes on: the pass at work, once it takes longer than a second; the model after a pass.

use std::cell::RefCell;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Global;
use crate::cli::output;
use crate::cli::progress::patient;
use crate::ir::Model;
use crate::passes::manager::Observer;

pub(super) struct Watch {
    bar: ProgressBar,
    print_after: Option<String>,
    last: RefCell<u64>,
    pass: RefCell<String>,
}

impl Watch {
    pub(super) fn new(global: &Global, print_after: Option<&str>) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        let bar = patient(global, bar);
        Self { bar, print_after: print_after.map(str::to_owned), last: RefCell::new(0), pass: RefCell::default() }
    }

    /// A pass runs the model on samples.
    pub(super) fn measuring(&self, what: &str, done: usize, total: usize) {
        self.bar.set_message(match total {
            0 => self.pass.borrow().clone(),
            _ => format!("{}: {what}, {done} of {total} samples", self.pass.borrow()),
        });
    }

    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Watch {
    fn before(&self, pass: &str) {
        self.bar.set_message(pass.to_owned());
        *self.pass.borrow_mut() = pass.to_owned();
    }

    fn after(&self, pass: &'static str, model: &Model) {
        let changed = self.last.replace(model.revision()) != model.revision();
        match self.print_after.as_deref() {
            Some("*") if changed => {}
            Some(name) if name == pass => {}
            _ => return,
        }
        self.bar.suspend(|| output::line(&format!("# after {pass}\n{}", model.to_brief_text())));
    }
}
