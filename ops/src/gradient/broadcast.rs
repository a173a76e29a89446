//! Broadcasting taken back: a gradient with the extents of a result, summed up to those of an operand that was repeated.

use onnxpress_ir::{Attr, Dim, Node, ValueId};

use super::{GradientError, Hand};

impl Hand<'_, '_> {
    /// The value summed up to the shape of `like`, which broadcasts to it. Where it is not known which axes were repeated, nodes
    /// find out when they run.
    ///
    /// # Errors
    /// Where a rank is not known.
    pub fn sum_to(&mut self, value: ValueId, like: ValueId) -> Result<ValueId, GradientError> {
        let (from, to) = (self.shape(value)?, self.shape(like)?);
        let Some(leading) = from.len().checked_sub(to.len()) else {
            return Err(GradientError::not_possible("a gradient of fewer axes than its operand"));
        };
        let one = Dim::from(1);
        let repeated = |from: &Dim, to: &Dim| match to.as_const() {
            Some(1) => Some(*from != one),
            Some(_) => Some(false),
            None if *from == one || from.equals(to) == Some(true) => Some(false),
            None => None,
        };
        let axes: Option<Vec<bool>> =
            from[leading..].iter().zip(to.iter()).map(|(from, to)| repeated(from, to)).collect();
        let Some(axes) = axes else { return self.sum_to_what_it_is(value, like, leading) };
        let value = self.sum(value, (0..leading as i64).collect(), false)?;
        let axes = (0i64..).zip(axes).filter_map(|(axis, repeated)| repeated.then_some(axis)).collect();
        self.sum(value, axes, true)
    }

    /// The same by extents that are known only when it runs.
    fn sum_to_what_it_is(&mut self, value: ValueId, like: ValueId, leading: usize) -> Result<ValueId, GradientError> {
        let shape = self.extents(like)?;
        let ones = self.ints(vec![1; leading]);
        let padded = if leading == 0 { shape } else { self.concat(&[ones, shape])? };
        let one = self.ints([1]);
        let is_one = self.apply("Equal", &[padded, one])?;
        let places = self.apply("NonZero", &[is_one])?;
        let axes = self.flat(places)?;
        let keep = Node::new("ReduceSum", 1).with(Attr::int("keepdims", 1)).with(Attr::int("noop_with_empty_axes", 1));
        let summed = self.add(keep, &[value, axes])?;
        self.apply("Reshape", &[summed, shape])
    }
}
