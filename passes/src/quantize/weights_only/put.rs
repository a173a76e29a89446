//! Codes in the place of a weight, and the weight's witness.

use onnxpress_ir::{DType, Edit, EditError, Graph, Name, NodeId, Port, Tensor, Use, ValueId, Vertex};
use onnxpress_ops::infer::Standard;

use super::candidates::Weight;
use super::decode::{self, Axes};
use super::nbits;
use super::options::Form;
use crate::pass::PassError;
use crate::quantize::weight::{Parts, Quantized, Written, parts};

/// Gives the weight, in a witness, the numbers that its codes stand for.
///
/// # Errors
/// Where the extents make no tensor: a defect.
pub(in crate::quantize) fn round(
    graph: &mut Graph,
    weight: &Weight,
    quantized: &Quantized,
    pass: &'static str,
) -> Result<(), PassError> {
    let rounded = quantized.deferred().map_err(|error| PassError::Broken(error.to_string()))?;
    let mut edit = Edit::new(graph, &Standard, pass, &[]);
    edit.set_constant(weight.site.constant, rounded);
    edit.commit();
    Ok(())
}

/// How codes are put in the place of a weight.
#[derive(Debug, Clone, Copy)]
pub(in crate::quantize) struct Placing {
    /// The pass that does it.
    pub(in crate::quantize) pass: &'static str,
    /// What makes floats of them.
    pub(in crate::quantize) form: Form,
    /// Whether that stands behind the lookups in them.
    pub(in crate::quantize) behind: bool,
    /// The type that scales are stored in; their own, where none is given.
    pub(in crate::quantize) scales: Option<DType>,
}

impl Placing {
    /// Puts them there.
    ///
    /// # Errors
    /// Where the graph does not take them: a defect.
    pub(in crate::quantize) fn put(
        &self,
        graph: &mut Graph,
        constant: NodeId,
        quantized: &Quantized,
    ) -> Result<(), PassError> {
        let placed = match self.form {
            Form::Matmulnbits => nbits::put(graph, constant, quantized, self),
            _ => self.placed(graph, constant, quantized),
        };
        placed.map_err(|error| PassError::Broken(error.to_string()))
    }

    /// A scale as the file has it: its values are ones that its type there holds.
    pub(super) fn stored_scale(&self, scale: &Tensor) -> Tensor {
        let stored = self.scales.and_then(|to| Tensor::from_f64s(to, scale.dims(), &scale.to_f64s().ok()?).ok());
        stored.unwrap_or_else(|| scale.clone())
    }

    /// The constants, the scale in the type that the codes are to become.
    fn parts(
        &self,
        edit: &mut Edit<'_>,
        name: Option<&Name>,
        quantized: &Quantized,
        written: Written,
    ) -> Result<Parts, EditError> {
        let own = Quantized { scale: self.stored_scale(&quantized.scale), ..quantized.clone() };
        let mut made = parts(edit, name, &own, written);
        if self.scales.is_some() {
            made.scale = edit.add(decode::cast(quantized.scale.dtype()), &[made.scale])?;
        }
        Ok(made)
    }

    fn placed(&self, graph: &mut Graph, constant: NodeId, quantized: &Quantized) -> Result<(), EditError> {
        let value = constant.port(0);
        // The first of the readers in the file lends its place.
        let mut readers: Vec<Use> = graph.readers(value).collect();
        readers.sort_by_key(|reading| (graph.place(reading.node), *reading));
        let name = graph.port(value).name.clone();
        let written = match graph.vertex(constant) {
            Vertex::Constant(constant) => Written::like(&constant.form),
            _ => Written::AsUsual,
        };
        let from: Vec<NodeId> = readers.first().map(|reading| reading.node).into_iter().collect();
        let mut edit = Edit::new(graph, &Standard, self.pass, &from);
        let stored = decode::stored(quantized, self.form);
        let made = self.parts(&mut edit, name.as_ref(), &stored, written)?;
        if self.behind {
            for reading in readers {
                self.look_up(&mut edit, reading.node, &made, quantized)?;
            }
        } else {
            let floats = decode::floats(&mut edit, self.form, made.codes, &made, quantized, Axes::Own)?;
            edit.replace(value, floats)?;
        }
        edit.remove(constant);
        edit.commit();
        Ok(())
    }

    /// Looks codes up in the place of floats, and makes floats of those.
    fn look_up(
        &self,
        edit: &mut Edit<'_>,
        lookup: NodeId,
        made: &Parts,
        quantized: &Quantized,
    ) -> Result<(), EditError> {
        let Some(node) = edit.graph().node(lookup) else { return Ok(()) };
        let (node, old) = (node.clone(), lookup.port(0));
        let name = node.ports().first().and_then(|port| port.name.as_ref());
        let port = Port { name: name.map(|name| name.suffixed("_quantized")), ..Port::default() };
        let mut operands: Vec<Option<ValueId>> = edit.graph().operands(lookup).collect();
        operands[0] = Some(made.codes);
        let codes = edit.add_node(node.with_ports([port]), &operands)?.port(0);
        let floats = decode::floats(edit, self.form, codes, made, quantized, Axes::OfLookup)?;
        edit.replace(old, floats)?;
        edit.remove(lookup);
        Ok(())
    }
}

impl Quantized {
    /// The weight that the codes stand for, computed when somebody looks at it.
    ///
    /// # Errors
    /// Where the extents make no tensor.
    pub(in crate::quantize) fn deferred(&self) -> Result<Tensor, onnxpress_ir::TensorError> {
        let own = self.clone();
        Tensor::deferred(self.scale.dtype(), self.codes.dims(), move || {
            let made = own.dequantized().ok().and_then(|tensor| tensor.bytes().cloned());
            made.expect("codes and scales that were made together fit each other")
        })
    }
}
