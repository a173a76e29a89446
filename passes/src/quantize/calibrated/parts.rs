//! The parts of a plan that can be quantized or left one by one: linear layers, tables, and weights that are codes in the file alone.
//!
//! They are numbered in this order.

use std::collections::BTreeSet;
use std::ops::Range as Numbers;

use onnxpress_ir::DType;

use super::plan::{PlannedValue, QuantizePlan};
use super::settle::parameters;
use crate::quantize::range::Range;

impl QuantizePlan {
    /// How many parts there are.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.stored_parts().end
    }

    fn table_parts(&self) -> Numbers<usize> {
        self.layers.len()..self.layers.len() + self.tables.len()
    }

    fn stored_parts(&self) -> Numbers<usize> {
        let start = self.table_parts().end;
        start..start + self.stored.len()
    }

    /// What a part is called.
    #[must_use]
    pub fn part_name(&self, part: usize) -> &str {
        let weights = self.tables.iter().map(|it| &it.weight).chain(self.stored.iter().map(|it| &it.weight));
        let mut names = self.layers.iter().map(|layer| &layer.name).chain(weights.map(|weight| &weight.name));
        names.nth(part).map_or("", String::as_str)
    }

    /// The plan for one part, and what it reads, alone.
    #[must_use]
    pub fn alone(&self, part: usize) -> Self {
        let others: Vec<usize> = (0..self.parts()).filter(|&other| other != part).collect();
        self.without(&others)
    }

    /// The plan without some parts.
    #[must_use]
    pub fn without(&self, parts: &[usize]) -> Self {
        let parts: BTreeSet<usize> = parts.iter().copied().collect();
        let mut plan = self.clone();
        let (tables, stored) = (self.table_parts(), self.stored_parts());
        let gone: BTreeSet<usize> = parts.iter().filter_map(|&part| Some(self.layers.get(part)?.id)).collect();
        plan.layers.retain(|layer| !gone.contains(&layer.id));
        let mut numbers = tables;
        plan.tables.retain(|_| numbers.next().is_some_and(|part| !parts.contains(&part)));
        let mut numbers = stored;
        plan.stored.retain(|_| numbers.next().is_some_and(|part| !parts.contains(&part)));
        if !gone.is_empty() {
            plan.values.iter_mut().for_each(|value| value.readers.retain(|reader| !gone.contains(&reader.node)));
            plan.drop_islands(&gone);
        }
        plan
    }

    /// Drops values that lead to no layer, and come from none, now that some are gone: sums and the like stay in float with them.
    fn drop_islands(&mut self, gone: &BTreeSet<usize>) {
        let ends = |value: &PlannedValue| {
            let readers = value.readers.iter().map(|reader| reader.node);
            let ends: Vec<usize> = readers.chain([value.id.0]).filter(|id| !gone.contains(id)).collect();
            ends
        };
        let mut reached: BTreeSet<usize> = self.layers.iter().map(|layer| layer.id).collect();
        let mut before = 0;
        while reached.len() > before {
            before = reached.len();
            for ends in self.values.iter().map(ends) {
                if ends.iter().any(|end| reached.contains(end)) {
                    reached.extend(ends);
                }
            }
        }
        let is_reached = |value: &PlannedValue| ends(value).iter().any(|end| reached.contains(end));
        self.values.retain(|value| !value.readers.is_empty() && is_reached(value));
    }

    /// The plan with values in 16 bits where some layers read them, and whatever shares parameters with these. They reach over all that
    /// was seen: steps are so fine that there is nothing to gain by clipping.
    #[must_use]
    pub fn widened(&self, layers: &[usize]) -> Self {
        let mut plan = self.clone();
        let wide: BTreeSet<usize> = layers.iter().filter_map(|&layer| Some(self.layers.get(layer)?.id)).collect();
        let read = |value: &&PlannedValue| value.readers.iter().any(|reader| wide.contains(&reader.node));
        let groups: BTreeSet<usize> = self.values.iter().filter(read).map(|value| value.group).collect();
        for value in plan.values.iter_mut().filter(|value| groups.contains(&value.group)) {
            let dtype = match value.dtype.as_str() {
                "uint8" => DType::Uint16,
                "int8" => DType::Int16,
                _ => continue,
            };
            let middle = value.dtype == "int8" && value.zero_point == 0;
            let range = Range::new(f64::from(value.seen.0), f64::from(value.seen.1));
            (value.scale, value.zero_point) = parameters(range, onnxpress_ir::tensor::range(dtype), middle);
            value.dtype = dtype.to_string();
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::run_on_samples;
    use super::*;

    const NET: &str = "
        net (float[N,4,6,6] x) => (float[N,4,6,6] y, float[N,4,6,3] z)
        <float[4,4,1,1] a = normal(seed=1), float[4,4,1,1] b = normal(seed=2), float[6,3] w = normal(seed=3)> {
            p = Conv(x, a)
            q = Conv(p, b)
            y = Add(p, q)
            z = MatMul(x, w)
        }";

    #[test]
    fn what_joins_a_layer_goes_with_it() {
        let (_, report) = run_on_samples("quantize{grow=true}", NET);
        let plan: QuantizePlan = serde_json::from_value(report.unwrap().passes[0].plan.clone().unwrap()).unwrap();
        let values = |plan: &QuantizePlan| plan.values.iter().map(|value| value.name.clone()).collect::<Vec<_>>();
        let parts: Vec<&str> = (0..plan.parts()).map(|part| plan.part_name(part)).collect();
        insta::assert_snapshot!(parts.join(", "), @"Conv `p`, Conv `q`, MatMul `z`");
        insta::assert_snapshot!(values(&plan).join(", "), @"x, p, q");
        insta::assert_snapshot!(values(&plan.without(&[0, 1])).join(", "), @"x");
        insta::assert_snapshot!(values(&plan.alone(1)).join(", "), @"p, q");
        assert_eq!(plan.without(&[]), plan);
        assert!(plan.without(&[0, 1, 2, 3]).is_empty() && plan.without(&[0, 1, 2, 3]).values.is_empty());
    }
}
