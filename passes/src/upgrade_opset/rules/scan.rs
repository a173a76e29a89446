//! Scan at 9: without a batch, and without lengths of sequences.
//!
//! Scan 8 has a batch as axis 0 of everything and steps along axis 1 of what is scanned. That is a scan over samples, which
//! carries nothing from one to the next, around a scan over steps:
//!
//! ```text
//! s[b,..], y[b,t,..] = Scan 8 ("", s0[b,..], x[b,t,..])      body: s, x[t] -> s, y[t]
//! s[b,..], y[b,t,..] = Scan 9 (s0[b,..], x[b,t,..])          body: s0, x[t,..] -> Scan 9 (s0, x[t,..]) with the body above
//! ```

use std::sync::Arc;

use onnxpress_ir::{Attr, AttrValue, Carried, Graph, Input, Name, Port, Type, ValueId};

use crate::upgrade_opset::site::{Refusal, Site};

/// A scan over the batch around a scan over the steps.
pub(in crate::upgrade_opset) fn without_batch(site: &mut Site<'_>) -> Result<(), Refusal> {
    let cx = site.cx()?;
    if cx.has(0) {
        return Err("sequences of a batch may end at different steps".to_owned());
    }
    let operands: Vec<Option<ValueId>> = site.edit.graph().operands(site.id).skip(1).collect();
    let implicit: Vec<Option<ValueId>> = site.edit.graph().implicit_operands(site.id).collect();
    if operands.iter().chain(&implicit).any(Option::is_none) {
        return Err("an operand is left out".to_owned());
    }
    let scanned = site.int("num_scan_inputs")?.ok_or("it has no `num_scan_inputs`")?;
    let outputs = site.cx()?.node.port_count();
    let body = outer_body(site, &operands, &implicit, outputs)?;
    let all = i64::try_from(operands.len()).map_err(|error| error.to_string())?;
    if !(1..=all).contains(&scanned) {
        return Err(format!("{scanned} of {all} operands are scanned"));
    }
    let mut outer = site.copy(outputs)?;
    outer.attrs = vec![Attr::new("body", AttrValue::Graph(Box::new(body))), Attr::int("num_scan_inputs", all)];
    let added = site.edit.add_holder(outer, &operands, &implicit).map_err(|error| error.to_string())?;
    for port in 0..outputs as u32 {
        if site.is_read(port) {
            site.replace(port, added.port(port))?;
        }
    }
    site.remove();
    Ok(())
}

/// A graph of one sample, with the scan over its steps in it.
fn outer_body(
    site: &Site<'_>,
    operands: &[Option<ValueId>],
    implicit: &[Option<ValueId>],
    outputs: usize,
) -> Result<Graph, Refusal> {
    let around = site.edit.graph();
    let mut body = Graph::new(Arc::clone(&around.opsets));
    body.name = Some(Name::from("sample"));
    let mut inputs = Vec::new();
    for (index, value) in (0u32..).zip(operands.iter().flatten()) {
        let declared = of_one_sample(around.ty(*value));
        let port = Port::new(format!("sample_{index}"), declared.clone());
        inputs.push(Some(body.add_input(Input { port, default: None, declared, carried: Carried::none() })));
    }
    let mut captures = Vec::new();
    for (number, value) in (0u32..).zip(implicit.iter().flatten()) {
        let port = Port { omitted: false, ..around.port(*value).clone() };
        captures.push(body.add_capture(number, port));
    }
    let mut inner = site.copy(outputs)?;
    for attr in &mut inner.attrs {
        if attr.name == "directions" {
            attr.name = Name::from("scan_input_directions");
        }
    }
    let ports = site.cx()?.node.ports();
    let ports = ports.iter().map(|port| Port { ty: of_one_sample(&port.ty), ..port.clone() });
    let inner = inner
        .with_ports(ports.map(|port| Port { name: None, elements: None, omitted: false, ..port }).collect::<Vec<_>>());
    let inner = body.add_node(inner, &inputs);
    for value in captures {
        body.add_implicit_operand(inner, value);
    }
    for port in 0..outputs as u32 {
        let value = inner.port(port);
        let declared = body.ty(value).clone();
        body.add_output(Name::from(format!("result_{port}")), declared, Carried::none(), value);
    }
    Ok(body)
}

/// The type without its first axis.
fn of_one_sample(ty: &Type) -> Type {
    let shape = ty.shape().map(|shape| shape.iter().skip(1).cloned().collect());
    Type::tensor(ty.dtype(), shape)
}
