//! What can be asked of `distil`, and the run.

use std::borrow::Cow;
use std::collections::HashSet;

use onnxpress_ir::{Graph, Model, NodeId, Slot, Use};
use onnxpress_ops::infer;

use super::augment;
use super::curve::drawn;
use super::grids::lift;
use super::lesson::{Learned, Lesson};
use super::rate::LearningRate;
use super::state::State;
use crate::InlineFunctions;
use crate::differentiate::{Differentiate, Loss};
use crate::evidence::EvidenceSource;
use crate::options::{Options, Pattern, Share};
use crate::pass::{Pass, PassCx, PassError};

/// The teacher that came into the run.
const ORIGINAL: &str = "original";

crate::option_enum! {
    /// What is made alike.
    pub enum Aim {
        /// Values at the ends of blocks that both models have under one name, and the answers.
        Hidden,
        /// The answers as scores: the divergence of a teacher's probabilities from the model's, at a temperature.
        Kl,
        /// The answers as numbers.
        Mse,
    }
}

crate::option_enum! {
    /// What is trained at a time.
    pub enum Mode {
        /// Everything.
        EndToEnd,
        /// One block after the other, each up to a value that both models have.
        Block,
    }
}

crate::option_enum! {
    /// How gradients become steps.
    pub enum Optimizer {
        /// Each parameter by the means of its gradients and their squares.
        Adam,
        /// Along the gradient, with momentum.
        Sgd,
    }
}

crate::option_enum! {
    /// How the length of steps changes.
    pub enum Schedule {
        /// Down to nothing, along half a wave.
        Cosine,
        /// Not at all.
        Constant,
    }
}

crate::option_enum! {
    /// What is done to a sample before it is shown, another time otherwise.
    pub enum Augmentation {
        /// What suits the samples: pictures are moved, those in colour mirrored too.
        Auto,
        /// Half of the pictures are mirrored, left to right.
        Flip,
        /// Pictures are moved by up to four places; what comes in is zero.
        Crop4 = "crop4",
        /// Numbers are added, nearly normal, of a twentieth of the batch's deviation.
        Noise,
        /// Each is laid over another one, by shares that are drawn.
        Mix,
    }
}

crate::options! {
    /// Trains the model to answer what the model that came in answers.
    ///
    /// Needs samples (`--calib`), and no labels. By default compared are the values at the ends of blocks that both have and the answers,
    /// as numbers: mean squares of the differences, each divided by the variance of the teacher's. Some samples are held out; the epoch
    /// whose answers are closest to the teacher's on them is kept, or the start if none is closer and agrees as often. Zeros of weights stay zero, statistics and scales of quantized numbers stay what they are. The
    /// same request gives the same weights on the same runner and machine.
    pub struct Distil {
        /// The model to learn from: `original`, the one that came into the run, or the file of one with the same inputs and outputs.
        teacher: String = ORIGINAL.to_owned(),
        /// What is trained at a time.
        mode: Mode = Mode::EndToEnd,
        /// What is made alike. With `hidden`, where no value inside is in both, as with `kl`.
        loss: Aim = Aim::Hidden,
        /// What scores are divided by for `kl`, which makes probabilities more alike.
        temperature: f64 = 4.0,
        /// How much the teacher's answers count. The rest goes to the right classes, which the samples say then (`labels`).
        alpha: f64 = 1.0,
        /// How gradients become steps.
        optimizer: Optimizer = Optimizer::Adam,
        /// The length of the longest step: a number, a share of each parameter's size as in `2%`, or `auto`: such a share, which is tried
        /// out in short trainings.
        lr: LearningRate = LearningRate::Auto,
        /// How the length of steps changes.
        schedule: Schedule = Schedule::Cosine,
        /// How often all samples are shown; with `mode=block`, to each block.
        epochs: usize = 30,
        /// Samples a step, where the model takes any number.
        batch: usize = 32,
        /// The share of samples that is held out.
        held_out: Share = Share::percent::<20>(),
        /// What is done to samples before they are shown.
        augment: Vec<Augmentation> = vec![Augmentation::Auto],
        /// How much the values of a step may take at once, as a share of what they take where all activations are kept; with less, some are
        /// computed anew.
        memory: Share = Share::ALL,
        /// What the order of samples and all else that is drawn follows from.
        seed: u64 = 0,
        /// Whether weights that are looked up in tables of up to sixteen values may take other places of theirs. The tables stay then;
        /// otherwise they are trained, and places stay.
        reassign: bool = false,
        /// A file that the training is kept in after each epoch, and goes on from where it was left. Refused where it is of another
        /// request, or of other models or samples.
        state: Option<String> = None,
        /// Constants that are trained, by name.
        parameters: Vec<Pattern> = vec![Pattern::new("*")],
        /// Constants that stay, by name.
        frozen: Vec<Pattern> = Vec::new(),
    }
}

