//! The first of many samples, where more say little more and each takes its time.

use onnxpress_ir::Model;

use super::{Aside, EvidenceError, EvidenceSource, Execute, Feed};

/// A source of which no more than so many samples are taken, and what a batch has beyond.
pub(crate) struct First<'s> {
    pub(crate) source: &'s dyn EvidenceSource,
    pub(crate) count: usize,
}

impl EvidenceSource for First<'_> {
    fn describe(&self) -> String {
        self.source.describe()
    }

    fn samples(&self) -> usize {
        self.source.samples().min(self.count)
    }

    fn is_synthetic(&self) -> bool {
        self.source.is_synthetic()
    }

    fn feed(
        &self,
        model: &Model,
        batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        let mut done = 0;
        self.source.feed(model, batch, &mut |feed| {
            if done >= self.count {
                return Ok(());
            }
            done += feed.len;
            each(feed)
        })
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
        self.source.progress(what, done, total);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::testing::{AtHand, typed};

    #[test]
    fn no_more_is_handed_on_than_wanted() {
        let model = typed("<ir_version: 8, opset_import: [\"\" : 17]> net (float[N,3] x) => (y) { y = Relu(x) }");
        let samples = AtHand::new(50, &[3]);
        for (count, seen) in [(20, 20), (25, 30), (500, 50)] {
            let mut fed = 0;
            let first = First { source: &samples, count };
            first
                .feed(&model, 10, &mut |feed| {
                    fed += feed.len;
                    Ok(())
                })
                .unwrap();
            assert_eq!((fed, first.samples()), (seen, count.min(50)));
        }
    }
}
