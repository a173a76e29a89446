//! Decision trees: built once from the attributes of a node, then walked for every row.

use std::collections::HashMap;

use onnxpress_ir::Tensor;

use crate::evaluate::{EvalCx, EvalError};
use crate::node::Attrs;

/// How a feature is compared with the number of a split.
#[derive(Debug, Clone)]
enum Test {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
    Above(f64),
    Equal(f64),
    Different(f64),
    Among(Vec<f64>),
}

impl Test {
    fn holds(&self, x: f64) -> bool {
        match self {
            Self::AtMost(value) => x <= *value,
            Self::Below(value) => x < *value,
            Self::AtLeast(value) => x >= *value,
            Self::Above(value) => x > *value,
            Self::Equal(value) => x == *value,
            Self::Different(value) => x != *value,
            Self::Among(members) => members.contains(&x),
        }
    }
}

/// Where a branch leads.
#[derive(Debug, Clone, Copy)]
enum Child {
    Split(usize),
    Leaf(usize),
}

#[derive(Debug, Clone)]
struct Split {
    feature: usize,
    test: Test,
    missing_holds: bool,
    holds: Child,
    fails: Child,
}

/// What leaves give to targets, row by row, is brought together by one of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aggregate {
    Average,
    Sum,
    Min,
    Max,
}

/// All trees of a node.
pub(super) struct Forest {
    splits: Vec<Split>,
    /// Of each leaf: targets and weights.
    leaves: Vec<Vec<(usize, f64)>>,
    roots: Vec<Child>,
}

/// Numbers that an attribute holds as a list or, for more precision, as a tensor.
pub(super) fn numbers(attrs: &Attrs<'_>, name: &str) -> Result<Option<Vec<f64>>, EvalError> {
    if let Some(tensor) = attrs.tensor(&format!("{name}_as_tensor"))? {
        return Ok(Some(tensor.to_f64s()?));
    }
    Ok(attrs.floats(name)?.map(|floats| floats.into_iter().map(f64::from).collect()))
}

fn index(number: i64) -> Result<usize, EvalError> {
    usize::try_from(number).map_err(|_| EvalError::invalid(format!("an index of {number}")))
}

impl Forest {
    /// Of the older operators: nodes with tree and node numbers, leaves among them; `side` is `class` or `target`.
    ///
    /// # Errors
    /// Where lists do not fit each other.
    pub(super) fn of_numbered(attrs: &Attrs<'_>, side: &str) -> Result<Self, EvalError> {
        let list = |name: &str| Ok::<_, EvalError>(attrs.ints(name)?.unwrap_or_default());
        let (trees, nodes) = (list("nodes_treeids")?, list("nodes_nodeids")?);
        let (yes, no) = (list("nodes_truenodeids")?, list("nodes_falsenodeids")?);
        let (features, missing) = (list("nodes_featureids")?, list("nodes_missing_value_tracks_true")?);
        let modes = attrs.strings("nodes_modes")?.unwrap_or_default();
        let values = numbers(attrs, "nodes_values")?.unwrap_or_default();
        let count = trees.len();
        if [nodes.len(), yes.len(), no.len(), features.len(), modes.len(), values.len()] != [count; 6] {
            return Err(EvalError::invalid("lists of nodes differ in length"));
        }
        let places: HashMap<(i64, i64), usize> =
            trees.iter().copied().zip(nodes.iter().copied()).enumerate().map(|(at, key)| (key, at)).collect();
        let leaf = |at: usize| modes[at].as_ref() == b"LEAF";
        let child = |at: usize| if leaf(at) { Child::Leaf(at) } else { Child::Split(at) };
        let mut splits = Vec::with_capacity(count);
        for at in 0..count {
            let find = |node: i64| {
                let place = places.get(&(trees[at], node)).copied();
                place.ok_or_else(|| EvalError::invalid(format!("tree {} has no node {node}", trees[at])))
            };
            let value = values[at];
            let test = match modes[at].as_ref() {
                b"BRANCH_LEQ" | b"LEAF" => Test::AtMost(value),
                b"BRANCH_LT" => Test::Below(value),
                b"BRANCH_GTE" => Test::AtLeast(value),
                b"BRANCH_GT" => Test::Above(value),
                b"BRANCH_EQ" => Test::Equal(value),
                b"BRANCH_NEQ" => Test::Different(value),
                other => return Err(EvalError::invalid(format!("mode `{}`", String::from_utf8_lossy(other)))),
            };
            let (holds, fails) = if leaf(at) { (at, at) } else { (find(yes[at])?, find(no[at])?) };
            splits.push(Split {
                feature: if leaf(at) { 0 } else { index(features[at])? },
                test,
                missing_holds: missing.get(at).is_some_and(|&flag| flag != 0),
                holds: child(holds),
                fails: child(fails),
            });
        }
        let mut leaves = vec![Vec::new(); count];
        let (tree_ids, node_ids) = (list(&format!("{side}_treeids"))?, list(&format!("{side}_nodeids"))?);
        let (targets, weights) = (list(&format!("{side}_ids"))?, numbers(attrs, &format!("{side}_weights"))?);
        let weights = weights.unwrap_or_default();
        if [node_ids.len(), targets.len(), weights.len()] != [tree_ids.len(); 3] {
            return Err(EvalError::invalid("lists of leaves differ in length"));
        }
        for (at, key) in tree_ids.into_iter().zip(node_ids).enumerate() {
            let place = places.get(&key).ok_or_else(|| EvalError::invalid("a weight of a leaf that is not there"))?;
            leaves[*place].push((index(targets[at])?, weights[at]));
        }
        // The first node of a tree in the lists is its root.
        let mut seen = std::collections::HashSet::new();
        let roots = (0..count).filter(|&at| seen.insert(trees[at])).map(child).collect();
        Ok(Self { splits, leaves, roots })
    }

