//! From a drawing to levels: the outermost graph and the inside of each cluster are laid out on their own, innermost
//! first, and a cluster is one box on the level around it.
//!
//! Where a line crosses the frame of a cluster, the level inside has a gate: at its top where the line comes in, at its
//! bottom where it leaves. All reads of one value through one frame share a gate.

use std::collections::{BTreeMap, BTreeSet};

use super::{DrawError, Drawing, Line};

/// The most boxes, gates and bends that are placed. Every step is near linear in this number; at the limit the layout
/// takes about two seconds and the file has some tens of megabytes, which is where viewers give up.
pub(super) const PLACES: usize = 1_000_000;

/// What is placed on a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// A node of the drawing.
    Node(usize),
    /// A cluster of the drawing.
    Cluster(usize),
    /// The gate by which a value comes in.
    Entry(usize),
    /// The gate by which a value leaves.
    Exit(usize),
}

/// An output of a node that has readers.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) from: usize,
    pub(super) port: usize,
    pub(super) line: Line,
    pub(super) label: &'a str,
    /// Readers as nodes of the drawing, one entry a read.
    pub(super) readers: Vec<usize>,
}

/// The part of a value's line that lies on one level; positions are indices into [`Level::items`].
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) value: usize,
    pub(super) source: usize,
    /// Each reader once.
    pub(super) readers: Vec<usize>,
}

/// The outermost graph or the inside of a cluster.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) items: Vec<Item>,
    pub(super) wires: Vec<Wire>,
}

/// A drawing split into levels.
#[derive(Debug)]
pub(super) struct Nest<'a> {
    pub(super) values: Vec<Value<'a>>,
    /// Level 0 is the outermost graph, level `c + 1` the inside of cluster `c`.
    pub(super) levels: Vec<Level>,
    /// Where on a level an item is, an index into [`Level::items`].
    pub(super) places: BTreeMap<(usize, Item), usize>,
    /// The levels, each after all levels inside it; level 0 is the last.
    pub(super) innermost_first: Vec<usize>,
}

/// Checks every index of the drawing and gives the level around each cluster's, and the levels from the inside out.
///
/// # Errors
/// See [`DrawError`]; never [`DrawError::TooLarge`].
pub(super) fn check(drawing: &Drawing) -> Result<(Vec<usize>, Vec<usize>), DrawError> {
    let (nodes, clusters) = (drawing.nodes.len(), drawing.clusters.len());
    for (edge, e) in drawing.edges.iter().enumerate() {
        if let Some(&node) = [e.from, e.to].iter().find(|node| **node >= nodes) {
            return Err(DrawError::UnknownNode { edge, node, nodes });
        }
    }
    let owners = (drawing.nodes.iter().enumerate().map(|(i, n)| ("node", i, n.cluster)))
        .chain(drawing.clusters.iter().enumerate().map(|(i, c)| ("cluster", i, c.parent)));
    for (what, index, cluster) in owners {
        if let Some(cluster) = cluster.filter(|c| *c >= clusters) {
            return Err(DrawError::UnknownCluster { what, index, cluster, clusters });
        }
    }
    let mut around = vec![0];
    around.extend(drawing.clusters.iter().map(|c| c.parent.map_or(0, |p| p + 1)));

    let mut inside = vec![0_usize; around.len()];
    for parent in &around[1..] {
        inside[*parent] += 1;
    }
    // Peel the leaves; what remains is clusters in a circle, with what they hold inside them.
    let mut order: Vec<usize> = (1..around.len()).rev().filter(|level| inside[*level] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        let parent = around[order[next]];
        inside[parent] -= 1;
        if inside[parent] == 0 && parent != 0 {
            order.push(parent);
        }
        next += 1;
    }
    if order.len() < clusters {
        let cluster = (0..clusters).find(|c| inside[c + 1] > 0).expect("a cluster that was not peeled holds another");
        return Err(DrawError::ClusterInItself { cluster });
    }
    order.push(0);
    Ok((around, order))
}

