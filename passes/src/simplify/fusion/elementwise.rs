//! What a group of elementwise nodes computes of one value, as an expression.

use onnxpress_ir::{NodeId, Tensor, ValueId};
use onnxpress_ops::node::NodeCx;

use super::expression::{Atom, Expr, Function};
use crate::rewrite::MatchCx;

/// Nodes of a group; the longest spelling of any function that is looked for has fewer.
const MOST: usize = 20;

/// The nodes between a value and a variable, and what they compute.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) expr: Expr,
    /// Each once.
    pub(super) nodes: Vec<NodeId>,
    /// The numbers that it computes with.
    pub(super) numbers: Vec<(ValueId, f64)>,
    /// The greatest rank of one of their constants.
    pub(super) constant_rank: usize,
}

/// Numbers that functions are made of. A constant of halves that is the rounding of one stands for it.
const KNOWN: [f64; 6] = [
    std::f64::consts::FRAC_1_SQRT_2,
    std::f64::consts::SQRT_2,
    // sqrt(2 / pi)
    std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2,
    0.044_715,
    1.0 / 6.0,
    1.702,
];

/// The values that a group which ends in `root` may begin with, the nearest first.
pub(super) fn beginnings(cx: &MatchCx<'_>, root: NodeId) -> Vec<ValueId> {
    let mut found: Vec<ValueId> = Vec::new();
    let mut nodes = vec![root];
    let mut at = 0;
    while let Some(&id) = nodes.get(at) {
        at += 1;
        if !cx.node(id).is_ok_and(|node| is_elementwise(&node)) {
            continue;
        }
        // What computes with several numbers is nothing that is looked for, nor is what depends on it through this node.
        let operands: Vec<ValueId> = cx.graph().operands(id).flatten().collect();
        if operands.iter().any(|&value| cx.constant(value).is_some_and(|tensor| tensor.len() != 1)) {
            continue;
        }
        for value in operands {
            if cx.constant(value).is_none() && !found.contains(&value) {
                found.push(value);
                if value.port == 0 && nodes.len() < MOST && !nodes.contains(&value.node) {
                    nodes.push(value.node);
                }
            }
        }
    }
    found
}

impl Group {
    /// What `root` computes of `x`; `None` if that is not all that it depends on, or it is not known.
    pub(super) fn of(cx: &MatchCx<'_>, root: NodeId, x: ValueId) -> Option<Self> {
        let mut walk = Walk { cx, x, nodes: Vec::new(), known: Vec::new(), numbers: Vec::new(), constant_rank: 0 };
        let expr = walk.node(root)?;
        Some(Self { expr, nodes: walk.nodes, numbers: walk.numbers, constant_rank: walk.constant_rank })
    }
}

struct Walk<'c, 'a> {
    cx: &'c MatchCx<'a>,
    x: ValueId,
    nodes: Vec<NodeId>,
    known: Vec<(NodeId, Expr)>,
    numbers: Vec<(ValueId, f64)>,
    constant_rank: usize,
}

/// Whether it is one of the operators that [`Walk::apply`] knows.
fn is_elementwise(node: &NodeCx<'_>) -> bool {
    // In order.
    const NAMES: [&str; 28] = [
        "Abs",
        "Add",
        "Clip",
        "Div",
        "Elu",
        "Erf",
        "Exp",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Softplus",
        "Sqrt",
        "Sub",
        "Sum",
        "Swish",
        "Tanh",
        "ThresholdedRelu",
        "Where",
    ];
    let name = node.node.op_type.as_bytes();
    node.node.canonical_domain().is_empty() && NAMES.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
}

impl Walk<'_, '_> {
    fn value(&mut self, value: ValueId) -> Option<Expr> {
        if value == self.x {
            return Some(Expr::x());
        }
        if let Some(number) = self.number(value) {
            return Some(Expr::number(number));
        }
        if value.port == 0 { self.node(value.node) } else { None }
    }

    /// The only element of a constant.
    fn number(&mut self, value: ValueId) -> Option<f64> {
        let tensor = self.cx.constant(value).filter(|tensor| tensor.len() == 1)?;
        self.constant_rank = self.constant_rank.max(tensor.rank());
        let stored = tensor.to_f64s().ok()?.first().copied()?;
        let halves = |number: &f64| Tensor::from_f64s(tensor.dtype(), &[], &[*number]).and_then(|half| half.to_f64s());
        let stands_for = |number: &&f64| halves(number).is_ok_and(|half| half == [stored]);
        let known = KNOWN.iter().filter(|_| tensor.dtype().bits() == 16).find(stands_for);
        self.numbers.push((value, stored));
        Some(known.copied().unwrap_or(stored))
    }

    fn node(&mut self, id: NodeId) -> Option<Expr> {
        if let Some((_, expr)) = self.known.iter().find(|(known, _)| *known == id) {
            return Some(expr.clone());
        }
        let node = self.cx.node(id).ok().filter(is_elementwise)?;
        if self.nodes.len() >= MOST || node.version < 7 {
            return None;
        }
        self.nodes.push(id);
        let expr = self.apply(&node)?;
        self.known.push((id, expr.clone()));
        Some(expr)
    }

