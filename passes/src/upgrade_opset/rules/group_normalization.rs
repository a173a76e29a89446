//! GroupNormalization at 21: scale and bias are for channels, where they were for groups.

use onnxpress_ir::{Attr, Node, Tensor, ValueId};

use crate::upgrade_opset::site::{Refusal, Site};

/// More channels than any model has; a shape that says so is not believed.
const MAX_CHANNELS: usize = 1 << 24;

/// Scale and bias of a group are repeated for each of its channels.
pub(in crate::upgrade_opset) fn for_channels(site: &mut Site<'_>) -> Result<(), Refusal> {
    let groups = site.int("num_groups")?.filter(|&groups| groups > 0).ok_or("it has no `num_groups`")?;
    let channels = site.cx()?.shape(0).and_then(|x| x.get(1)).and_then(onnxpress_ir::Dim::as_const);
    let channels = channels.ok_or("the number of channels is not known")?;
    if channels % groups != 0 {
        return Err(format!("{channels} channels do not fall into {groups} groups"));
    }
    for slot in [1, 2] {
        let Some(value) = site.cx()?.operand(slot) else { continue };
        let repeated = repeated(site, value, groups, channels / groups)?;
        site.set_operand(slot, Some(repeated));
    }
    // In a wider type nothing was computed before.
    if let Some(dtype) = site.cx()?.dtype(0).filter(|dtype| *dtype == onnxpress_ir::DType::Double) {
        site.set_attr(Attr::int("stash_type", dtype as i64));
    }
    site.done()
}

fn repeated(site: &mut Site<'_>, value: ValueId, groups: i64, times: i64) -> Result<ValueId, Refusal> {
    if times == 1 {
        return Ok(value);
    }
    if let Some(tensor) = site.edit.graph().constant(value) {
        let tensor = repeated_tensor(tensor, times)?;
        return Ok(site.constant("parameters", tensor));
    }
    let column = site.constant("column", Tensor::vector(vec![groups, 1]));
    let table = site.constant("table", Tensor::vector(vec![groups, times]));
    let row = site.constant("row", Tensor::vector(vec![-1i64]));
    let value = site.add(Node::new("Reshape", 1), &[value, column])?;
    let value = site.add(Node::new("Expand", 1), &[value, table])?;
    site.add(Node::new("Reshape", 1), &[value, row])
}

/// Each element so many times.
fn repeated_tensor(tensor: &Tensor, times: i64) -> Result<Tensor, Refusal> {
    let times = usize::try_from(times).map_err(|error| error.to_string())?;
    let count = tensor.len().checked_mul(times).filter(|&count| count <= MAX_CHANNELS);
    let count = count.ok_or_else(|| format!("there are more than {MAX_CHANNELS} channels"))?;
    let values = tensor.to_f64s().map_err(|error| error.to_string())?;
    let values: Vec<f64> = values.into_iter().flat_map(|value| std::iter::repeat_n(value, times)).collect();
    Tensor::from_f64s(tensor.dtype(), &[count], &values).map_err(|error| error.to_string())
}
