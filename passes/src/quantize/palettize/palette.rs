//! A weight as places in tables.

use onnxpress_ir::{DType, Tensor, TensorError};
use rayon::prelude::*;

use super::cells::Cells;
use super::codebook::{self, Codes, Init};

/// How the tables of a weight are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scheme {
    pub(super) bits: u32,
    pub(super) codes: Codes,
    pub(super) init: Init,
    /// So many output channels share a table; all, where none is given.
    pub(super) group: Option<usize>,
    /// Whether each output channel has a scale of its own.
    pub(super) scale: bool,
}

/// The tables of a weight, and how its elements fall to them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Palette {
    dtype: DType,
    dims: Vec<usize>,
    /// The axis of output channels, its extent, and the elements of one index.
    axis: usize,
    extent: usize,
    inner: usize,
    /// Channels of a table.
    group: usize,
    tables: Vec<Table>,
    /// One a channel, where channels have scales.
    scales: Option<Vec<f32>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Table {
    /// How many values are in the tables before.
    first: u32,
    values: Vec<f32>,
    borders: Vec<f32>,
}

impl Table {
    fn of(values: Vec<f32>, first: u32) -> Self {
        let borders = values.windows(2).map(|pair| pair[0].midpoint(pair[1])).collect();
        Self { first, values, borders }
    }

    fn place(&self, value: f32) -> usize {
        self.borders.partition_point(|&border| border < value)
    }
}

/// A weight in the parts that the graph has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    /// The places, of the weight's extents.
    pub(super) codes: Tensor,
    /// All tables, one behind the other.
    pub(super) table: Tensor,
    /// Where the table of each channel begins, broadcast to the weight; none where there is one table.
    pub(super) begins: Option<Tensor>,
    /// The scale of each channel, broadcast to the weight.
    pub(super) scale: Option<Tensor>,
}

impl Palette {
    /// The tables that suit a weight with its output channels along an axis; none where it has no such axis. Elements count by
    /// `importance`, one number each, where it is given. `None` where the weight holds what is no number.
    pub(super) fn of(
        weight: &Tensor,
        axis: Option<usize>,
        scheme: &Scheme,
        importance: Option<&[f32]>,
    ) -> Option<Self> {
        let values = weight.to_f32s().ok()?;
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let dims = weight.dims().to_vec();
        let axis = axis.filter(|&axis| axis < dims.len());
        let (extent, inner) = match axis {
            Some(axis) => (dims[axis], dims[axis + 1..].iter().product()),
            None => (1, values.len()),
        };
        let group = scheme.group.filter(|_| axis.is_some()).unwrap_or(extent).clamp(1, extent);
        let mut it = Self {
            dtype: weight.dtype(),
            dims,
            axis: axis.unwrap_or(0),
            extent,
            inner,
            group,
            tables: Vec::new(),
            scales: None,
        };
        if scheme.scale && extent > 1 {
            it.scales = Some(it.spreads(&values));
        }
        let of_group = |number: usize| {
            let (first, last) = (number * group * inner, ((number + 1) * group).min(extent) * inner);
            let rows = (0..values.len()).step_by(extent * inner);
            let places: Vec<usize> = rows.flat_map(|row| row + first..row + last).collect();
            let own: Vec<f32> = places.iter().map(|&place| values[place] / it.scale(place)).collect();
            let weights: Option<Vec<f32>> =
                importance.map(|all| places.iter().map(|&place| all[place] * it.scale(place).powi(2)).collect());
            let table = codebook::table(&Cells::of(&own, weights.as_deref()), scheme.bits, scheme.codes, scheme.init);
            let stored = Tensor::from_f64s(it.dtype, &[table.len()], &table).ok()?.to_f32s().ok()?;
            Some(stored)
        };
        let tables: Option<Vec<Vec<f32>>> = (0..extent.div_ceil(group)).into_par_iter().map(of_group).collect();
        let mut first = 0;
        it.tables = tables?
            .into_iter()
            .map(|values| {
                let table = Table::of(values, first);
                first += table.values.len() as u32;
                table
            })
            .collect();
        Some(it)
    }