/// Splits a drawing into levels.
///
/// # Errors
/// What [`check`] finds, and [`DrawError::TooLarge`].
pub(super) fn split(drawing: &Drawing) -> Result<Nest<'_>, DrawError> {
    let (around, innermost_first) = check(drawing)?;
    let mut depth = vec![0_usize; around.len()];
    for level in innermost_first.iter().rev().filter(|level| **level != 0) {
        depth[*level] = depth[around[*level]] + 1;
    }
    let level_of = |node: usize| drawing.nodes[node].cluster.map_or(0, |c| c + 1);
    let mut builder = Builder::new(around.len(), drawing.nodes.len());
    for node in 0..drawing.nodes.len() {
        builder.place(level_of(node), Item::Node(node))?;
    }
    for cluster in 0..drawing.clusters.len() {
        builder.place(around[cluster + 1], Item::Cluster(cluster))?;
    }
    let mut values = Vec::new();
    let mut known = BTreeMap::new();
    for e in &drawing.edges {
        let value = *known.entry((e.from, e.port, e.line)).or_insert_with(|| {
            values.push(Value { from: e.from, port: e.port, line: e.line, label: &e.label, readers: Vec::new() });
            values.len() - 1
        });
        values[value].readers.push(e.to);
        // Climb from both ends to the innermost level that holds both.
        let (mut source, mut out) = (Item::Node(e.from), level_of(e.from));
        let (mut reader, mut into) = (Item::Node(e.to), level_of(e.to));
        while out != into {
            if depth[out] >= depth[into] {
                builder.connect(out, value, source, Item::Exit(value))?;
                (source, out) = (Item::Cluster(out - 1), around[out]);
            } else {
                builder.connect(into, value, Item::Entry(value), reader)?;
                (reader, into) = (Item::Cluster(into - 1), around[into]);
            }
        }
        builder.connect(out, value, source, reader)?;
    }
    Ok(Nest { values, levels: builder.levels, places: builder.places, innermost_first })
}

/// Levels under construction.
struct Builder {
    levels: Vec<Level>,
    places: BTreeMap<(usize, Item), usize>,
    wires: BTreeMap<(usize, usize), usize>,
    reads: BTreeSet<(usize, usize, Item)>,
    nodes: usize,
    steps: usize,
}

impl Builder {
    fn new(levels: usize, nodes: usize) -> Self {
        Builder {
            levels: (0..levels).map(|_| Level::default()).collect(),
            places: BTreeMap::new(),
            wires: BTreeMap::new(),
            reads: BTreeSet::new(),
            nodes,
            steps: 0,
        }
    }

    /// The position of an item on a level, where it is put if it is new.
    fn place(&mut self, level: usize, item: Item) -> Result<usize, DrawError> {
        let items = &mut self.levels[level].items;
        let position = *self.places.entry((level, item)).or_insert_with(|| {
            items.push(item);
            items.len() - 1
        });
        if self.places.len() > PLACES {
            return Err(DrawError::TooLarge { nodes: self.nodes, limit: PLACES });
        }
        Ok(position)
    }

    /// Adds a reader to the wire of a value on a level. A value has one source on each level: its producer, the cluster
    /// that holds it, or a gate.
    fn connect(&mut self, level: usize, value: usize, source: Item, reader: Item) -> Result<(), DrawError> {
        // Each step may find its gate made already, and yet there are edges times nesting of them.
        self.steps += 1;
        if self.steps > 20 * PLACES {
            return Err(DrawError::TooLarge { nodes: self.nodes, limit: PLACES });
        }
        if !self.reads.insert((level, value, reader)) {
            return Ok(());
        }
        let source = self.place(level, source)?;
        let reader = self.place(level, reader)?;
        let wires = &mut self.levels[level].wires;
        let wire = *self.wires.entry((level, value)).or_insert_with(|| {
            wires.push(Wire { value, source, readers: Vec::new() });
            wires.len() - 1
        });
        wires[wire].readers.push(reader);
        Ok(())
    }
}
