//! `set-input`: gives an input a value.

use onnxpress_ir::{ConstantValue, Model, NodeId, Shape, Symbol, Tensor, Type};

use super::given::FromFile;
use super::pin;
use super::sizes::{Sizes, substitute};
use crate::pass::{Pass, PassCx, PassError};

crate::options! {
    /// Gives inputs of the model a value, for good.
    ///
    /// The value becomes a constant of the input's name, and the input is gone. Where the input's type has named
    /// dimensions, they have the sizes that the value has, everywhere.
    pub struct SetInput {
        /// The values, each as `"NAME=FILE"`: the input, and the file of its array, `.npy`, or `.npz` by the input's name.
        values: Vec<FromFile> = Vec::new(),
    }
}

impl Pass for SetInput {
    const NAME: &'static str = "set-input";
    const MAY_GROW: bool = true;

    fn run(&self, model: &mut Model, cx: &mut PassCx<'_>) -> Result<(), PassError> {
        for FromFile { input, file } in &self.values {
            let graph = &mut model.graph;
            let id = graph
                .inputs()
                .iter()
                .copied()
                .find(|id| graph.port(id.port(0)).name.as_ref().is_some_and(|name| *name == **input));
            let Some(id) = id else {
                let wanted = super::wanted(graph);
                return Err(PassError::Request(format!("there is no input `{input}`; the model wants {wanted}")));
            };
            let source =
                cx.request.arrays.ok_or_else(|| PassError::Request("no arrays can be read here".to_owned()))?;
            let value = source.array(file, input, &graph.input(id).declared).map_err(PassError::Request)?;
            let sizes = sizes(graph.ty(id.port(0)), &value, input, &graph.input(id).declared)?;
            for (symbol, size) in &sizes {
                if let Symbol::Named(name) = symbol {
                    cx.sized(name, *size);
                }
            }
            cx.pinned(input, Some(value.clone()));
            self.set(model, id, value, &sizes);
        }
        if !self.values.is_empty() {
            super::settle(model, "these values")?;
        }
        cx.applied(Self::NAME, self.values.len());
        Ok(())
    }
}

impl SetInput {
    fn set(&self, model: &mut Model, id: NodeId, value: Tensor, sizes: &Sizes) {
        if !sizes.is_empty() {
            substitute(&mut model.graph, sizes);
        }
        pin(&mut model.graph, vec![(id, ConstantValue::Dense(value))]);
    }
}

/// The sizes that the value gives to dimensions of the input.
fn sizes(ty: &Type, value: &Tensor, input: &str, declared: &Type) -> Result<Sizes, PassError> {
    let found = Type::tensor(value.dtype(), Shape::from_extents(value.dims()));
    let mismatch =
        || PassError::Request(format!("the value of input `{input}` is {found}, but the input is {declared}"));
    if found.merge(declared).is_err() {
        return Err(mismatch());
    }
    let mut sizes = Sizes::new();
    for (dim, &extent) in ty.shape().into_iter().flat_map(|shape| shape.iter()).zip(value.dims()) {
        let extent = i64::try_from(extent).map_err(|_| mismatch())?;
        if let Some(symbol) = dim.as_symbol()
            && sizes.insert(symbol.clone(), extent).is_some_and(|before| before != extent)
        {
            return Err(mismatch());
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::tests::{refused, run};

    #[test]
    fn a_value_takes_the_place_of_the_input() {
        let text = run(
            r#"set-input{values=["mask=ones.npy"]}"#,
            r#"g (float[N,3] x, float[N] mask) => (float[N,3] y, float[N] m) {
              y = Einsum <equation = "nc,n->nc"> (x, mask)
              m = Neg(mask)
            }"#,
        );
        insta::assert_snapshot!(text, @r#"
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[2,3] x) => (float[2,3] y, float[2] m)
        <float[2] mask = {1, 1}>
        {
          y = Einsum <equation = "nc,n->nc"> (x, mask)  # float[2,3]
          m = Neg(mask)                                 # float[2]
        }
        settled: ["mask"] [("N", 2)]
        "#);
    }

    #[test]
    fn an_input_that_is_given_out_is_given_out_all_the_same() {
        let text = run(
            r#"set-input{values=["mask=ones.npy"]}"#,
            "g (float[2] x, float[2] mask) => (y, mask) { y = Add(x, mask) }",
        );
        insta::assert_snapshot!(text, @r#"
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[2] x) => (float[2] y, float[2] mask)
        <float[2] mask = {1, 1}>
        {
          y = Add(x, mask)  # float[2]
        }
        settled: ["mask"] []
        "#);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let graph = "g (float[N,3] x, int64[N] i) => (y) { y = Gather(x, i) }";
        insta::assert_snapshot!(refused(r#"set-input{values=["w=ones.npy"]}"#, graph), @r#"set-input{values=["w=ones.npy"]}: there is no input `w`; the model wants x: float[N,3], i: int64[N]"#);
        insta::assert_snapshot!(refused(r#"set-input{values=["i=ones.npy"]}"#, graph), @r#"set-input{values=["i=ones.npy"]}: the value of input `i` is float[2], but the input is int64[N]"#);
        insta::assert_snapshot!(refused(r#"set-input{values=["x=ones.npy"]}"#, graph), @r#"set-input{values=["x=ones.npy"]}: the value of input `x` is float[2], but the input is float[N,3]"#);
        insta::assert_snapshot!(refused(r#"set-input{values=["i=none.npy"]}"#, graph), @r#"set-input{values=["i=none.npy"]}: none.npy: no such file"#);
    }
}