    /// The root of the mean square of each channel, as the weight's type holds it; channels of zeros have one.
    fn spreads(&self, values: &[f32]) -> Vec<f32> {
        let mut squares = vec![0f64; self.extent];
        values.iter().enumerate().for_each(|(place, &value)| squares[self.channel(place)] += f64::from(value).powi(2));
        let count = values.len() as f64 / self.extent as f64;
        let spread = |sum: f64| if sum > 0.0 { (sum / count).sqrt() } else { 1.0 };
        let spreads: Vec<f64> = squares.into_iter().map(spread).collect();
        let stored = Tensor::from_f64s(self.dtype, &[self.extent], &spreads).and_then(|tensor| tensor.to_f32s());
        let usable = |scale: f32| if scale > 0.0 && scale.is_finite() { scale } else { 1.0 };
        stored.map_or_else(|_| vec![1.0; self.extent], |scales| scales.into_iter().map(usable).collect())
    }

    /// The output channel of a place of the weight.
    pub(super) fn channel(&self, place: usize) -> usize {
        place / self.inner % self.extent
    }

    /// How many output channels there are.
    pub(super) fn channels(&self) -> usize {
        self.extent
    }

    /// The values of all tables, one table behind the other.
    pub(super) fn values(&self) -> impl Iterator<Item = f32> {
        self.tables.iter().flat_map(|table| &table.values).copied()
    }

    /// Which of [all values](Self::values) a number at a place of the weight is looked up by.
    pub(super) fn site(&self, place: usize, value: f32) -> u32 {
        let table = self.table(place);
        table.first + table.place(value / self.scale(place)) as u32
    }

    /// The same with tables of other values, in the order of [all values](Self::values) before each table is brought into its own.
    /// Answered beside it are these values as the weight's type holds them.
    pub(super) fn with_values(&self, values: &[f64]) -> Option<(Self, Vec<f32>)> {
        let stored = Tensor::from_f64s(self.dtype, &[values.len()], values).ok()?.to_f32s().ok()?;
        let of = |table: &Table| {
            let first = table.first as usize;
            let mut own = stored[first..first + table.values.len()].to_vec();
            own.sort_by(f32::total_cmp);
            Table::of(own, table.first)
        };
        let tables = self.tables.iter().map(of).collect();
        stored.iter().all(|value| value.is_finite()).then(|| (Self { tables, ..self.clone() }, stored))
    }

    /// The same with each channel's scale times its factor, where that is a scale.
    pub(super) fn with_scales(&self, factors: &[f64]) -> Option<Self> {
        let scales = self.scales.as_ref()?;
        let times = |(&scale, &factor): (&f32, &f64)| f64::from(scale) * factor;
        let numbers: Vec<f64> = scales.iter().zip(factors).map(times).collect();
        let stored = Tensor::from_f64s(self.dtype, &[numbers.len()], &numbers).ok()?.to_f32s().ok()?;
        let usable = |(&before, now): (&f32, f32)| if now > 0.0 && now.is_finite() { now } else { before };
        Some(Self { scales: Some(scales.iter().zip(stored).map(usable).collect()), ..self.clone() })
    }

    /// What each channel is multiplied by.
    pub(super) fn scale(&self, place: usize) -> f32 {
        self.scales.as_ref().map_or(1.0, |scales| scales[self.channel(place)])
    }

    fn table(&self, place: usize) -> &Table {
        &self.tables[self.channel(place) / self.group]
    }

    /// What a number becomes at a place of the weight.
    pub(super) fn rounded(&self, place: usize, value: f32) -> f32 {
        let (table, scale) = (self.table(place), self.scale(place));
        table.values[table.place(value / scale)] * scale
    }

    /// The weight written down: of each element the nearest value's place. Codes are of `dtype`.
    ///
    /// # Errors
    /// Where the weight is of other extents, or the type cannot hold the places.
    pub(super) fn parts(&self, weight: &Tensor, dtype: DType) -> Result<Parts, TensorError> {
        let values = weight.to_f32s()?;
        let codes: Vec<u8> = values
            .par_iter()
            .enumerate()
            .map(|(place, &value)| self.table(place).place(value / self.scale(place)) as u8)
            .collect();
        let codes = Tensor::from_codes(dtype, &self.dims, &codes)?;
        let all: Vec<f64> = self.tables.iter().flat_map(|table| &table.values).copied().map(f64::from).collect();
        let table = Tensor::from_f64s(self.dtype, &[all.len()], &all)?;
        let spread: Vec<usize> = std::iter::once(self.extent)
            .chain(std::iter::repeat_n(1, self.dims.len().saturating_sub(self.axis + 1)))
            .collect();
        let begins = (self.tables.len() > 1).then(|| {
            let of_channel = (0..self.extent).map(|channel| self.tables[channel / self.group].first as i32).collect();
            Tensor::from_values(&spread, of_channel)
        });
        let scale = self.scales.as_ref().map(|scales| {
            let scales: Vec<f64> = scales.iter().copied().map(f64::from).collect();
            Tensor::from_f64s(self.dtype, &spread, &scales)
        });
        Ok(Parts { codes, table, begins: begins.transpose()?, scale: scale.transpose()? })
    }
}

