//! Conversions to codes and back behind values, with their scales and zero points.
//!
//! Parameters belong to groups of values, and zero points to whoever has the same: each is a constant once, in the name of what it is and
//! not of a value. Floats that are made of codes have no name; the codes have that of the value.

use std::collections::BTreeMap;

use onnxpress_ir::{DType, Edit, Model, Name, Node, Slot, Tensor, TensorError, Use, ValueId};
use onnxpress_ops::infer::Standard;

use super::plan::{self, Numbers, PlanError, PlannedReading, PlannedValue, QuantizePlan};
use super::write::WriteError;

/// Scales and zero points that are there.
#[derive(Default)]
struct Parameters {
    scales: BTreeMap<(usize, u32), ValueId>,
    zeros: BTreeMap<(DType, i64), ValueId>,
}

impl Parameters {
    /// The scale of a value's group.
    fn scale(&mut self, edit: &mut Edit<'_>, planned: &PlannedValue) -> ValueId {
        let made = || edit.add_constant(Some(format!("scale_{}", planned.group).into()), Tensor::scalar(planned.scale));
        *self.scales.entry((planned.group, planned.scale.to_bits())).or_insert_with(made)
    }

    /// A zero point; all that are the same are one.
    fn zero_point(
        &mut self,
        edit: &mut Edit<'_>,
        planned: &PlannedValue,
        dtype: DType,
    ) -> Result<ValueId, TensorError> {
        if let Some(&known) = self.zeros.get(&(dtype, planned.zero_point)) {
            return Ok(known);
        }
        let tensor = Tensor::from_i64s(dtype, &[], &[planned.zero_point])?;
        let name = format!("zero_point_{}", planned.zero_point).replace('-', "minus_");
        let made = edit.add_constant(Some(name.into()), tensor);
        self.zeros.insert((dtype, planned.zero_point), made);
        Ok(made)
    }
}

/// Puts conversions behind values.
///
/// # Errors
/// Where the plan does not suit the model.
pub(super) fn conversions(plan: &QuantizePlan, model: &mut Model, numbers: &Numbers) -> Result<(), WriteError> {
    let mut parameters = Parameters::default();
    for planned in &plan.values {
        let dtype = plan::dtype(&planned.dtype, &planned.name)?;
        let value = numbers.value(model, planned.id, &planned.name)?;
        let readings = planned.readers.iter().map(|reader| reading(reader, value, model, numbers));
        let readings = readings.collect::<Result<Vec<Use>, _>>()?;
        let mut edit = Edit::new(&mut model.graph, &Standard, "quantize", &[value.node]);
        let name = edit.graph().port(value).name.clone();
        let suffixed = |suffix| name.as_ref().map(|name: &Name| name.suffixed(suffix));
        let (scale, zero) = (parameters.scale(&mut edit, planned), parameters.zero_point(&mut edit, planned, dtype)?);
        let codes = edit.add(Node::new("QuantizeLinear", 1), &[value, scale, zero])?;
        edit.rename(codes, suffixed("_quantized"));
        let floats = edit.add(Node::new("DequantizeLinear", 1), &[codes, scale, zero])?;
        let given_out = readings.iter().any(|reading| edit.graph().node(reading.node).is_none());
        if given_out {
            edit.rename(floats, name.clone());
            edit.rename(value, suffixed("_float"));
        }
        for reading in readings {
            edit.connect(reading, Some(floats));
        }
        edit.commit();
    }
    Ok(())
}

fn reading(planned: &PlannedReading, value: ValueId, model: &Model, numbers: &Numbers) -> Result<Use, WriteError> {
    let node = numbers.vertex(planned.node, &planned.name)?;
    let slot = if planned.inside { Slot::Capture(planned.operand) } else { Slot::Operand(planned.operand) };
    let reading = Use { node, slot };
    let reads = model.graph.readers(value).any(|reader| reader == reading);
    if reads {
        Ok(reading)
    } else {
        let reason = format!("it does not read `{}` as {slot}", model.graph.label(value));
        Err(PlanError::Site { name: planned.name.clone(), reason }.into())
    }
}
