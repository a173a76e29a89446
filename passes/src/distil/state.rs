//! A training in a file, from which it goes on as if it had never been interrupted.
//!
//! After each epoch all that the next one starts from is written: weights, what the optimizer remembers, the best weights so far and the
//! curve. What is drawn follows from the seed and the epoch's number, so nothing of it is kept. A file is of one request, one student, one
//! teacher and the same samples, and is refused for any other.
//!
//! The format: a line of JSON, then numbers of binary32, little-endian, one array behind the other.

use onnxpress_ir::Model;
use serde::{Deserialize, Serialize};

use super::curve::Point;
use crate::digest;
use crate::evidence::EvidenceSource;
use crate::pass::{Files, PassError};

/// What the first line says of the format.
const FORMAT: &str = "onnxpress distil 1";

/// What a training is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct About {
    request: String,
    student: String,
    teacher: String,
    samples: String,
}

/// How far a training is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The length of the longest step, as its bits: text would round it.
    pub(super) rate: u64,
    /// Steps that are done.
    pub(super) done: usize,
    /// The loss of the first step.
    pub(super) begun: Option<f64>,
    /// The start, then each epoch.
    pub(super) curve: Vec<Point>,
    /// Whether weights were found that are better than those at the start.
    pub(super) better: bool,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    about: About,
    progress: Progress,
}

/// The file of a training.
pub(super) struct State<'s> {
    files: &'s dyn Files,
    path: String,
    about: About,
}

/// What was found in it: how far the training was, and its arrays.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) progress: Progress,
    bytes: Vec<u8>,
}

impl<'s> State<'s> {
    /// The file at `path`, of this training.
    pub(super) fn new(
        files: &'s dyn Files,
        path: &str,
        request: String,
        [student, teacher]: [&Model; 2],
        source: &dyn EvidenceSource,
    ) -> Self {
        let about = About {
            request,
            student: digest::of(student),
            teacher: digest::of(teacher),
            samples: format!("{}, {}", source.samples(), source.describe()),
        };
        Self { files, path: path.to_owned(), about }
    }

    fn wrong(&self, reason: &str) -> PassError {
        PassError::Request(format!("`state` `{}`: {reason}", self.path))
    }

    /// What is in the file, of a training of so many steps an epoch; `None` where there is none yet.
    ///
    /// # Errors
    /// Where it cannot be read, or is of something else.
    pub(super) fn load(&self, steps: usize) -> Result<Option<Found>, PassError> {
        let Some(mut bytes) = self.files.bytes(&self.path).map_err(|error| self.wrong(&error))? else {
            return Ok(None);
        };
        let none = || self.wrong("it is no state of a training");
        let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(none)?;
        let header: Header = serde_json::from_slice(&bytes[..end]).map_err(|_| none())?;
        if header.format != FORMAT {
            return Err(none());
        }
        let (found, own) = (header.about, &self.about);
        if found.request != own.request {
            return Err(self.wrong(&format!("it is of another request: {}", found.request)));
        }
        if found.samples != own.samples {
            return Err(self.wrong(&format!("it is of other samples: {}, not {}", found.samples, own.samples)));
        }
        for (what, found, own) in [("student", &found.student, &own.student), ("teacher", &found.teacher, &own.teacher)]
        {
            if found != own {
                return Err(self.wrong(&format!("it is of another {what}")));
            }
        }
        let Progress { rate, done, curve, .. } = &header.progress;
        let epochs = curve.len().checked_sub(1).ok_or_else(none)?;
        if epochs.checked_mul(steps) != Some(*done) || !f64::from_bits(*rate).is_normal() {
            return Err(none());
        }
        bytes.drain(..=end);
        Ok(Some(Found { progress: header.progress, bytes }))
    }

