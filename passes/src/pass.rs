//! What a pass is, and what it is given beside the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use onnxpress_ir::{DType, Model, Tensor, Type};

use crate::code_bytes::CodeBytes;
use crate::evidence::{self, Evidence, EvidenceSource, Wants};
use crate::options::Options;
use crate::pipeline::{PassSpec, Registry, RegistryError};
use crate::rewrite::AnyRule;

/// Why a pass ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The request cannot be met by this model.
    #[error("{0}")]
    Request(String),
    /// The pass left a graph that makes no sense: a defect of the pass.
    #[error("the pass broke the model: {0}")]
    Broken(String),
}

/// A rewriting of a model. Its options are its fields; their documentation is that of the pass.
pub trait Pass: Options + Send + Sync {
    /// The name in pipeline text.
    const NAME: &'static str;
    /// Whether the result may compute other numbers. A lossy pass that changes anything hands over a
    /// [witness](PassCx::set_witness).
    const LOSSY: bool = false;
    /// Whether the result may be larger than what came in, because that is what the pass is for.
    const MAY_GROW: bool = false;
    /// Whether it wants to see [what came in](Request::original) and [what was there before anything was lost](Request::before_loss).
    const LOOKS_BACK: bool = false;
    /// The rules that it applies, for documentation; none where it does not work by rules.
    const RULES: &'static [&'static dyn AnyRule] = &[];

    /// Whether the result may be larger with these options; by default, what [`MAY_GROW`](Self::MAY_GROW) says.
    fn may_grow(&self) -> bool {
        Self::MAY_GROW
    }

    /// Rewrites the model. Whether anything changed is read from the model's revision, never claimed.
    ///
    /// # Errors
    /// Where the request cannot be met.
    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError>;
}

/// A pass with its options, whatever its type.
pub trait AnyPass: Send + Sync {
    /// The name in pipeline text.
    fn name(&self) -> &'static str;
    /// Whether the result may compute other numbers.
    fn is_lossy(&self) -> bool;
    /// Whether the result may be larger than what came in.
    fn may_grow(&self) -> bool;
    /// Whether it wants to see the model as it was.
    fn looks_back(&self) -> bool;
    /// Rewrites the model.
    ///
    /// # Errors
    /// Where the request cannot be met.
    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError>;
}

impl<T: Pass> AnyPass for T {
    fn name(&self) -> &'static str {
        T::NAME
    }
    fn is_lossy(&self) -> bool {
        T::LOSSY
    }
    fn may_grow(&self) -> bool {
        Pass::may_grow(self)
    }
    fn looks_back(&self) -> bool {
        T::LOOKS_BACK
    }
    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        Pass::run(self, model, cx)
    }
}

/// The passes that pipeline text can name.
pub type Passes = Registry<Arc<dyn AnyPass>>;

impl Passes {
    /// Makes a pass known by its name. A third party's too.
    ///
    /// # Errors
    /// If the name is taken or no name.
    pub fn register<T: Pass>(&mut self) -> Result<&mut Self, RegistryError> {
        self.add(PassSpec::of::<T>(T::NAME).lossy(T::LOSSY).with_rules(T::RULES), |pass: T| {
            Arc::new(pass) as Arc<dyn AnyPass>
        })
    }
}

/// Something that a pass could have done and left alone, because it was not sure or not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// The rule, or the pass itself.
    pub rule: &'static str,
    /// The place, as messages call it.
    pub site: String,
    /// Why.
    pub reason: String,
}

impl Decline {
    /// The same, told from around the graph where it was found.
    #[must_use]
    pub fn inside(mut self, place: &str) -> Self {
        self.site = format!("{} in {place}", self.site);
        self
    }
}

/// What a pass is given beside the model, and where it says what it did.
#[derive(Debug, Default)]
pub struct PassCx<'a> {
    /// What the request says about the whole run.
    pub request: Request<'a>,
    said: Said,
}

/// What a pass said of itself.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) applied: BTreeMap<&'static str, usize>,
    pub(crate) declined: Vec<Decline>,
    pub(crate) notices: Vec<String>,
    pub(crate) intermediate: Option<(Box<Model>, f64)>,
    pub(crate) witness: Option<Box<Model>>,
    pub(crate) tolerance: Option<f64>,
    pub(crate) settled: Settled,
    pub(crate) plan: Option<serde_json::Value>,
    pub(crate) codes: Vec<CodeBytes>,
}

