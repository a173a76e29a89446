//! Samples in two parts: those that losses are estimated from, and those that the estimates are held against.
//!
//! A layer of a thousand columns is fitted to a hundred samples without any loss, whatever is left of it. How much that is worth
//! shows on samples that it was not fitted to.

use onnxpress_ir::Model;

use crate::evidence::{Aside, EvidenceError, EvidenceSource, Execute, Feed};

/// Samples at a time.
const BATCH: usize = 16;
/// Of so many batches one is held back.
const EVERY: usize = 4;

/// One of the two parts of what a source hands out; of few samples both are all.
pub(super) struct Part<'s> {
    source: &'s dyn EvidenceSource,
    held: Option<bool>,
}

impl<'s> Part<'s> {
    fn new(source: &'s dyn EvidenceSource, held: bool) -> Self {
        Self { source, held: (source.samples() >= BATCH * EVERY).then_some(held) }
    }

    /// What estimates are made of.
    pub(super) fn seen(source: &'s dyn EvidenceSource) -> Self {
        Self::new(source, false)
    }

    /// What is held back.
    pub(super) fn held(source: &'s dyn EvidenceSource) -> Self {
        Self::new(source, true)
    }
}

impl EvidenceSource for Part<'_> {
    fn describe(&self) -> String {
        self.source.describe()
    }

    fn samples(&self) -> usize {
        self.source.samples()
    }

    fn is_synthetic(&self) -> bool {
        self.source.is_synthetic()
    }

    fn feed(
        &self,
        model: &Model,
        _batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        let (mut number, mut given) = (0, 0);
        self.source.feed(model, BATCH, &mut |feed| {
            number += 1;
            let held = number % EVERY == 0;
            if self.held.is_some_and(|wanted| wanted != held) {
                return Ok(());
            }
            given += 1;
            each(feed)
        })?;
        // A model that takes large batches only leaves none to hold back.
        if given == 0 { self.source.feed(model, BATCH, each) } else { Ok(()) }
    }

    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError> {
        self.source.load(model)
    }

    fn aside(&self) -> Option<Box<dyn Aside>> {
        self.source.aside()
    }

    fn interrupted(&self) -> bool {
        self.source.interrupted()
    }

    fn progress(&self, what: &str, done: usize, total: usize) {
        // How far trials are is told by who makes them.
        if self.held != Some(true) {
            self.source.progress(what, done, total);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::{AtHand, typed};

    fn count(part: &Part<'_>) -> usize {
        let model =
            typed("<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,2] x) => (float[N,2] y) { y = Relu(x) }");
        let mut samples = 0;
        let mut each = |feed: Feed<'_>| {
            samples += feed.len;
            Ok(())
        };
        part.feed(&model, 1, &mut each).unwrap();
        samples
    }

    #[test]
    fn a_quarter_is_held_back_of_samples_that_are_not_few() {
        let many = AtHand::new(96, &[2]);
        assert_eq!((count(&Part::seen(&many)), count(&Part::held(&many))), (80, 16));
        let few = AtHand::new(60, &[2]);
        assert_eq!((count(&Part::seen(&few)), count(&Part::held(&few))), (60, 60));
    }
}