impl Distil {
    /// The request for the training step.
    pub(super) fn step(&self, loss: Loss) -> Differentiate {
        let (parameters, frozen) = (self.parameters.clone(), self.frozen.clone());
        let (temperature, memory) = (self.temperature, self.memory);
        Differentiate { parameters, frozen, loss, temperature, memory, ..Differentiate::default() }
    }

    /// The request with what is left open decided.
    fn decided(&self, student: &Graph) -> Self {
        let mut augment: Vec<Augmentation> = Vec::new();
        for &way in &self.augment {
            match way {
                Augmentation::Auto => augment.extend(augment::fitting(student)),
                way => augment.push(way),
            }
        }
        Self { augment, ..self.clone() }
    }

    /// The model to learn from, with types.
    fn teacher<'a>(&self, cx: &PassCx<'a>) -> Result<Cow<'a, Model>, PassError> {
        if self.teacher == ORIGINAL {
            let came = cx.request.before_loss.or(cx.request.original).map(Cow::Borrowed);
            return came.ok_or_else(|| PassError::Request("there is no model that came in to learn from".to_owned()));
        }
        let fail = |reason: String| PassError::Request(format!("teacher `{}`: {reason}", self.teacher));
        let files = cx.request.files.ok_or_else(|| fail("there is nobody here to read files".to_owned()))?;
        let mut teacher = files.model(&self.teacher).map_err(fail)?;
        infer::model(&mut teacher);
        Ok(Cow::Owned(teacher))
    }

    /// Where the training is kept.
    fn kept_in<'a>(
        &self,
        student: &Model,
        teacher: &Model,
        source: &dyn EvidenceSource,
        cx: &PassCx<'a>,
    ) -> Result<Option<State<'a>>, PassError> {
        let Some(path) = &self.state else { return Ok(None) };
        let files = cx
            .request
            .files
            .ok_or_else(|| PassError::Request(format!("`state` `{path}`: there is nobody here to read files")))?;
        let request = Self { state: None, ..self.clone() };
        let request = format!("{}{{{}}}", Self::NAME, request.to_text());
        Ok(Some(State::new(files, path, request, [student, teacher], source)))
    }

    fn check(&self) -> Result<(), PassError> {
        let wrong = |text: String| Err(PassError::Request(text));
        if !(0.0..=1.0).contains(&self.alpha) {
            return wrong(format!("`alpha` is {}, expected 0 to 1", self.alpha));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return wrong(format!("`temperature` is {}, expected a number above 0", self.temperature));
        }
        if self.state.is_some() && self.mode == Mode::Block {
            return wrong("`state` is given, which is for `mode=end-to-end`: blocks are trained anew".to_owned());
        }
        if self.alpha < 1.0 && self.augment.contains(&Augmentation::Mix) {
            return wrong(
                "`augment` has `mix`, of which no label holds: expected other ways, or an `alpha` of 1".to_owned(),
            );
        }
        match self.lr {
            LearningRate::Given(lr) | LearningRate::Percent(lr) if !(lr.is_finite() && lr > 0.0) => {
                return wrong(format!("`lr` is {}, expected a number above 0", self.lr));
            }
            LearningRate::Auto | LearningRate::Percent(_) if self.optimizer == Optimizer::Sgd => {
                return wrong(format!("`lr` is `{}`, which is for `adam`: expected a number for `sgd`", self.lr));
            }
            _ => {}
        }
        for (name, value) in [("epochs", self.epochs), ("batch", self.batch)] {
            if value == 0 {
                return wrong(format!("`{name}` is 0, expected at least 1"));
            }
        }
        if !(0.0 < self.held_out.get() && self.held_out.get() < 1.0) {
            return wrong(format!("`held-out` is {}, expected between 0 and 1", self.held_out.get()));
        }
        Ok(())
    }
}

