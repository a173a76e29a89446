//! The rows of a layer, batch by batch, and the results that belong to them: some to fit it to, others held back.

use onnxpress_ir::ValueId;
use onnxpress_ops::{InputRows, LayerRows};

use super::batch::{Batch, Elements, kept_elements};
use super::stream::Stream;
use crate::evidence::{CrossMoment, EvidenceError, SecondMoment, chosen_rows};

/// Of so many samples one is held back.
const HELD: usize = 4;

/// How a layer's rows are read, of the model that is compressed, and its results, of the original.
pub(super) struct Reading<'a> {
    pub(super) reader: &'a LayerRows,
    /// What it multiplies.
    pub(super) input: ValueId,
    /// What it answers, where that is to be read.
    pub(super) output: Option<ValueId>,
    /// What its results are added to, in the original and in the other model.
    pub(super) stream: Option<Stream>,
    pub(super) is: Option<ValueId>,
    /// What is wrong, with the layer's name.
    pub(super) said: &'a (dyn Fn(String) -> EvidenceError + Sync),
}

/// Rows that are summed together at least, as long as more come: a product of few rows takes as long as adding it to the sums.
const TOGETHER: usize = 512;

/// Rows and the results that belong to them, one after the other.
#[derive(Debug, Default)]
pub(super) struct Rows {
    x: Vec<f32>,
    y: Vec<f32>,
}

/// The rows of a batch and a group, by use.
#[derive(Debug, Default)]
pub(super) struct Divided {
    fitted: Rows,
    held: Rows,
}

impl Rows {
    /// Takes others behind them, and adds all to moments where they are enough.
    fn take(&mut self, others: Self, sums: &mut (SecondMoment, CrossMoment)) {
        self.x.extend(others.x);
        self.y.extend(others.y);
        if self.x.len() >= TOGETHER * sums.0.columns() {
            self.add_to(sums);
        }
    }

    /// Adds them to moments, and has none from then on.
    fn add_to(&mut self, (moment, cross): &mut (SecondMoment, CrossMoment)) {
        moment.add(&self.x);
        cross.add(&self.y, &self.x);
        *self = Self::default();
    }
}

/// The moments of a group: of rows to fit to, of those held back, and rows that wait to be added.
#[derive(Debug)]
pub(super) struct Sums {
    fitted: (SecondMoment, CrossMoment),
    held: (SecondMoment, CrossMoment),
    waiting: Divided,
}

impl Sums {
    pub(super) fn new(outputs: usize, columns: usize) -> Self {
        let none = (SecondMoment::new(columns), CrossMoment::new(outputs, columns));
        Self { fitted: none.clone(), held: none, waiting: Divided::default() }
    }

    /// Takes in rows.
    pub(super) fn take(&mut self, rows: Divided) {
        self.waiting.fitted.take(rows.fitted, &mut self.fitted);
        self.waiting.held.take(rows.held, &mut self.held);
    }

    /// The moments of all rows, and of those that are held back.
    pub(super) fn all_and_held(mut self) -> ((SecondMoment, CrossMoment), (SecondMoment, CrossMoment)) {
        self.waiting.fitted.add_to(&mut self.fitted);
        self.waiting.held.add_to(&mut self.held);
        self.fitted.0.merge(&self.held.0);
        self.fitted.1.merge(&self.held.1);
        (self.fitted, self.held)
    }
}

impl Reading<'_> {
    /// The rows of a batch, one a group.
    ///
    /// # Errors
    /// Where what is there is not what the layer reads.
    pub(super) fn rows(&self, batch: &Batch) -> Result<Vec<Divided>, EvidenceError> {
        let nothing = || (self.said)("its input is not a tensor of numbers".to_owned());
        let (x, dims) = kept_elements(&batch.compressed, self.input, batch)?.ok_or_else(nothing)?;
        let y = self.results(batch)?;
        let input = self.reader.over(&dims).map_err(self.said)?;
        let which = chosen_rows(&input, batch.before, batch.len, batch.padding.as_ref());
        let (held, fitted): (Vec<usize>, Vec<usize>) = which.into_iter().partition(|&row| is_held(&input, batch, row));
        let read = |group: usize, which: &[usize]| {
            let mut rows = Rows::default();
            input.read(&x, group, which, &mut rows.x)?;
            if let Some((y, dims)) = &y {
                self.reader.read_results(y, dims, group, which, &mut rows.y)?;
            }
            Ok::<Rows, String>(rows)
        };
        let divided = |group| Ok(Divided { fitted: read(group, &fitted)?, held: read(group, &held)? });
        (0..self.reader.groups()).map(divided).collect::<Result<_, String>>().map_err(self.said)
    }

    /// What the layer should answer to a batch, with what the stream behind it has lost.
    fn results(&self, batch: &Batch) -> Result<Option<Elements>, EvidenceError> {
        let Some(output) = self.output else { return Ok(None) };
        let mut results = kept_elements(&batch.original, output, batch)?;
        if let (Some(stream), Some(is), Some((y, dims))) = (&self.stream, self.is, &mut results) {
            let was = kept_elements(&batch.original, stream.value, batch)?;
            let is = kept_elements(&batch.compressed, is, batch)?;
            if let (Some((was, a)), Some((is, b))) = (was, is)
                && a == *dims
                && b == *dims
            {
                stream.give(y, dims, &was, &is);
            }
        }
        Ok(results)
    }
}

/// Is a row one of a sample that is held back? Where rows do not stand sample by sample none is.
fn is_held(input: &InputRows<'_>, batch: &Batch, row: usize) -> bool {
    let per_sample = input.count() / batch.len.max(1);
    let apart = per_sample > 0 && per_sample * batch.len == input.count();
    apart && (batch.before + row / per_sample) % HELD == HELD - 1
}
