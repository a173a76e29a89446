//! What can be asked of `palettize`, and the run.

use onnxpress_ir::Model;

use super::codebook::{Codes, Init};
use super::palette::Scheme;
use super::run;
use crate::options::{Options, Pattern};
use crate::pass::{Pass, PassCx, PassError};

crate::option_enum! {
    /// Which elements share a table.
    pub enum Per {
        /// All of a weight.
        Tensor,
        /// Those of so many neighbouring output channels.
        ChannelGroup,
    }
}

crate::options! {
    /// Writes weights as places in small tables.
    ///
    /// Weights are those of `quantize-weights`. A place takes 2, 4 or 8 bits in the file, whichever hold it; from opset 25, 21 and
    /// any on. `Cast` and `Gather` make floats of them, which runtimes do once, when they load the model. With samples layers are
    /// taken in the order of the graph: tables weigh each element by what passes through it, and each column makes up for what
    /// those before it lost. Weights that samples say nothing of are looked up all the same, each element in what is nearest.
    pub struct Palettize {
        /// Bits of a place, 1 to 8: a table has at most so many values as these can tell.
        bits: u32 = 4,
        /// What the values of a table are.
        codes: Codes = Codes::Kmeans,
        /// What clustering begins with.
        init: Init = Init::Exact,
        /// Which elements share a table.
        per: Per = Per::Tensor,
        /// How many output channels share one with `per=channel-group`.
        group: usize = 16,
        /// Whether each output channel has a scale of its own, so that a table holds for channels of different size.
        scale: bool = true,
        /// Whether samples are used, where there are any.
        data: bool = true,
        /// Weights that stay: by their own name, or that of a node that reads them or of its output.
        keep: Vec<Pattern> = Vec::new(),
        /// Only weights of such a name; all, where none is given.
        only: Vec<Pattern> = Vec::new(),
        /// Whether the model may go to a newer opset for places of less than a byte; otherwise they take bytes.
        upgrade: bool = true,
    }
}

impl Palettize {
    /// How tables are made.
    pub(super) fn scheme(&self) -> Result<Scheme, PassError> {
        if !(1..=8).contains(&self.bits) {
            return Err(PassError::Request(format!("`bits` is {}, expected 1 to 8", self.bits)));
        }
        if self.group == 0 {
            return Err(PassError::Request("`group` is 0, expected at least 1".to_owned()));
        }
        let group = (self.per == Per::ChannelGroup).then_some(self.group);
        Ok(Scheme { bits: self.bits, codes: self.codes, init: self.init, group, scale: self.scale })
    }
}

impl Pass for Palettize {
    const NAME: &'static str = "palettize";
    const LOSSY: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let scheme = self.scheme()?;
        run::run(self, scheme, &format!("{}{{{}}}", Self::NAME, self.to_text()), model, cx)
    }
}