/// Scales and zero points: with others, codes would mean something else.
fn steps_of_codes(graph: &Graph) -> HashSet<NodeId> {
    let steers = |reader: Use| {
        let node = graph.node(reader.node);
        let quantizes = node.is_some_and(|node| node.is("QuantizeLinear") || node.is("DequantizeLinear"));
        quantizes && matches!(reader.slot, Slot::Operand(slot) if slot > 0)
    };
    let constants = graph.constants().map(|(id, _)| id);
    constants.filter(|id| graph.readers(id.port(0)).any(steers)).collect()
}

impl Pass for Distil {
    const NAME: &'static str = "distil";
    const LOSSY: bool = true;
    const LOOKS_BACK: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        self.check()?;
        let source = cx.data("distil")?;
        let teacher = self.teacher(cx)?;
        let mut student = model.clone();
        InlineFunctions::default().run(&mut student, cx)?;
        infer::model(&mut student);
        let mut learner = student.clone();
        let grids = lift(&mut learner, self.reassign)?;
        let options = self.decided(&learner.graph);
        let fixed = steps_of_codes(&learner.graph);
        let state = self.kept_in(model, &teacher, source, cx)?;
        let lesson = Lesson { options: &options, grids: &grids, fixed, source, state };
        let Learned { weights, curve, blocks, rate, held_out, memory, interrupted, declined, inside } =
            lesson.give(&teacher, learner)?;
        for (name, reason) in declined {
            cx.declined(Self::NAME, name, reason);
        }
        let (Some(start), Some(best)) = (curve.first(), curve.iter().find(|point| point.kept)) else { return Ok(()) };
        let shown = |agreement: f64| format!("{:.1} %", 100.0 * agreement);
        cx.notice(format!(
            "agreement with the teacher on {held_out} samples held out: {} before, {} after {} of {} epochs (loss {:.4}, then {:.4}; {})",
            shown(start.agreement),
            shown(best.agreement),
            best.epoch,
            self.epochs,
            start.loss,
            best.loss,
            drawn(&curve)
        ));
        match (inside.as_slice(), self.loss) {
            ([], Aim::Hidden) => {
                cx.notice("no value inside is alike in both teacher and student: answers are compared")
            }
            ([], _) => {}
            ([one], _) => cx.notice(format!("compared inside: `{one}`")),
            ([first, .., last], _) => {
                cx.notice(format!("compared inside: {} values, `{first}` to `{last}`", inside.len()));
            }
        }
        let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
        cx.notice(match (memory.said, memory.held) {
            (Some(said), Some(held)) => format!(
                "memory of the process: about {} foreseen before the training, {} held at most",
                megabytes(said),
                megabytes(held)
            ),
            _ => format!("values and weights of the training: about {}", megabytes(memory.counted)),
        });
        if interrupted {
            cx.notice("interrupted: the best so far is kept");
        }
        let pass = format!("{}{{{}}}", Self::NAME, self.to_text());
        cx.set_plan(
            &serde_json::json!({ "pass": pass, "rate": rate, "inside": inside, "memory": memory, "curve": curve, "blocks": blocks }),
        );
        let Some(weights) = weights else { return Ok(()) };
        let count = weights.len();
        for (constant, tensor) in weights {
            let (constant, tensor) = match grids.get(&constant) {
                Some(grid) => grid.codes(&tensor.to_f32s().map_err(|error| PassError::Broken(error.to_string()))?)?,
                None => (constant, tensor),
            };
            student.graph.set_constant(constant, tensor);
        }
        infer::model(&mut student);
        cx.applied(Self::NAME, count);
        cx.set_witness(student.clone());
        *model = student;
        Ok(())
    }
}
