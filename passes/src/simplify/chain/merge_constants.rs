//! Merges arithmetic with two constants into arithmetic with one.
//!
//! Before `y = Add(Add(x, c), d)`, also with `Sub` for either; after `y = Add(x, c + d)`. Before `y = Mul(Mul(x, c), d)`, also with
//! `Div` by a constant; after `y = Mul(x, c * d)`.
//! Fires for floats if the constants have the same extents, or one of them is one number; if nothing else reads what is between
//! (graph outputs count); if no constant is lost in the other, as it is where a large number is added and taken away again, which rounds
//! on purpose; and if products are in range.
//! Exact: in real numbers the two are equal; they are rounded differently. Ends: one node fewer each time.

use onnxpress_ir::{DType, Edit, EditError, NodeId, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use crate::rewrite::{Change, Found, MatchCx, Miss, Reads, Roots, Rule};

/// What is smaller than this is rounded so finely that nobody adds it for the rounding.
const LARGE: f64 = 4096.0;

/// The least share of a summand that must be left in a sum.
const LEFT: f64 = 1e-3;

/// The module's doc is its contract; `passes NAME` prints it.
#[derive(Debug, Clone, Copy)]
pub struct MergeConstants;

impl Rule for MergeConstants {
    const NAME: &'static str = "merge-constants";
    const CONTRACT: &'static str = crate::contract!("merge_constants.rs");
    const ROOTS: Roots = Roots::Operators(&["Add", "Sub", "Mul", "Div"]);
    type Match = Change;

    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Change> {
        let outer = Step::of(cx, &cx.node(root)?)?;
        if outer.data.port != 0 || cx.constant(outer.data).is_some() {
            return Err(Miss::NotHere);
        }
        let inner = Step::of(cx, &cx.node(outer.data.node)?)?;
        let dtype = inner.tensor.dtype();
        let floats = matches!(dtype, DType::Float | DType::Double) && outer.tensor.dtype() == dtype;
        if !floats || outer.adds != inner.adds || !cx.is_read_once(outer.data) {
            return Err(Miss::NotHere);
        }
        let (c, d) = (inner.values().ok_or(Miss::NotHere)?, outer.values().ok_or(Miss::NotHere)?);
        let (small, large) =
            if c.len() <= d.len() { (inner.tensor, outer.tensor) } else { (outer.tensor, inner.tensor) };
        let fits = small.dims() == large.dims() || small.len() == 1 && small.rank() <= large.rank();
        if !fits || large.is_empty() {
            return Err(Miss::NotHere);
        }
        let merged: Option<Vec<f64>> = (0..large.len())
            .map(|index| {
                let (c, d) = (c[index % c.len()], d[index % d.len()]);
                if outer.adds { sum(c, d) } else { product(c, d) }
            })
            .collect();
        let widest = if dtype == DType::Double { f64::MAX } else { f64::from(f32::MAX) };
        let merged = merged.filter(|values| values.iter().all(|value| value.abs() <= widest)).ok_or(Miss::NotHere)?;
        let tensor = Tensor::from_f64s(dtype, large.dims(), &merged).map_err(|_| Miss::NotHere)?;
        let op_type = if outer.adds { "Add" } else { "Mul" };
        Change::new(cx, root, op_type, [inner.data.into(), Reads::New(tensor)], Vec::new())
    }

    fn apply(&self, found: Change, edit: &mut Edit<'_>) -> Result<(), EditError> {
        found.apply(edit)
    }
}

/// A value to which a constant is added, or that is multiplied by one.
struct Step<'a> {
    data: ValueId,
    tensor: &'a Tensor,
    adds: bool,
    /// Whether the constant is taken away, or divided by.
    inverse: bool,
}

impl<'a> Step<'a> {
    fn of(cx: &MatchCx<'a>, node: &NodeCx<'_>) -> Found<Self> {
        let is = |op_type| node.node.is(op_type);
        let (adds, inverse) = match () {
            () if is("Add") => (true, false),
            () if is("Sub") => (true, true),
            () if is("Mul") => (false, false),
            () if is("Div") => (false, true),
            () => return Err(Miss::NotHere),
        };
        // Before version 7 attributes said how operands are broadcast.
        if node.version < 7 {
            return Err(Miss::NotHere);
        }
        let (first, second) = (cx.operand(node.id, 0)?, cx.operand(node.id, 1)?);
        let found = match (cx.constant(first), cx.constant(second)) {
            (None, Some(tensor)) => Some((first, tensor)),
            (Some(tensor), None) if !inverse => Some((second, tensor)),
            _ => None,
        };
        let (data, tensor) = found.ok_or(Miss::NotHere)?;
        Ok(Self { data, tensor, adds, inverse })
    }

    /// What is added, or multiplied by.
    fn values(&self) -> Option<Vec<f64>> {
        let values = self.tensor.to_f64s().ok()?;
        Some(match (self.inverse, self.adds) {
            (false, _) => values,
            (true, true) => values.into_iter().map(|value| -value).collect(),
            (true, false) => values.into_iter().map(f64::recip).collect(),
        })
    }
}

fn sum(c: f64, d: f64) -> Option<f64> {
    let larger = c.abs().max(d.abs());
    let sum = c + d;
    (sum.is_finite() && (larger < LARGE || sum.abs() >= LEFT * larger)).then_some(sum)
}

fn product(c: f64, d: f64) -> Option<f64> {
    let product = c * d;
    let smallest = f64::from(f32::MIN_POSITIVE);
    (product.is_finite() && (product == 0.0 && (c == 0.0 || d == 0.0) || product.abs() >= smallest)).then_some(product)
}
