//! The extents that `Resize` and `Upsample` go to, axis by axis.
//!
//! Inference takes them from constants and tracked elements, the kernel from values at hand; the rule is written once.

use onnxpress_ir::{Dim, Tensor};

use crate::evaluate::EvalCx;
use crate::infer::Undecided;
use crate::node::NodeCx;
use crate::parameters::{Parameters, distinct_axes};

/// What an axis becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    /// The same.
    Keep,
    /// So many times as long, rounded down.
    Scale(f32),
    /// The same, where the factor is symbolic or unknown.
    Factor(Dim),
    /// An extent of its own.
    Size(Dim),
}

/// How shapes are kept in proportion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aspect {
    Stretch,
    NotLarger,
    NotSmaller,
}

/// The numbers of an operand of floats, as far as they are known.
pub(super) trait Factors: Parameters {
    /// Each number, or what stands for it; `None` where the operand is left out or has no elements.
    ///
    /// # Errors
    /// [`Undecided::Unknown`] where not even their number is known.
    fn factors(&self, index: usize) -> Result<Option<Vec<Target>>, Undecided>;
}

fn of_tensor(tensor: &Tensor) -> Result<Option<Vec<Target>>, Undecided> {
    let factors: Vec<Target> = tensor.to_f32s()?.into_iter().map(Target::Scale).collect();
    Ok(Some(factors).filter(|factors| !factors.is_empty()))
}

impl Factors for NodeCx<'_> {
    fn factors(&self, index: usize) -> Result<Option<Vec<Target>>, Undecided> {
        if let Some(tensor) = self.constant(index) {
            return of_tensor(tensor);
        }
        let entries = self.entries(index)?.filter(|entries| !entries.is_empty());
        Ok(entries.map(|entries| entries.into_iter().map(Target::Factor).collect()))
    }
}

impl Factors for EvalCx<'_> {
    fn factors(&self, index: usize) -> Result<Option<Vec<Target>>, Undecided> {
        match self.optional_tensor(index) {
            Ok(Some(tensor)) => of_tensor(tensor),
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What each axis of a tensor of this rank becomes, and the axes that the node names.
pub(super) struct Targets {
    pub by_axis: Vec<Target>,
    /// In the order of the node's lists.
    pub axes: Vec<usize>,
    pub aspect: Aspect,
}

impl Targets {
    /// Of a `Resize`.
    ///
    /// # Errors
    /// [`Undecided::Unknown`] where not even the number of scales or sizes is known; invalid where it is wrong.
    pub(super) fn of(p: &dyn Factors, rank: usize) -> Result<Self, Undecided> {
        let attrs = p.attrs();
        let axes = match attrs.ints("axes")? {
            Some(axes) => distinct_axes(&axes.into_iter().map(Dim::from).collect::<Vec<_>>(), rank)?,
            None => (0..rank).collect(),
        };
        let aspect = match attrs.string_or("keep_aspect_ratio_policy", "stretch".into())?.as_ref() {
            "not_larger" => Aspect::NotLarger,
            "not_smaller" => Aspect::NotSmaller,
            _ => Aspect::Stretch,
        };
        let old = p.version() < 11;
        let sizes = if old { None } else { p.entries(3)?.filter(|sizes| !sizes.is_empty()) };
        let targets = match sizes {
            Some(sizes) => sizes.into_iter().map(Target::Size).collect(),
            None => {
                p.factors(if old { 1 } else { 2 })?.ok_or_else(|| Undecided::invalid("neither scales nor sizes"))?
            }
        };
        Self::placed(targets, axes, aspect, rank)
    }

    /// Targets in the order of `axes`.
    ///
    /// # Errors
    /// Where there are more or fewer than axes, or one makes no sense.
    pub(super) fn placed(
        targets: Vec<Target>,
        axes: Vec<usize>,
        aspect: Aspect,
        rank: usize,
    ) -> Result<Self, Undecided> {
        if targets.len() != axes.len() {
            return Err(Undecided::invalid(format!("{} scales or sizes for {} axes", targets.len(), axes.len())));
        }
        let mut by_axis = vec![Target::Keep; rank];
        for (&axis, target) in axes.iter().zip(targets) {
            match &target {
                Target::Scale(scale) if !(scale.is_finite() && *scale > 0.0) => {
                    return Err(Undecided::invalid(format!("a scale of {scale}")));
                }
                Target::Size(size) if size.is_non_negative() == Some(false) => {
                    return Err(Undecided::invalid(format!("a size of {size}")));
                }
                _ => by_axis[axis] = target,
            }
        }
        Ok(Self { by_axis, axes, aspect })
    }

    /// The extents that these become.
    pub(super) fn extents(&self, dims: &[Dim]) -> Vec<Dim> {
        if self.aspect != Aspect::Stretch {
            return self.in_proportion(dims);
        }
        dims.iter().zip(&self.by_axis).map(|(dim, target)| extent(dim, target)).collect()
    }

    /// The one scale that keeps all axes in proportion; `None` where an extent is not known.
    pub(super) fn common_scale(&self, dims: &[Dim]) -> Option<f64> {
        let scales = self.axes.iter().map(|&axis| match &self.by_axis[axis] {
            Target::Size(size) => Some(size.as_const()? as f64 / dims[axis].as_const().filter(|&dim| dim > 0)? as f64),
            _ => None,
        });
        let scales = scales.collect::<Option<Vec<f64>>>()?;
        scales.into_iter().reduce(if self.aspect == Aspect::NotLarger { f64::min } else { f64::max })
    }

    fn in_proportion(&self, dims: &[Dim]) -> Vec<Dim> {
        let scale = self.common_scale(dims);
        let scaled = |dim: &Dim| Some(Dim::from((scale? * dim.as_const()? as f64 + 0.5).floor() as i64));
        let named = |axis: usize| self.axes.contains(&axis);
        dims.iter()
            .enumerate()
            .map(|(axis, dim)| if named(axis) { scaled(dim).unwrap_or_default() } else { dim.clone() })
            .collect()
    }
}

/// What an extent becomes.
fn extent(dim: &Dim, target: &Target) -> Dim {
    match target {
        Target::Keep => dim.clone(),
        Target::Size(size) => size.clone(),
        Target::Factor(factor) => dim * factor,
        Target::Scale(1.0) => dim.clone(),
        Target::Scale(scale) => match dim.as_const() {
            // In binary32, as runtimes do it: 10 times 0.7 is 7.
            Some(dim) => Dim::from((dim as f32 * scale).floor() as i64),
            None => {
                // A factor of few binary digits is exact, so what holds of numbers holds of symbols.
                let numerator = f64::from(*scale) * 1024.0;
                if numerator.fract() == 0.0 && numerator <= f64::from(1 << 24) {
                    let divisor = 1024 >> (numerator as i64).trailing_zeros().min(10);
                    (dim * Dim::from(numerator as i64 / (1024 / divisor))).floor_div(divisor)
                } else {
                    Dim::unknown()
                }
            }
        },
    }
}