    /// Puts what was found into arrays, which must be as many and as long as those that were saved.
    ///
    /// # Errors
    /// Where they are not.
    pub(super) fn fill<'a>(
        &self,
        found: &Found,
        arrays: impl Iterator<Item = &'a mut Vec<f32>>,
    ) -> Result<(), PassError> {
        let mut numbers = found.bytes.chunks(size_of::<f32>());
        for place in arrays.flatten() {
            let number = numbers.next().and_then(|bytes| bytes.try_into().ok());
            *place = f32::from_le_bytes(number.ok_or_else(|| self.wrong("it is cut short"))?);
        }
        if numbers.next().is_some() { Err(self.wrong("it has more than the training takes")) } else { Ok(()) }
    }

    /// Writes the file anew.
    ///
    /// # Errors
    /// Where that cannot be.
    pub(super) fn save<'a>(
        &self,
        progress: Progress,
        arrays: impl Iterator<Item = &'a Vec<f32>>,
    ) -> Result<(), PassError> {
        let header = Header { format: FORMAT.to_owned(), about: self.about.clone(), progress };
        let mut bytes = serde_json::to_vec(&header).map_err(|error| PassError::Broken(error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend(arrays.flatten().flat_map(|number| number.to_le_bytes()));
        self.files.write(&self.path, &bytes).map_err(|error| self.wrong(&error))
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::cell::RefCell;

    use crate::pass::Files;

    /// One file, in memory, whatever it is called.
    #[derive(Default)]
    pub(in crate::distil) struct OneFile(RefCell<Option<Vec<u8>>>);

    impl OneFile {
        pub(in crate::distil) fn of(bytes: &[u8]) -> Self {
            Self(RefCell::new(Some(bytes.to_vec())))
        }

        pub(in crate::distil) fn is_written(&self) -> bool {
            self.0.borrow().is_some()
        }
    }

    impl Files for OneFile {
        fn read(&self, _: &str) -> Result<String, String> {
            Err("there is no text".to_owned())
        }
        fn bytes(&self, _: &str) -> Result<Option<Vec<u8>>, String> {
            Ok(self.0.borrow().clone())
        }
        fn write(&self, _: &str, bytes: &[u8]) -> Result<(), String> {
            *self.0.borrow_mut() = Some(bytes.to_vec());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::testing::OneFile;
    use super::*;
    use crate::evidence::testing::{AtHand, typed};

    fn progress() -> Progress {
        // A number that a reader of JSON in a hurry takes for its neighbour.
        let train_loss = 0.09984168689697981;
        let point = Point { epoch: 0, train_loss, loss: f64::INFINITY, agreement: 1.0, kept: true };
        Progress {
            rate: 0.1f64.to_bits(),
            done: 3,
            begun: None,
            curve: vec![point.clone(), Point { epoch: 1, ..point }],
            better: false,
        }
    }

    fn of<'s>(files: &'s OneFile, request: &str, std: &str) -> State<'s> {
        let text = format!("g (float[N,2] x) => (y) <float[2,3] w = normal(seed=1, std={std})> {{ y = MatMul(x, w) }}");
        let model = typed(&text);
        State::new(files, "s.bin", request.to_owned(), [&model, &model], &AtHand::new(4, &[2]))
    }

    #[test]
    fn what_was_saved_is_found_by_the_same_training_alone() {
        let files = OneFile::default();
        let state = of(&files, "a", "1");
        assert!(state.load(3).unwrap().is_none());
        state.save(progress(), [vec![1.5f32, -2.0], vec![3.0]].iter()).unwrap();
        let found = state.load(3).unwrap().unwrap();
        assert_eq!((found.progress.rate, found.progress.done), (0.1f64.to_bits(), 3));
        assert!(found.progress.curve[0].loss.is_nan(), "JSON has no such numbers");
        assert_eq!(found.progress.curve[0].train_loss.to_bits(), progress().curve[0].train_loss.to_bits());
        let mut arrays = [vec![0f32; 2], vec![0.0; 1]];
        state.fill(&found, arrays.iter_mut()).unwrap();
        assert_eq!(arrays, [vec![1.5, -2.0], vec![3.0]]);
        let fill = |lengths: &[usize]| {
            let mut arrays: Vec<Vec<f32>> = lengths.iter().map(|&length| vec![0.0; length]).collect();
            state.fill(&found, arrays.iter_mut()).unwrap_err().to_string()
        };
        assert_eq!(fill(&[4]), "`state` `s.bin`: it is cut short");
        assert_eq!(fill(&[2]), "`state` `s.bin`: it has more than the training takes");
        let refused = |state: State<'_>| state.load(3).unwrap_err().to_string();
        assert_eq!(refused(of(&files, "b", "1")), "`state` `s.bin`: it is of another request: a");
        assert_eq!(refused(of(&files, "a", "2")), "`state` `s.bin`: it is of another student");
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for bytes in [&b""[..], b"{}\n", b"\n", b"\xff\xfe\n", b"{\"format\": \"onnxpress distil 2\"}\n"] {
            let files = OneFile::of(bytes);
            let error = of(&files, "a", "1").load(3).unwrap_err().to_string();
            assert_eq!(error, "`state` `s.bin`: it is no state of a training");
        }
    }
}