    fn apply(&mut self, node: &NodeCx<'_>) -> Option<Expr> {
        let float = |name, otherwise| node.attrs().float_or(name, otherwise).ok().map(f64::from);
        let op_type = std::str::from_utf8(node.node.op_type.as_bytes()).ok()?;
        if op_type == "Where" {
            return self.split(node);
        }
        let first = self.value(node.operand(0)?)?;
        let function = |function: Function| first.clone().then(function);
        match op_type {
            "Identity" => Some(first),
            "Abs" => function(Function::Abs),
            "Erf" => function(Function::Erf),
            "Exp" => function(Function::Exp),
            "Log" => function(Function::Log),
            "Sigmoid" => function(Function::Sigmoid),
            "Softplus" => function(Function::Softplus),
            "Sqrt" => function(Function::Sqrt),
            "Tanh" => function(Function::Tanh),
            "Neg" => first.scaled(-1.0),
            "Reciprocal" => first.inverse(),
            "Relu" => first.clipped(0.0, f64::INFINITY),
            "Add" | "Sum" | "Max" | "Min" | "Mul" | "Sub" | "Div" | "Pow" => {
                let others: Vec<ValueId> =
                    (1..node.operand_count()).map(|index| node.operand(index)).collect::<Option<_>>()?;
                others.into_iter().try_fold(first, |first, value| {
                    let second = self.value(value)?;
                    binary(op_type, &first, second)
                })
            }
            "Clip" => {
                let bound = |walk: &mut Self, index, name, none: f64| match (node.version >= 11, node.operand(index)) {
                    (true, Some(value)) => walk.number(value),
                    (true, None) => Some(none),
                    (false, _) => node.attrs().float_or(name, none as f32).ok().map(f64::from),
                };
                let low = bound(self, 1, "min", f64::NEG_INFINITY)?;
                let high = bound(self, 2, "max", f64::INFINITY)?;
                first.clipped(low, high)
            }
            "HardSigmoid" => hard_sigmoid(first, float("alpha", 0.2)?, float("beta", 0.5)?),
            "HardSwish" => first.times(&hard_sigmoid(first.clone(), 1.0 / 6.0, 0.5)?),
            "Swish" => first.times(&first.clone().scaled(float("alpha", 1.0)?)?.then(Function::Sigmoid)?),
            "ThresholdedRelu" => {
                let (at, below) = (float("alpha", 1.0)?, Box::new(Expr::number(0.0)));
                let of_x = first.is(&Expr::x());
                of_x.then(|| Expr::atom(Atom::Split { at, at_is_below: true, below, above: Box::new(first) }))
            }
            "LeakyRelu" => rectified(&first, first.clone().scaled(float("alpha", 0.01)?)?),
            "Elu" => {
                let below =
                    first.clone().then(Function::Exp)?.plus(Expr::number(-1.0))?.scaled(float("alpha", 1.0)?)?;
                rectified(&first, below)
            }
            _ => None,
        }
    }

    /// `Where` by a comparison of the variable with a number.
    fn split(&mut self, node: &NodeCx<'_>) -> Option<Expr> {
        let comparison = self.cx.node(node.operand(0)?.node).ok()?;
        let (left, right) = (comparison.operand(0)?, comparison.operand(1)?);
        let (is_less, inclusive) = match std::str::from_utf8(comparison.node.op_type.as_bytes()).ok()? {
            _ if !comparison.node.canonical_domain().is_empty() => return None,
            "Less" => (true, false),
            "LessOrEqual" => (true, true),
            "Greater" => (false, false),
            "GreaterOrEqual" => (false, true),
            _ => return None,
        };
        self.nodes.push(comparison.id);
        // left - right < 0
        let (slope, offset) = binary("Sub", &self.value(left)?, self.value(right)?)?.as_affine()?;
        if slope == 0.0 || self.nodes.len() > MOST {
            return None;
        }
        let (yes, no) = (self.value(node.operand(1)?)?, self.value(node.operand(2)?)?);
        // Whether the condition holds below the number.
        let holds_below = is_less == (slope > 0.0);
        let (below, above) = if holds_below { (yes, no) } else { (no, yes) };
        let (below, above) = (Box::new(below), Box::new(above));
        Some(Expr::atom(Atom::Split { at: -offset / slope, at_is_below: inclusive == holds_below, below, above }))
    }
}

fn binary(op_type: &str, first: &Expr, second: Expr) -> Option<Expr> {
    match op_type {
        "Add" | "Sum" => first.clone().plus(second),
        "Sub" => first.clone().plus(second.scaled(-1.0)?),
        "Mul" => first.times(&second),
        "Div" => first.times(&second.inverse()?),
        "Max" | "Min" => {
            let (number, of) = match (first.as_number(), second.as_number()) {
                (None, Some(number)) => (number, first.clone()),
                (Some(number), None) => (number, second),
                _ => return None,
            };
            if op_type == "Max" { of.clipped(number, f64::INFINITY) } else { of.clipped(f64::NEG_INFINITY, number) }
        }
        "Pow" => match second.as_number()? {
            2.0 => first.power(2),
            3.0 => first.power(3),
            -1.0 => first.inverse(),
            0.5 => first.clone().then(Function::Sqrt),
            _ => None,
        },
        _ => None,
    }
}

fn hard_sigmoid(of: Expr, alpha: f64, beta: f64) -> Option<Expr> {
    of.scaled(alpha)?.plus(Expr::number(beta))?.clipped(0.0, 1.0)
}

/// An expression that has the sign of the variable itself above zero, another one below.
fn rectified(of: &Expr, below: Expr) -> Option<Expr> {
    let (factor, 0.0) = of.as_affine()? else { return None };
    let above = Box::new(of.clone());
    (factor > 0.0).then(|| Expr::atom(Atom::Split { at: 0.0, at_is_below: false, below: Box::new(below), above }))
}
