//! A file that keeps evidence from one run to the next.
//!
//! It is an archive of arrays that numpy reads (docs/evidence.md lists them), for one model and one set of samples, and has one record
//! for each point of a pipeline at which something was measured: the digest of the model there tells which. What is measured goes
//! into a copy beside the file, record after record, so that memory holds none but the last; the copy takes the file's place when
//! the run has come to its end.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};

use onnxpress_ir::{Graph, Model};
use onnxpress_passes::digest;
use onnxpress_passes::evidence::{Archive, Evidence, EvidenceError, Wants};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::record::{self, Record};
use crate::npz::{Appending, ArrayFile, NpzError, Packing};

/// The number of the format.
const SCHEMA: u32 = 1;

/// The array that says what the file is.
const ABOUT: &str = "about";

/// Why a file of evidence is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceFileError {
    /// It cannot be read or written as an archive.
    #[error(transparent)]
    Npz(#[from] NpzError),
    /// The system refuses.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What it says of itself makes no text.
    #[error("evidence cannot be written down: {0}")]
    Text(String),
    /// It is something else.
    #[error("{}: no file of evidence: {reason}", path.display())]
    NotEvidence {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// It is of another model.
    #[error("{}: it holds evidence of another model (digest {kept}, found {found})", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// The digest of its model.
        kept: String,
        /// That of the model at hand.
        found: String,
    },
    /// It is of other samples.
    #[error("{}: it holds evidence of {kept}, but given are {given}", path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// Its samples.
        kept: String,
        /// Those at hand.
        given: String,
    },
}

/// What evidence was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The samples, as reports say it: `200 samples of train.npz`.
    pub source: String,
    /// How many.
    pub samples: usize,
    /// Whether they were made up.
    pub synthetic: bool,
    /// How they were prepared; `None` where they were taken as they are.
    pub preprocess: Option<String>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)?;
        self.preprocess.as_ref().map_or(Ok(()), |how| write!(f, ", prepared by {how}"))
    }
}

/// What the file says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    schema: u32,
    /// The digest of the model as it came in.
    model: String,
    origin: Origin,
}

/// Evidence of one model on one set of samples, in a file.
#[derive(Debug)]
pub struct EvidenceFile {
    path: PathBuf,
    about: About,
    kept: RefCell<Kept>,
}

/// What is in the file by now.
#[derive(Debug, Default)]
struct Kept {
    /// `None` where nothing was kept so far.
    arrays: Option<ArrayFile>,
    records: Vec<Record>,
    /// The copy that is being added to.
    copy: Option<NamedTempFile>,
    /// Values and layers that were found.
    found: usize,
    /// Values and layers that were added.
    added: usize,
}

impl EvidenceFile {
    /// A file that is to be made, for a model as it came in.
    ///
    /// # Errors
    /// Where there is no folder to make it in.
    pub fn new(path: &Path, model: &Model, origin: Origin) -> Result<Self, EvidenceFileError> {
        let folder = folder(path);
        if !folder.is_dir() {
            let error = std::io::Error::new(std::io::ErrorKind::NotFound, "the folder does not exist; make it first");
            return Err(EvidenceFileError::Io { path: path.to_owned(), error });
        }
        let about = About { schema: SCHEMA, model: digest::of(model), origin };
        Ok(Self { path: path.to_owned(), about, kept: RefCell::default() })
    }

    /// Opens a file for a model as it came in; `None` where there is none.
    ///
    /// # Errors
    /// Where it is no file of evidence, or of another model.
    pub fn open(path: &Path, model: &Model) -> Result<Option<Self>, EvidenceFileError> {
        if !path.try_exists().map_err(|error| EvidenceFileError::Io { path: path.to_owned(), error })? {
            return Ok(None);
        }
        let not = |reason: String| EvidenceFileError::NotEvidence { path: path.to_owned(), reason };
        let arrays = ArrayFile::open(path)?;
        let about: Option<About> = record::told(&arrays, ABOUT)?;
        let about = about.ok_or_else(|| not(format!("it has no array `{ABOUT}`")))?;
        if about.schema != SCHEMA {
            return Err(not(format!("it is of format {}, expected {SCHEMA}", about.schema)));
        }
        let found = digest::of(model);
        if about.model != found {
            return Err(EvidenceFileError::Model { path: path.to_owned(), kept: about.model, found });
        }
        let mut records = Vec::new();
        while let Some(one) = record::told(&arrays, &record::about(records.len()))? {
            records.push(one);
        }
        let kept = Kept { arrays: Some(arrays), records, ..Kept::default() };
        Ok(Some(Self { path: path.to_owned(), about, kept: RefCell::new(kept) }))
    }

