//! The forms that factors of a layer can have, and what they cost.
//!
//! One group of a layer is a matrix, outputs by columns; the columns of a convolution are channels times the places of its kernel, which
//! has `tall` of them along its first axis and `wide` along all others. All forms read a few features of each row and multiply
//! those: at column `a · span + b`, a first factor mixes over `a` and leaves `b` for what follows, so a span of one place mixes whole rows,
//! one of `wide` places columns of the kernel, and one of the whole kernel channels alone.

use serde::{Deserialize, Serialize};

/// How factors are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    /// Two: the whole kernel to `rank` channels, then 1×1. What matrices have, too.
    #[default]
    Channel,
    /// Two: k×1 to `rank` channels, then 1×k (Jaderberg et al. 2014).
    Spatial,
    /// Three: 1×1 to `inner` channels, the kernel from these to `rank`, then 1×1 (Tucker-2; Kim et al. 2016).
    Tucker,
    /// Three: 1×1 to `rank` channels, a kernel on each, then 1×1: a sum of products of three vectors (Lebedev et al. 2015, both axes
    /// of the kernel taken for one).
    Cp,
}

/// A form at its ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) form: Form,
    /// The channels that the last factor reads.
    pub(super) rank: usize,
    /// The channels that the first factor makes.
    pub(super) inner: usize,
}

/// What a form costs, over all groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Price {
    pub(super) params: f64,
    /// Multiply-accumulates of a sample, open extents being those of the samples, or one.
    pub(super) macs: f64,
}

/// What forms have to know of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extents {
    pub(super) groups: usize,
    /// Of each group.
    pub(super) outputs: usize,
    /// Of each group; what is no convolution has one for each column.
    pub(super) channels: usize,
    /// Places of the kernel along its first axis.
    pub(super) tall: usize,
    /// Places of the kernel over all its other axes.
    pub(super) wide: usize,
    /// How often a kernel of one place is applied in a run.
    pub(super) places: Places,
    /// Whether rows are looked up, which takes no multiplications, so many times as the output has places.
    pub(super) is_table: bool,
}

/// How often a kernel of one place is applied in a run, where maps have the extents of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Places {
    pub(super) input: f64,
    /// Of the output along the first axis, of the input along the others.
    pub(super) between: f64,
    pub(super) output: f64,
}

impl Extents {
    /// Places of the kernel.
    pub(super) fn kernel(&self) -> usize {
        self.tall * self.wide
    }

    /// Columns of each group's matrix.
    pub(super) fn columns(&self) -> usize {
        self.channels * self.kernel()
    }

    /// The forms there are, apart from the sums of products, which have to be asked for.
    pub(super) fn forms(&self) -> Vec<Form> {
        [Form::Channel, Form::Spatial, Form::Tucker].into_iter().filter(|&form| self.has(form)).collect()
    }

    /// Whether a form is one of its own here.
    pub(super) fn has(&self, form: Form) -> bool {
        match form {
            Form::Channel => true,
            Form::Spatial => self.tall > 1 && self.wide > 1,
            Form::Tucker | Form::Cp => self.kernel() > 1 && self.channels > 1,
        }
    }

    /// How many columns next to each other the first factor keeps apart.
    pub(super) fn span(&self, form: Form) -> usize {
        match form {
            Form::Channel => 1,
            Form::Spatial => self.wide,
            Form::Tucker | Form::Cp => self.kernel(),
        }
    }

    /// The ranks at which a form is exact.
    pub(super) fn full(&self, form: Form) -> Size {
        let (o, c, k) = (self.outputs, self.channels, self.kernel());
        let (rank, inner) = match form {
            Form::Channel => (o.min(c * k), o.min(c * k)),
            Form::Spatial => ((c * self.tall).min(o * self.wide), (c * self.tall).min(o * self.wide)),
            Form::Tucker => (o.min(c * k), c.min(o * k)),
            Form::Cp => ((o * c).min(c * k).min(o * k), (o * c).min(c * k).min(o * k)),
        };
        Size { form, rank, inner }
    }

    /// A form at a rank, or at what there is of it.
    pub(super) fn at(&self, form: Form, rank: usize) -> Size {
        let full = self.full(form);
        Size { form, rank: rank.clamp(1, full.rank), inner: rank.clamp(1, full.inner) }
    }

    /// What the layer costs as it is.
    pub(super) fn price(&self) -> Price {
        let params = (self.groups * self.outputs * self.columns()) as f64;
        Price { params, macs: if self.is_table { 0.0 } else { params * self.places.output } }
    }

    /// What a form costs.
    pub(super) fn price_of(&self, size: Size) -> Price {
        let (o, c, k) = (self.outputs, self.channels, self.kernel());
        let Places { input, between, output } = self.places;
        let Size { rank, inner, .. } = size;
        if self.is_table {
            return Price { params: (rank * (c + o)) as f64, macs: (rank * o) as f64 * output };
        }
        let stages = match size.form {
            Form::Channel => vec![(rank * (c * k + o), output)],
            Form::Spatial => vec![(rank * c * self.tall, between), (rank * o * self.wide, output)],
            Form::Tucker => vec![(inner * c, input), (rank * inner * k + rank * o, output)],
            Form::Cp => vec![(rank * c, input), (rank * (k + o), output)],
        };
        let weights = |stage: &(usize, f64)| (self.groups * stage.0) as f64;
        Price {
            params: stages.iter().map(weights).sum(),
            macs: stages.iter().map(|stage| weights(stage) * stage.1).sum(),
        }
    }
}