    /// Of `TreeEnsemble`: splits and leaves in lists of their own.
    ///
    /// # Errors
    /// Where lists do not fit each other.
    pub(super) fn of_ensemble(attrs: &Attrs<'_>) -> Result<Self, EvalError> {
        let list = |name: &str| Ok::<_, EvalError>(attrs.ints(name)?.unwrap_or_default());
        let tensor =
            |name: &str| Ok::<_, EvalError>(attrs.tensor(name)?.map(Tensor::to_f64s).transpose()?.unwrap_or_default());
        let (yes, no) = (list("nodes_truenodeids")?, list("nodes_falsenodeids")?);
        let (yes_leafs, no_leafs) = (list("nodes_trueleafs")?, list("nodes_falseleafs")?);
        let (features, missing) = (list("nodes_featureids")?, list("nodes_missing_value_tracks_true")?);
        let (modes, values) = (tensor("nodes_modes")?, tensor("nodes_splits")?);
        let count = features.len();
        if [yes.len(), no.len(), yes_leafs.len(), no_leafs.len(), modes.len(), values.len()] != [count; 6] {
            return Err(EvalError::invalid("lists of nodes differ in length"));
        }
        // Sets of members follow one another in the order of their splits, a NaN behind each.
        let members = tensor("membership_values")?;
        let mut sets = members.split(|value| value.is_nan());
        let mut splits = Vec::with_capacity(count);
        for at in 0..count {
            let value = values[at];
            let test = match modes[at] as i64 {
                0 => Test::AtMost(value),
                1 => Test::Below(value),
                2 => Test::AtLeast(value),
                3 => Test::Above(value),
                4 => Test::Equal(value),
                5 => Test::Different(value),
                6 => Test::Among(sets.next().map(<[f64]>::to_vec).unwrap_or_default()),
                other => return Err(EvalError::invalid(format!("mode {other}"))),
            };
            let child = |leaf: i64, at: i64| index(at).map(if leaf != 0 { Child::Leaf } else { Child::Split });
            splits.push(Split {
                feature: index(features[at])?,
                test,
                missing_holds: missing.get(at).is_some_and(|&flag| flag != 0),
                holds: child(yes_leafs[at], yes[at])?,
                fails: child(no_leafs[at], no[at])?,
            });
        }
        let (targets, weights) = (list("leaf_targetids")?, tensor("leaf_weights")?);
        if targets.len() != weights.len() {
            return Err(EvalError::invalid("lists of leaves differ in length"));
        }
        let leaf = |(target, weight): (i64, f64)| Ok::<_, EvalError>(vec![(index(target)?, weight)]);
        let leaves = targets.into_iter().zip(weights).map(leaf).collect::<Result<_, _>>()?;
        let roots = list("tree_roots")?.into_iter().map(|root| index(root).map(Child::Split));
        Ok(Self { splits, leaves, roots: roots.collect::<Result<_, _>>()? })
    }

    /// Whether no leaf gives less than 0.
    pub(super) fn is_non_negative(&self) -> bool {
        self.leaves.iter().flatten().all(|(_, weight)| *weight >= 0.0)
    }

    /// What the leaves that a row reaches give to each target. Targets that no leaf speaks of stay 0.
    ///
    /// # Errors
    /// Where a feature or target is not there, or a tree has a cycle.
    pub(super) fn scores(
        &self,
        cx: &EvalCx<'_>,
        row: &[f64],
        targets: usize,
        aggregate: Aggregate,
    ) -> Result<Vec<f64>, EvalError> {
        let mut scores: Vec<Option<f64>> = vec![None; targets];
        for &root in &self.roots {
            for &(target, weight) in self.leaf(cx, row, root)? {
                let score = scores.get_mut(target);
                let score = score.ok_or_else(|| EvalError::invalid(format!("target {target} of {targets}")))?;
                *score = Some(match (*score, aggregate) {
                    (None, _) => weight,
                    (Some(score), Aggregate::Sum | Aggregate::Average) => score + weight,
                    (Some(score), Aggregate::Min) => score.min(weight),
                    (Some(score), Aggregate::Max) => score.max(weight),
                });
            }
        }
        let share = if aggregate == Aggregate::Average { self.roots.len() as f64 } else { 1.0 };
        Ok(scores.into_iter().map(|score| score.unwrap_or(0.0) / share).collect())
    }

    fn leaf(&self, cx: &EvalCx<'_>, row: &[f64], root: Child) -> Result<&[(usize, f64)], EvalError> {
        let mut at = root;
        // No way from a root to a leaf is longer than there are splits.
        for _ in 0..=self.splits.len() {
            cx.spend(1)?;
            let split = match at {
                Child::Leaf(leaf) => {
                    let leaf = self.leaves.get(leaf).ok_or_else(|| EvalError::invalid("a leaf that is not there"))?;
                    return Ok(leaf);
                }
                Child::Split(split) => self.splits.get(split),
            };
            let split = split.ok_or_else(|| EvalError::invalid("a node that is not there"))?;
            let x = row.get(split.feature).copied();
            let x = x.ok_or_else(|| EvalError::invalid(format!("feature {} of {}", split.feature, row.len())))?;
            let holds = split.test.holds(x) || x.is_nan() && split.missing_holds;
            at = if holds { split.holds } else { split.fails };
        }
        Err(EvalError::invalid("a tree with a cycle"))
    }
}
