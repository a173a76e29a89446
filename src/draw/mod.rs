//! Drawings of computation graphs: a layered picture as SVG, or Graphviz text.
//!
//! [`Drawing`] is plain data and knows no model: whoever fills it decides what a box says. Weights are not boxes of
//! their own, they are [`Node::detail`] lines of the operator that reads them, since a picture in which a third of the
//! boxes are weights hides the flow of data.
//!
//! The layout follows Sugiyama, Tagawa and Toda (1981) in five steps, one file each: split nested clusters into levels
//! (`nest`), give every box a layer (`rank`), order the layers so that few lines cross (`order`), choose coordinates
//! (`align`), draw the lines through the gaps that the layers leave (`route`). A value with many readers is one line
//! that branches, not many lines side by side: a picture of an attention mask read by every block stays readable, and
//! the number of bends is bounded by the number of values, not of reads. The published crate for this (rust-sugiyama
//! 0.4) keeps the bends of long edges to itself, has no clusters, and recurses once per layer.

mod align;
mod card;
mod dot;
mod family;
mod fill;
mod layout;
mod nest;
mod order;
mod rank;
mod route;
mod svg;
#[cfg(test)]
mod tests;
mod text_width;

pub use family::Family;
pub use fill::{of_model, of_sets};

/// What to draw. Indices in edges and clusters point into the vectors here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawing {
    /// The headline, such as the name of the model.
    pub title: String,
    /// The boxes. Their order breaks ties in the layout, so the order of the graph's own nodes is a good one.
    pub nodes: Vec<Node>,
    /// The uses of values.
    pub edges: Vec<Edge>,
    /// The frames around subgraphs.
    pub clusters: Vec<Cluster>,
}

/// A box.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The headline of the box: the operator's type, or the name of a graph input or output.
    pub label: String,
    /// Further lines: the node's name, attributes, weights with their types. Long lines are cut in the middle, and
    /// lines beyond the first few are counted only; the full text is in the tooltip.
    pub detail: Vec<String>,
    /// The shape of the box.
    pub kind: Kind,
    /// The colour of the box.
    pub family: Family,
    /// The innermost cluster that holds the box, an index into [`Drawing::clusters`]; None is the outermost graph.
    pub cluster: Option<usize>,
}

/// What a box stands for, which decides its shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// An input of the graph or of a subgraph.
    Input,
    /// An output of the graph or of a subgraph.
    Output,
    /// A node of the graph.
    #[default]
    Operator,
    /// A constant that is worth a box, such as one that is a graph output.
    Constant,
}

/// A use of a value: a line from a box to a box. Edges with the same `from`, `port` and `line` are uses of one value,
/// and drawn as one line that branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// The producer, an index into [`Drawing::nodes`].
    pub from: usize,
    /// Which output of the producer.
    pub port: usize,
    /// The reader, an index into [`Drawing::nodes`].
    pub to: usize,
    /// The type of the value, as in `float[1,64,56,56]`; may be empty. The first edge of a value speaks for all.
    pub label: String,
    /// How the line is drawn.
    pub line: Line,
}

/// How an edge is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// A value that is read.
    #[default]
    Solid,
    /// A relation that is no read of its own, such as from the outputs of a body to the node that runs it.
    Dashed,
}

/// A frame around the boxes of a subgraph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The caption, such as `then_branch`.
    pub label: String,
    /// The cluster around this one, an index into [`Drawing::clusters`]; None is the outermost graph.
    pub parent: Option<usize>,
}

/// Why a drawing cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// An edge points at no node.
    #[error("edge {edge} joins node {node}, but the drawing has {nodes} nodes")]
    UnknownNode {
        /// Index of the edge.
        edge: usize,
        /// What it points at.
        node: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A node or a cluster points at no cluster.
    #[error("{what} {index} is in cluster {cluster}, but the drawing has {clusters} clusters")]
    UnknownCluster {
        /// `node` or `cluster`.
        what: &'static str,
        /// Index of the node or cluster.
        index: usize,
        /// What it points at.
        cluster: usize,
        /// How many clusters there are.
        clusters: usize,
    },
    /// A cluster is inside itself.
    #[error("cluster {cluster} is inside itself")]
    ClusterInItself {
        /// Index of the cluster.
        cluster: usize,
    },
    /// More boxes and bends than a layered layout is made for.
    #[error(
        "the drawing has {nodes} nodes, and with the bends of its lines more than {limit} points to place: write a .dot \
         file instead, and let `sfdp` place them"
    )]
    TooLarge {
        /// How many nodes there are.
        nodes: usize,
        /// The most boxes and bends that are placed.
        limit: usize,
    },
}

impl Drawing {
    /// The drawing as an SVG picture: self-contained, readable on light and dark pages, the same bytes on every run.
    ///
    /// # Errors
    /// An index that points nowhere, clusters in a circle, or a graph too large for a layered layout.
    pub fn to_svg(&self) -> Result<String, DrawError> {
        svg::write(self)
    }

    /// The drawing as text for Graphviz, in time linear in its size.
    ///
    /// # Errors
    /// An index that points nowhere, or clusters in a circle.
    pub fn to_dot(&self) -> Result<String, DrawError> {
        dot::write(self)
    }
}
