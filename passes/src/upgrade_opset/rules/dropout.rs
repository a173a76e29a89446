//! Dropout: its mask is of truth values from 10 on, its ratio an operand from 12 on.

use onnxpress_ir::{Attr, Node};

use crate::upgrade_opset::site::{Refusal, Site};

/// A mask that is read is cast to what it was.
pub(in crate::upgrade_opset) fn mask(site: &mut Site<'_>) -> Result<(), Refusal> {
    if !site.is_read(1) {
        return site.done();
    }
    let dtype = site.dtype(0)?;
    let data = site.cx()?.operand(0);
    let new = site.copy(2)?;
    let new = site.add_node(new, &[data])?;
    let cast = Node::new("Cast", 1).with(Attr::int("to", dtype as i64));
    let mask = site.add(cast, &[new.port(1)])?;
    site.replace(1, mask)?;
    site.replace(0, new.port(0))?;
    site.remove();
    Ok(())
}

/// The ratio matters in training alone, which nothing asks for; it is kept for whoever trains the model on. What the mask is
/// where nothing is dropped is said only now, and runtimes had given out zeros.
pub(in crate::upgrade_opset) fn ratio(site: &mut Site<'_>) -> Result<(), Refusal> {
    if site.is_read(1) {
        return Err("its mask is read, and what that is in inference was not said before".to_owned());
    }
    let ratio = site.float("ratio")?.unwrap_or(0.5);
    site.remove_attr("ratio");
    if ratio != 0.5 {
        let ratio = site.scalar("ratio", onnxpress_ir::DType::Float, f64::from(ratio))?;
        site.set_operand(1, Some(ratio));
    }
    site.done()
}
