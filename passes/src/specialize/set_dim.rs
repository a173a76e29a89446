//! `set-dim`: gives an open dimension a size.

use onnxpress_ir::{Dim, Graph, Model, NodeId, Shape, Symbol, Type};

use super::given::SizeOf;
use super::sizes::{Sizes, substitute};
use crate::pass::{Pass, PassCx, PassError};

crate::options! {
    /// Gives open dimensions of inputs a size, for good.
    ///
    /// The size stands from then on wherever the dimension did: in inputs, outputs, in between, in subgraphs. Shapes that
    /// are computed from it become constants, which `fold-constants` folds.
    pub struct SetDim {
        /// The sizes, each as `"NAME=N"`: the dimension by its name in the file, or by input and axis, as in `"x:0=1"`.
        sizes: Vec<SizeOf> = Vec::new(),
    }
}

impl Pass for SetDim {
    const NAME: &'static str = "set-dim";
    /// A number may take a byte more than a short name.
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        let mut changed = 0;
        for SizeOf { dim, size } in &self.sizes {
            let found = find(&model.graph, dim, *size)?;
            if !found.is_new {
                continue;
            }
            for (input, axis) in found.nameless {
                set_extent(&mut model.graph, input, axis, *size);
            }
            substitute(&mut model.graph, &found.symbols);
            cx.sized(dim, *size);
            changed += 1;
        }
        if changed > 0 {
            let sizes: Vec<_> = self.sizes.iter().map(|SizeOf { dim, size }| format!("`{dim}` = {size}")).collect();
            super::settle(model, &sizes.join(", "))?;
        }
        cx.applied(Self::NAME, changed);
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    symbols: Sizes,
    /// Axes that have no symbol.
    nameless: Vec<(NodeId, usize)>,
    /// Whether there is anything to do.
    is_new: bool,
}

/// Where the dimension stands among the inputs, by name or by input and axis.
fn find(graph: &Graph, dim: &str, size: i64) -> Result<Found, PassError> {
    let (mut found, mut seen) = (Found::default(), false);
    for &id in graph.inputs() {
        let declared = graph.input(id).declared.shape();
        let (Some(known), Some(declared)) = (graph.ty(id.port(0)).shape(), declared) else { continue };
        let input = graph.label(id.port(0));
        for (axis, (extent, declared)) in known.iter().zip(declared.iter()).enumerate() {
            let here = dim == format!("{input}:{axis}") || dim == format!("{input}.{axis}");
            let symbol = extent.as_symbol();
            let named = matches!(symbol, Some(Symbol::Named(name)) if **name == *dim);
            if !here && !named {
                continue;
            }
            seen = true;
            match (extent.as_const(), symbol) {
                (Some(extent), _) if extent == size => continue,
                (_, Some(symbol)) => {
                    found.symbols.insert(symbol.clone(), size);
                }
                _ => {
                    let reason = format!("axis {axis} of input `{input}` has extent {extent}, not {size}");
                    return Err(PassError::Request(reason));
                }
            }
            if declared.is_unknown() {
                found.nameless.push((id, axis));
            }
            found.is_new = true;
        }
    }
    if !seen {
        let wanted = super::wanted(graph);
        return Err(PassError::Request(format!("no input has a dimension `{dim}`; the model wants {wanted}")));
    }
    Ok(found)
}

/// Writes an extent into what an input declares.
fn set_extent(graph: &mut Graph, input: NodeId, axis: usize, size: i64) {
    let declared = &graph.input(input).declared;
    let Some(shape) = declared.shape() else { return };
    let with = |(index, dim): (usize, &Dim)| if index == axis { Dim::from(size) } else { dim.clone() };
    let shape = shape.iter().enumerate().map(with).collect::<Shape>();
    graph.input_mut(input).declared = Type::tensor(declared.dtype(), shape);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::tests::{refused, run};

    #[test]
    fn a_name_has_the_size_wherever_it_stands() {
        let text = run(
            r#"set-dim{sizes=["N=2"]}"#,
            r#"<ir_version: 10, opset_import: ["" : 21]>
            g (float[N,3] x, float[2*N,3] w, bool c) => (float[N,M] y, float z) <float[N,3] h> {
              h = Neg(x)
              y = If(c) <then_branch = a () => (float[N,3] t) { t = Abs(h) }, else_branch = b () => (float[N,3] e) { e = Neg(h) }>
              z = ReduceMax <keepdims = 0> (w)
            }"#,
        );
        insta::assert_snapshot!(text, @r#"
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[2,3] x, float[4,3] w, bool c) => (float[2,M] y, float z)
        <float[2,3] h>
        {
          h = Neg(x)                        # float[2,3]
          y = If(c) <
            then_branch = a () => (float[2,3] t) {
              t = Abs(h)  # float[2,3]
            },
            else_branch = b () => (float[2,3] e) {
              e = Neg(h)  # float[2,3]
            }
          >  # float[2,3]
          z = ReduceMax <keepdims = 0> (w)  # float
        }
        settled: [] [("N", 2)]
        "#);
    }

    #[test]
    fn an_axis_without_a_name_is_said_by_its_input() {
        let text = run(r#"set-dim{sizes=["x:0=4", "x.1=5"]}"#, "g (float[?,?] x) => (float[?,?] y) { y = Neg(x) }");
        insta::assert_snapshot!(text, @r#"
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[4,5] x) => (float[?,?] y) {
          y = Neg(x)  # float[4,5]
        }
        settled: [] [("x:0", 4), ("x.1", 5)]
        "#);
    }

    #[test]
    fn what_is_not_there_or_has_a_size_is_refused() {
        let graph = "g (float[N,3] x) => (y) { y = Neg(x) }";
        insta::assert_snapshot!(refused(r#"set-dim{sizes=["M=2"]}"#, graph), @r#"set-dim{sizes=["M=2"]}: no input has a dimension `M`; the model wants x: float[N,3]"#);
        insta::assert_snapshot!(refused(r#"set-dim{sizes=["x:1=2"]}"#, graph), @r#"set-dim{sizes=["x:1=2"]}: axis 1 of input `x` has extent 3, not 2"#);
        insta::assert_snapshot!(refused(r#"set-dim{sizes=["x:2=2"]}"#, graph), @r#"set-dim{sizes=["x:2=2"]}: no input has a dimension `x:2`; the model wants x: float[N,3]"#);
        let two = "g (float[N] x, float[3] w) => (y) { y = Add(x, w) }";
        insta::assert_snapshot!(refused(r#"set-dim{sizes=["N=2"]}"#, two), @r#"set-dim{sizes=["N=2"]}: with `N` = 2 the model makes no sense: Add `y`: axis 0 of the result: found extents 2 and 3, expected equal ones or 1"#);
    }
}
