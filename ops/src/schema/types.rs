//! Sets of types, as type parameters are constrained to.
//!
//! A parameter of the standard may stand for up to 112 types, so sets are kept by constructor, and of element types as
//! bits: membership is a test of one bit, and a line of the table is small in memory too.

use onnxpress_ir::DType;

/// Element types that the standard adds and removes together, by the word that stands for all of them.
pub(super) const GROUPS: [(&str, &[DType]); 5] = [
    ("floats", &[DType::Float16, DType::Float, DType::Double]),
    ("ints", &[DType::Int8, DType::Int16, DType::Int32, DType::Int64]),
    ("uints", &[DType::Uint8, DType::Uint16, DType::Uint32, DType::Uint64]),
    ("complexes", &[DType::Complex64, DType::Complex128]),
    ("float8s", &[DType::Float8e4m3fn, DType::Float8e4m3fnuz, DType::Float8e5m2, DType::Float8e5m2fnuz]),
];

/// A set of element types. Printed, it is the words of the table: `floats bfloat16 int64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElementSet {
    /// The bit of a type is its number in the standard.
    bits: u32,
}

// Every number fits in the bits.
const _: () = {
    let mut index = 0;
    while index < DType::ALL.len() {
        assert!(DType::ALL[index].code() < u32::BITS as i64);
        index += 1;
    }
};

impl ElementSet {
    /// Whether the type is in the set.
    pub fn contains(self, dtype: DType) -> bool {
        self.bits & bit(dtype) != 0
    }

    /// Whether every type of `other` is in the set.
    pub fn is_superset(self, other: Self) -> bool {
        self.bits & other.bits == other.bits
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.bits.count_ones() as usize
    }

    /// The types, by ascending number.
    pub fn iter(self) -> impl Iterator<Item = DType> {
        DType::ALL.iter().copied().filter(move |&dtype| self.contains(dtype))
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self { bits: self.bits & !other.bits }
    }
}

fn bit(dtype: DType) -> u32 {
    1 << dtype.code()
}

impl FromIterator<DType> for ElementSet {
    fn from_iter<I: IntoIterator<Item = DType>>(dtypes: I) -> Self {
        Self { bits: dtypes.into_iter().map(bit).fold(0, |bits, bit| bits | bit) }
    }
}

/// A set of types, without regard to shapes. Printed, it is the words of the table: `floats seq(floats)`.
///
/// No operator of the table is about opaque types, so there is no place for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeSet {
    /// Dense tensors of these elements.
    pub tensors: ElementSet,
    /// Sparse tensors of these elements.
    pub sparse_tensors: ElementSet,
    /// Sequences of these.
    pub sequences: Option<Box<TypeSet>>,
    /// Optional values of these.
    pub optionals: Option<Box<TypeSet>>,
    /// Maps: the type of the keys, and of what elements the values are tensors.
    pub maps: Vec<(DType, ElementSet)>,
}
