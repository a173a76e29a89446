//! What a node says of the axes of its operands and outputs, in letters by number.

/// A set of indices that axes of one node share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// How the operator calls it.
    pub name: String,
    /// How many indices it has, where that is constant.
    pub extent: Option<u64>,
    /// Why none of them may go.
    pub pinned: Option<String>,
    /// No element is read along it: whoever reads a constant for such letters only, takes it cut or whole.
    pub asked: bool,
}

/// An axis: segments one after the other, each running over letters, the first slowest. A segment without letters is a single
/// index.
pub type Axis = Vec<Vec<usize>>;

/// How the axes of a node's operands and outputs are related: equal letters are one set of indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// The letters.
    pub letters: Vec<Letter>,
    /// By operand; `None` where nothing may be removed along any axis.
    pub operands: Vec<Option<Vec<Axis>>>,
    /// By output, likewise.
    pub outputs: Vec<Option<Vec<Axis>>>,
}
