//! Where evidence comes from: samples, and someone who runs models on them.

use onnxpress_ir::Model;
use onnxpress_ops::evaluate::Value;

use super::Archive;

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The samples cannot be read, or do not suit the model.
    #[error("{0}")]
    Samples(String),
    /// The model cannot be run, or not with its inner values for outputs.
    #[error("the model cannot be run on the samples: {0}")]
    Run(String),
    /// What was kept of an earlier run cannot be read, or what was measured cannot be kept.
    #[error("{0}")]
    Archive(String),
    /// What is asked for does not exist in the model.
    #[error("{site}: {reason}")]
    Site {
        /// The value or node.
        site: String,
        /// Why nothing can be known of it.
        reason: String,
    },
}

/// Some samples as a model takes them.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// One entry an input of the model, in order; `None` takes the input's default.
    pub inputs: &'a [Option<Value>],
    /// How many samples these are.
    pub len: usize,
    /// How many the tensors have: a last batch of a model that takes no smaller one is filled up with its last sample.
    pub size: usize,
    /// The right class of each of the samples, where that is known.
    pub labels: Option<&'a [i64]>,
}

/// What a process holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Now.
    pub now: u64,
    /// At most, so far.
    pub most: u64,
}

/// Hands out samples and runs models, for passes, which know neither files nor runtimes.
pub trait EvidenceSource {
    /// What the samples are, as reports say it: `200 samples of train.npz`.
    fn describe(&self) -> String;

    /// How many samples there are.
    fn samples(&self) -> usize;

    /// Whether the samples are made up, because none were given.
    fn is_synthetic(&self) -> bool;

    /// Hands all samples to `each` in order, about `batch` at a time, as `model` takes them. The same samples in the same batches
    /// every time that it is called with the same number.
    ///
    /// # Errors
    /// Where the samples cannot be read or do not suit the model, and what `each` answers.
    fn feed(
        &self,
        model: &Model,
        batch: usize,
        each: &mut dyn FnMut(Feed<'_>) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError>;

    /// Makes ready to run a model; it may be a part of one, with inner values for inputs.
    ///
    /// # Errors
    /// Where nobody runs it. That may also turn out only when it is run.
    fn load<'m>(&self, model: &'m Model) -> Result<Box<dyn Execute + 'm>, EvidenceError>;

    /// Where evidence is kept from one run to the next; `None` where it is not.
    fn archive(&self) -> Option<&dyn Archive> {
        None
    }

    /// Somewhere to lay values aside that memory has no room for; `None` where there is no such place.
    fn aside(&self) -> Option<Box<dyn Aside>> {
        None
    }

    /// The bytes that the process holds now, and held at most so far; `None` where nobody knows.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Whether someone who waits wants what takes long to end with what it has.
    fn interrupted(&self) -> bool {
        false
    }

    /// Is told what is going on, and how much of it is done; zero of zero once it is over.
    fn progress(&self, _what: &str, _done: usize, _total: usize) {}
}

impl std::fmt::Debug for dyn EvidenceSource + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EvidenceSource({})", self.describe())
    }
}

/// Takes bytes that memory has no room for.
pub trait Aside: Send + Sync {
    /// Lays bytes aside; answers where they are.
    ///
    /// # Errors
    /// Where there is no room for them.
    fn put(&self, bytes: &[u8]) -> Result<u64, EvidenceError>;

    /// The bytes that were laid aside there, as many as there were.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn get(&self, at: u64, len: usize) -> Result<Vec<u8>, EvidenceError>;

    /// Nobody asks for these bytes any more.
    fn free(&self, at: u64, len: usize);
}

/// A model ready to run.
pub trait Execute: Send {
    /// The outputs in the model's order, for one entry an input in order.
    ///
    /// # Errors
    /// Where it cannot be run.
    fn run(&mut self, inputs: &[Option<Value>]) -> Result<Vec<Value>, EvidenceError>;
}
