//! What a rule is.

use std::cell::RefCell;

use onnxpress_ir::{Edit, EditError, Graph, NodeId, Touched, ValueId};
use onnxpress_ops::infer::Standard;

use super::match_cx::MatchCx;
use super::surroundings::Surroundings;

/// A rewriting of a small part of a graph that keeps what the graph computes.
///
/// The doc of the rule's module is its contract: what it takes, what it leaves, when it fires, why that is exact, why it ends.
pub trait Rule: Sync {
    /// The name in reports.
    const NAME: &'static str;
    /// The module's doc: `contract!("the_file.rs")`.
    const CONTRACT: &'static str;
    /// The operators that it starts from.
    const ROOTS: Roots;
    /// All that [`apply`](Self::apply) needs to know.
    type Match;

    /// Looks, and changes nothing.
    ///
    /// # Errors
    /// Where the rule does not fire; see [`Miss`].
    fn find(&self, cx: &MatchCx<'_>, root: NodeId) -> Found<Self::Match>;

    /// Changes what was found. What is changed up to an error is taken back.
    ///
    /// # Errors
    /// Where an edit is refused.
    fn apply(&self, found: Self::Match, edit: &mut Edit<'_>) -> Result<(), EditError>;

    /// The nodes that new ones stand for, that whose place they take first.
    fn sources(&self, root: NodeId, _found: &Self::Match) -> Vec<NodeId> {
        vec![root]
    }
}

/// Where a rule may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// At every node.
    Any,
    /// At every constant that the file writes as a node.
    ConstantNodes,
    /// At these operators of the standard's domain.
    Operators(&'static [&'static str]),
}

/// A match, or why there is none. `?` hands a miss on.
pub type Found<M> = Result<M, Miss>;

/// Why a rule does not fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// This is nothing that the rule was made for. Nobody hears of it.
    NotHere,
    /// The rule was made for this and leaves it alone. The user hears of it.
    Declined {
        /// The vertex that is in the way.
        site: NodeId,
        /// Why, as a sentence about the site.
        reason: String,
    },
}

impl Miss {
    /// The rule was made for this and leaves it alone.
    pub fn declined(site: NodeId, reason: impl Into<String>) -> Self {
        Self::Declined { site, reason: reason.into() }
    }
}

/// What a look at a root depended on: when it changes, the root is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// The vertex: its operator, attributes, operands, or what is known of its outputs.
    Vertex(NodeId),
    /// That the value is read, or read more than once: of interest is that it has at most one reader left.
    Readers(ValueId),
}

/// What came of trying a rule at a root.
#[derive(Debug)]
pub enum Outcome {
    /// It fired.
    Applied(Touched),
    /// It did not.
    Missed(Miss),
}

/// A rule tried at a root.
#[derive(Debug)]
pub struct Attempt {
    /// What came of it.
    pub outcome: Outcome,
    /// What it depended on.
    pub watched: Vec<Watch>,
}

/// A rule, whatever its type of match.
pub trait AnyRule: Sync {
    /// The name in reports.
    fn name(&self) -> &'static str;
    /// The contract.
    fn contract(&self) -> &'static str;
    /// Where it may start.
    fn roots(&self) -> Roots;
    /// Tries it at a root.
    fn attempt(&self, graph: &mut Graph, around: &Surroundings<'_>, root: NodeId) -> Attempt;
}

impl<R: Rule> AnyRule for R {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn contract(&self) -> &'static str {
        R::CONTRACT
    }

    fn roots(&self) -> Roots {
        R::ROOTS
    }

    fn attempt(&self, graph: &mut Graph, around: &Surroundings<'_>, root: NodeId) -> Attempt {
        let watched = RefCell::default();
        let found = self.find(&MatchCx::new(graph, around, &watched), root);
        let outcome = found.and_then(|found| {
            let sources = self.sources(root, &found);
            let mut edit = Edit::new(graph, &Standard, R::NAME, &sources);
            match self.apply(found, &mut edit) {
                Ok(()) => Ok(edit.commit()),
                Err(error) => Err(Miss::declined(root, error.to_string())),
            }
        });
        let outcome = match outcome {
            Ok(touched) => Outcome::Applied(touched),
            Err(miss) => Outcome::Missed(miss),
        };
        Attempt { outcome, watched: watched.into_inner() }
    }
}
