//! Inference inside subgraphs.

use onnxpress_ir::{Dim, Fact, Graph, NodeId, Shape, Symbol, TensorType, Type};

use super::Undecided;
use super::driver::{Walk, annotate, fresh, minted};
use super::either::either;
use crate::node::NodeCx;

/// Infers the bodies of a node: hands the types of captured values in and collects what comes out.
pub struct BodyInference<'a, 'm> {
    captured: Vec<Fact>,
    walk: &'a mut Walk<'m>,
}

impl<'a, 'm> BodyInference<'a, 'm> {
    pub(super) fn new(cx: &NodeCx<'_>, walk: &'a mut Walk<'m>) -> Self {
        let captured = cx
            .graph
            .implicit_operands(cx.id)
            .map(|value| value.map_or_else(Fact::default, |value| fact_of(cx.graph, value)))
            .collect();
        Self { captured, walk }
    }

    /// For the body of a function, which captures nothing.
    pub(super) fn of_call(walk: &'a mut Walk<'m>) -> Self {
        Self { captured: Vec::new(), walk }
    }

    /// Annotates `body`, whose inputs are known as `inputs` says; answers what is known of its outputs.
    ///
    /// What holds only inside (extents that the body itself brought up) is forgotten on the way out.
    ///
    /// # Errors
    /// Where the number of inputs is not the body's.
    pub fn infer(&mut self, body: &mut Graph, inputs: &[Fact]) -> Result<Vec<Fact>, Undecided> {
        if body.inputs().len() != inputs.len() {
            return Err(Undecided::invalid(format!(
                "a subgraph of {} inputs is given {}",
                body.inputs().len(),
                inputs.len()
            )));
        }
        let before = minted();
        forget(body);
        let captures: Vec<_> = body.captures().map(|(id, capture)| (id, capture.operand as usize)).collect();
        for (id, operand) in captures {
            if let Some(fact) = self.captured.get(operand) {
                body.set_fact(id.port(0), fact.ty.clone(), fact.elements.clone());
            }
        }
        let ids: Vec<NodeId> = body.inputs().to_vec();
        for (id, fact) in ids.into_iter().zip(inputs) {
            // What the body's interface declares is no more than a hint: exporters write types of the first iteration.
            let declared = &body.input(id).declared;
            let ty = if fact.ty.is_unknown() { without_extents(declared) } else { fact.ty.clone() };
            // Whatever an extent is, it equals itself for as long as the body runs once.
            let ty = map_dims(&ty, &|dim| if dim.is_unknown() { fresh() } else { dim.clone() });
            body.set_fact(id.port(0), ty, fact.elements.clone());
        }
        annotate(body, self.walk);
        Ok(body
            .outputs()
            .iter()
            .map(|&id| body.operand(id, 0).map_or_else(Fact::default, |value| leaving(fact_of(body, value), before)))
            .collect())
    }

    /// Annotates a branch, which has no inputs and may never run: what contradicts definitions inside is no error, since
    /// exporters write both ways to treat an operand whose rank decides. Answers what is known of its outputs.
    ///
    /// # Errors
    /// Where the branch has inputs.
    pub fn infer_branch(&mut self, body: &mut Graph) -> Result<Vec<Fact>, Undecided> {
        let (invalid, contradicted) = (self.walk.found.invalid.len(), self.walk.found.contradicted.len());
        let mut outputs = self.infer(body, &[])?;
        self.walk.found.invalid.truncate(invalid);
        self.walk.found.contradicted.truncate(contradicted);
        for (index, fact) in outputs.iter_mut().enumerate() {
            fact.ty = as_declared(body, index, &fact.ty);
        }
        Ok(outputs)
    }