/// What holds for every pass of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// Sizes that the user gives to symbolic dimensions.
    pub dims: &'a [(String, i64)],
    /// About how many bytes the model took when the run began; `None` where no run is going on. The manager counts it.
    pub came: Option<usize>,
    /// The model as it came, with types, where a pass of the pipeline [looks back](Pass::LOOKS_BACK).
    pub original: Option<&'a Model>,
    /// The model before the first lossy pass that changed it, where there was one and a pass of the pipeline looks back.
    pub before_loss: Option<&'a Model>,
    /// Where arrays come from that a pass is asked to read; `None` where there are none to be had.
    pub arrays: Option<&'a dyn ArraySource>,
    /// Whether somebody wants to see what passes decide. Without, a pass need not tie it to the model, which takes a reading of
    /// all weights.
    pub plans: bool,
    /// Whether somebody wants to know what codes take once they are compressed, which takes a look at all of them.
    pub codes: bool,
    /// Who reads files that the pipeline names; a pass opens none itself.
    pub files: Option<&'a dyn Files>,
    /// Where samples come from and who runs models on them; `None` where there are none to be had.
    pub evidence: Option<&'a dyn EvidenceSource>,
}

/// Reads arrays for passes, which open no files themselves.
pub trait ArraySource {
    /// The tensor in `file` for the value `name`, of the element type of `ty` where files have no such type.
    ///
    /// # Errors
    /// What is wrong with the file, as messages say it.
    fn array(&self, file: &str, name: &str, ty: &Type) -> Result<Tensor, String>;
}

impl std::fmt::Debug for dyn ArraySource + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArraySource")
    }
}

/// What passes have settled for the callers of a model: whoever compares the result with the model that came in has to give
/// that one the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settled {
    /// Inputs that are gone, with the value that they have now; `None` for the one that the model itself gave them.
    pub inputs: Vec<(String, Option<Tensor>)>,
    /// Dimensions that have a size now, by name, or by input and axis as in `x:0`.
    pub dims: Vec<(String, i64)>,
    /// Inputs and outputs of floats that have another element type now, by name.
    pub types: Vec<(String, DType)>,
    /// Whether another model stands in the place of the one that came in, which computes something else on purpose.
    pub another: bool,
}

/// Reads and writes the files that a pipeline names.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, path: &str) -> Result<String, String>;

    /// The model in a file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn model(&self, _path: &str) -> Result<Model, String> {
        Err("there is nobody here to read models".to_owned())
    }

    /// The bytes of a file; `None` where there is no such file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn bytes(&self, _path: &str) -> Result<Option<Vec<u8>>, String> {
        Err("there is nobody here to read files".to_owned())
    }

    /// Puts a file of these bytes in the place of what is there, all of it or nothing.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn write(&self, _path: &str, _bytes: &[u8]) -> Result<(), String> {
        Err("there is nobody here to write files".to_owned())
    }
}

impl std::fmt::Debug for dyn Files + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

impl<'a> PassCx<'a> {
    /// Nothing done yet.
    pub fn new(request: Request<'a>) -> Self {
        Self { request, ..Self::default() }
    }

    /// Counts an application of a rule, or of the pass itself.
    pub fn applied(&mut self, rule: &'static str, times: usize) {
        if times > 0 {
            *self.said.applied.entry(rule).or_default() += times;
        }
    }

    /// Records what was left alone, and why.
    pub fn declined(&mut self, rule: &'static str, site: impl Into<String>, reason: impl Into<String>) {
        self.said.declined.push(Decline { rule, site: site.into(), reason: reason.into() });
    }

    /// Forgets what was said to be left alone: another attempt says it anew.
    pub fn take_back_declines(&mut self) {
        self.said.declined.clear();
    }