    /// What its evidence was measured on.
    pub fn origin(&self) -> &Origin {
        &self.about.origin
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses samples that are not those of the file.
    ///
    /// # Errors
    /// Where they are others.
    pub fn check(&self, given: &Origin) -> Result<(), EvidenceFileError> {
        if *given == self.about.origin {
            return Ok(());
        }
        let (kept, given) = (self.about.origin.to_string(), given.to_string());
        Err(EvidenceFileError::Samples { path: self.path.clone(), kept, given })
    }

    /// Puts what was added into its place. Answers what reports say of it.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn save(self) -> Result<String, EvidenceFileError> {
        let Kept { copy, found, added, .. } = self.kept.into_inner();
        if let Some(copy) = copy {
            let io = |error| EvidenceFileError::Io { path: self.path.clone(), error };
            copy.as_file().sync_all().map_err(io)?;
            copy.persist(&self.path).map_err(|error| io(error.error))?;
        }
        let path = self.path.display();
        Ok(format!("evidence of {}: {found} statistic(s) found in {path}, {added} added", self.about.origin))
    }

    fn found(&self, model: &str, wants: &Wants) -> Result<Evidence, EvidenceFileError> {
        let mut kept = self.kept.borrow_mut();
        let Origin { source, samples, synthetic, .. } = self.about.origin.clone();
        let mut evidence = Evidence { source, samples, synthetic, ..Evidence::default() };
        let Some(arrays) = &kept.arrays else { return Ok(evidence) };
        let records = || kept.records.iter().enumerate().filter(|(_, record)| record.model == model);
        for (&value, &axis) in &wants.values {
            let place = records().find_map(|(number, record)| {
                let is = |it: &record::Seen| (it.slot, it.port) == (value.node.slot(), value.port);
                let suits = |it: &record::Seen| is(it) && (axis.is_none() || it.axis == axis);
                Some((number, record, record.values.iter().position(suits)?))
            });
            if let Some((number, record, place)) = place {
                evidence.values.insert(value, record.statistics(arrays, number, place)?);
            }
        }
        for &(node, operand) in wants.layers.keys() {
            let place = records().find_map(|(number, record)| {
                let is = |it: &record::Layer| (it.slot, it.operand) == (node.slot(), operand);
                Some((number, record, record.layers.iter().position(is)?))
            });
            if let Some((number, record, place)) = place {
                evidence.layers.insert((node, operand), record.moments(arrays, number, place)?);
            }
        }
        kept.found += evidence.values.len() + evidence.layers.len();
        Ok(evidence)
    }

    fn add(&self, model: &str, graph: &Graph, evidence: &Evidence) -> Result<(), EvidenceFileError> {
        let io = |error| EvidenceFileError::Io { path: self.path.clone(), error };
        let mut kept = self.kept.borrow_mut();
        let opened = match &kept.copy {
            Some(copy) => Appending::go_on(copy.reopen().map_err(io)?)?,
            None => {
                let copy = beside(&self.path).map_err(io)?;
                let archive = if kept.arrays.is_some() {
                    std::io::copy(&mut File::open(&self.path).map_err(io)?, &mut copy.as_file()).map_err(io)?;
                    Appending::go_on(copy.reopen().map_err(io)?)?
                } else {
                    let mut archive = Appending::begin(copy.reopen().map_err(io)?);
                    archive.put(ABOUT, &record::text(&self.about)?, Packing::Deflated)?;
                    archive
                };
                kept.copy = Some(copy);
                archive
            }
        };
        let mut archive = opened;
        let record = Record::of(model, graph, evidence);
        record.write(&mut archive, kept.records.len(), evidence)?;
        archive.finish()?;
        kept.added += record.values.len() + record.layers.len();
        kept.records.push(record);
        kept.arrays = match &kept.copy {
            Some(copy) => Some(ArrayFile::open(copy.path())?),
            None => None,
        };
        Ok(())
    }
}

impl Archive for EvidenceFile {
    fn recall(&self, model: &str, wants: &Wants) -> Result<Evidence, EvidenceError> {
        self.found(model, wants).map_err(|error| EvidenceError::Archive(error.to_string()))
    }

    fn keep(&self, model: &str, graph: &Graph, evidence: &Evidence) -> Result<(), EvidenceError> {
        self.add(model, graph, evidence).map_err(|error| EvidenceError::Archive(error.to_string()))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An empty file beside another, which may take its place.
fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".partial");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder(path))
}