    /// Annotates a body that runs again and again, output `carried[k].1` of one turn being input `carried[k].0` of the next.
    ///
    /// What is known of a carried value must hold for every turn, so it starts as what enters the first and is weakened by
    /// what comes out, until another turn adds nothing. Answers the inputs of any turn and the outputs of any turn.
    ///
    /// # Errors
    /// Where the body does not have so many inputs and outputs.
    pub fn infer_repeated(
        &mut self,
        body: &mut Graph,
        mut inputs: Vec<Fact>,
        carried: &[(usize, usize)],
    ) -> Result<(Vec<Fact>, Vec<Fact>), Undecided> {
        // A later turn must not take for declared what an earlier one found.
        let declared = body.clone();
        let (invalid, contradicted) = (self.walk.found.invalid.len(), self.walk.found.contradicted.len());
        loop {
            let outputs = self.infer(body, &inputs)?;
            let mut weakened = false;
            for &(input, output) in carried {
                let (Some(before), Some(after)) = (inputs.get_mut(input), outputs.get(output)) else {
                    return Err(Undecided::invalid(format!("a body of {} outputs carries more", outputs.len())));
                };
                // Each turn of this loop forgets at least one extent, rank, type or element, so it ends.
                let both = either(before, after);
                weakened |= both != *before;
                *before = both;
            }
            if !weakened {
                return Ok((inputs, outputs));
            }
            self.walk.found.invalid.truncate(invalid);
            self.walk.found.contradicted.truncate(contradicted);
            *body = declared.clone();
        }
    }
}

/// The type of output `index` of a body, with what its interface declares where that says more. Only constant extents count:
/// the same name may stand for another extent outside.
pub fn as_declared(body: &Graph, index: usize, ty: &Type) -> Type {
    let Some(&output) = body.outputs().get(index) else { return ty.clone() };
    let constants = |dim: &Dim| dim.as_const().map_or_else(Dim::unknown, Dim::from);
    ty.merge(&map_dims(&body.output(output).declared, &constants)).unwrap_or_else(|_| ty.clone())
}

/// Forgets what an earlier visit, perhaps with other inputs, found; element types and ranks that the file declares stay.
fn forget(body: &mut Graph) {
    let ports: Vec<_> = body
        .nodes()
        .flat_map(|(id, node)| {
            (0u32..).zip(node.ports()).map(move |(port, known)| (id.port(port), without_extents(&known.ty)))
        })
        .collect();
    for (value, ty) in ports {
        body.set_fact(value, ty, None);
    }
}

fn fact_of(graph: &Graph, value: onnxpress_ir::ValueId) -> Fact {
    let port = graph.port(value);
    Fact { ty: port.ty.clone(), elements: port.elements.clone() }
}

/// The type with its extents replaced, those inside containers too.
fn map_dims(ty: &Type, map: &dyn Fn(&Dim) -> Dim) -> Type {
    let tensor = |tensor: &TensorType| TensorType {
        dtype: tensor.dtype,
        shape: tensor.shape.as_ref().map(|shape| shape.iter().map(map).collect::<Shape>()),
    };
    match ty {
        Type::Tensor(known) => Type::Tensor(tensor(known)),
        Type::SparseTensor(known) => Type::SparseTensor(tensor(known)),
        Type::Sequence(element) => Type::Sequence(Box::new(map_dims(element, map))),
        Type::Optional(element) => Type::Optional(Box::new(map_dims(element, map))),
        Type::Map(key, value) => Type::Map(*key, Box::new(map_dims(value, map))),
        Type::Unknown | Type::Opaque { .. } => ty.clone(),
    }
}

/// The type with every extent forgotten, rank and element type kept.
fn without_extents(ty: &Type) -> Type {
    map_dims(ty, &|_| Dim::unknown())
}

/// The fact with every extent forgotten that was given a number since `before`.
fn leaving(fact: Fact, before: u32) -> Fact {
    let local =
        |dim: &Dim| dim.symbols().iter().any(|symbol| matches!(symbol, Symbol::Anonymous(number) if *number >= before));
    let elements = fact.elements.filter(|elements| !elements.iter().any(local));
    let ty = map_dims(&fact.ty, &|dim| if local(dim) { Dim::unknown() } else { dim.clone() });
    Fact { ty, elements }
}