    /// Samples, real or made up.
    ///
    /// # Errors
    /// Where there are none to be had.
    pub fn samples(&mut self) -> Result<&'a dyn EvidenceSource, PassError> {
        let source =
            self.request.evidence.ok_or_else(|| PassError::Request("there are no samples to run on".into()))?;
        if source.is_synthetic() {
            let text =
                format!("no data given: ranges and moments are of {}; --calib gives real ones", source.describe());
            if !self.said.notices.contains(&text) {
                self.said.notices.push(text);
            }
        }
        Ok(source)
    }

    /// The user's samples, if there are any; made-up ones would measure nothing that is so.
    #[must_use]
    pub fn user_samples(&self) -> Option<&'a dyn EvidenceSource> {
        self.request.evidence.filter(|source| !source.is_synthetic())
    }

    /// The user's samples, for what made-up ones would be of no use to; `what` says who asks.
    ///
    /// # Errors
    /// Where the user gave none.
    pub fn data(&self, what: &str) -> Result<&'a dyn EvidenceSource, PassError> {
        self.user_samples().ok_or_else(|| PassError::Request(format!("{what} needs data: give samples with --calib")))
    }

    /// Measures what is wanted of a model on [samples](Self::samples).
    ///
    /// # Errors
    /// Where there are none, they do not suit the model, or it cannot be run.
    pub fn evidence(&mut self, model: &Model, wants: &Wants) -> Result<Evidence, PassError> {
        let source = self.samples()?;
        evidence::collect(model, wants, source).map_err(|error| PassError::Request(error.to_string()))
    }

    /// Forgets what was said to be left alone since there were so many: that is done in another way.
    pub(crate) fn forget_declines_from(&mut self, count: usize) {
        self.said.declined.truncate(count);
    }

    /// Tells the user something.
    pub fn notice(&mut self, text: impl Into<String>) {
        self.said.notices.push(text.into());
    }

    /// Hands over the model that the result must equal: the model before the pass, of the same structure, with only weights
    /// changed or fake quantization inserted.
    pub fn set_witness(&mut self, witness: Model) {
        self.said.witness = Some(Box::new(witness));
    }

    /// Hands over a model between the one before the pass and the witness, where one model cannot be held to both: it must equal
    /// the model before the pass to this share of an output's peak, and the witness is what it stands for.
    pub fn set_intermediate(&mut self, model: Model, tolerance: f64) {
        self.said.intermediate = Some((Box::new(model), tolerance));
    }

    /// Says how far the result may be off the witness, as a share of an output's peak, where it computes in a type of less
    /// precision.
    pub fn set_tolerance(&mut self, tolerance: f64) {
        self.said.tolerance = Some(tolerance);
    }

    /// Says that an input is gone: it is this value now, or the one that the model itself gave it.
    pub fn pinned(&mut self, input: &str, value: Option<Tensor>) {
        self.said.settled.inputs.push((input.to_owned(), value));
    }

    /// Says that a dimension has a size now: by name, or by input and axis as in `x:0`.
    pub fn sized(&mut self, dim: &str, size: i64) {
        self.said.settled.dims.push((dim.to_owned(), size));
    }

    /// Says that an input or output of floats has another element type now, which callers asked for.
    pub fn retyped(&mut self, port: &str, dtype: DType) {
        self.said.settled.types.push((port.to_owned(), dtype));
    }

    /// Says that the result is another model than the one that came in: there is nothing that it must equal.
    pub fn made_another(&mut self) {
        self.said.settled.another = true;
    }

    /// Hands over what the pass decided, for people to read and for `apply-plan` to repeat.
    pub fn set_plan(&mut self, plan: &impl serde::Serialize) {
        self.said.plan = serde_json::to_value(plan).ok();
    }

    /// Says what codes a weight has become, with so many bits of each in use; they are looked at where [somebody wants to
    /// know](Request::codes).
    pub(crate) fn coded(&mut self, tensor: &str, codes: &Tensor, bits: u32) {
        if self.request.codes {
            self.said.codes.extend(CodeBytes::of(tensor, codes, bits));
        }
    }

    /// How often each rule was applied.
    pub fn applications(&self) -> &BTreeMap<&'static str, usize> {
        &self.said.applied
    }

    /// What was left alone.
    pub fn declines(&self) -> &[Decline] {
        &self.said.declined
    }

    pub(crate) fn into_said(self) -> Said {
        self.said
    }
}