impl Parts {
    /// The weight that the places stand for, as the graph computes it.
    ///
    /// # Errors
    /// Where the parts do not fit each other.
    pub(super) fn looked_up(&self) -> Result<Tensor, TensorError> {
        let (codes, table) = (self.codes.to_codes()?, self.table.to_f32s()?);
        let begins =
            self.begins.as_ref().map(|begins| Ok::<_, TensorError>((begins.to_i64s()?, begins))).transpose()?;
        let scales = self.scale.as_ref().map(|scale| Ok::<_, TensorError>((scale.to_f32s()?, scale))).transpose()?;
        // Both are spread from their first axis on: indices behind it have the elements of one index.
        let behind =
            |spread: &Tensor| self.codes.dims()[self.codes.rank() - spread.rank() + 1..].iter().product::<usize>();
        let value = |(place, code): (usize, &u8)| {
            let begin =
                begins.as_ref().map_or(0, |(all, spread)| all[place / behind(spread).max(1) % all.len().max(1)]);
            let found = table.get(begin as usize + usize::from(*code)).copied().unwrap_or(0.0);
            found * scales.as_ref().map_or(1.0, |(all, spread)| all[place / behind(spread).max(1) % all.len().max(1)])
        };
        let values: Vec<f32> = codes.iter().enumerate().map(value).collect();
        match self.table.dtype() {
            DType::Float => Tensor::from_values(self.codes.dims(), values),
            dtype => {
                Tensor::from_f64s(dtype, self.codes.dims(), &values.into_iter().map(f64::from).collect::<Vec<_>>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FOUR: Scheme = Scheme { bits: 2, codes: Codes::Kmeans, init: Init::Exact, group: None, scale: false };

    #[test]
    fn few_values_are_looked_up_exactly() {
        let weight = Tensor::from_values(&[2, 4], vec![1f32, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0]).unwrap();
        let parts = Palette::of(&weight, Some(0), &FOUR, None).unwrap().parts(&weight, DType::Uint2).unwrap();
        assert_eq!(parts.table.to_f32s().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(parts.codes.to_codes().unwrap(), [0, 1, 2, 3, 3, 2, 1, 0]);
        assert!(parts.looked_up().unwrap().same_as(&weight));
        assert_eq!((parts.begins, parts.scale), (None, None));
    }

    #[test]
    fn channels_have_tables_and_scales() {
        let values: Vec<f32> = (0..48u8).map(|at| f32::from(at % 16) * if at >= 24 { 100.0 } else { 1.0 }).collect();
        let weight = Tensor::from_values(&[3, 4, 4], values).unwrap();
        for (group, scale) in [(Some(1), false), (Some(2), true), (None, true), (Some(1), true)] {
            for axis in [0, 1] {
                let scheme = Scheme { bits: 4, group, scale, ..FOUR };
                let palette = Palette::of(&weight, Some(axis), &scheme, None).unwrap();
                let parts = palette.parts(&weight, DType::Uint4).unwrap();
                let (found, values) = (parts.looked_up().unwrap().to_f32s().unwrap(), weight.to_f32s().unwrap());
                for (place, (found, &value)) in found.iter().zip(&values).enumerate() {
                    assert_eq!(*found, palette.rounded(place, value));
                }
                assert_eq!(parts.begins.is_some(), group.is_some());
                if scheme.group == Some(1) && axis == 0 && !scale {
                    assert_eq!(found, values, "sixteen values a channel");
                }
            }
        }
        let wrong = Tensor::vector(vec![1f32, f32::NAN]);
        assert_eq!(Palette::of(&wrong, None, &FOUR, None), None);
    }
}
