//! Layers: every reader lies below its source. Lines that span several layers get a bend in each layer between, so that
//! later steps see lines between neighbouring layers only.
//!
//! Layers come from the longest path from the top. What hangs in the air then sinks towards its reader: an input that
//! is read near the bottom is drawn near the bottom. Minimal total length (network simplex) is not sought; the two
//! sinking rules reach it on the graphs that occur, in linear time.

use super::DrawError;
use super::nest::PLACES;

/// Where an item may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Anywhere.
    Free,
    /// In the first layer.
    Top,
    /// In the last layer.
    Bottom,
}

/// A line to lay out: from an item to each of its readers.
#[derive(Debug, Clone, Default)]
pub(super) struct Fan {
    pub(super) source: usize,
    pub(super) readers: Vec<usize>,
}

/// A piece of a fan between a layer and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) upper: usize,
    pub(super) lower: usize,
    /// Index of the fan.
    pub(super) fan: usize,
}

/// A read that cannot point downward, because it closes a cycle: it leaves its source at the bottom, turns, climbs
/// through its bends beside all layers from the source's to the reader's, and turns again into the top of the reader.
#[derive(Debug)]
pub(super) struct Climb {
    /// Index of the fan.
    pub(super) fan: usize,
    pub(super) source: usize,
    pub(super) reader: usize,
    /// From the reader's layer down to the source's.
    pub(super) bends: Vec<usize>,
}

/// Items and bends in layers. Points `0..items` are the items, the rest are bends.
#[derive(Debug)]
pub(super) struct Ranks {
    pub(super) items: usize,
    /// The layer of each point.
    pub(super) layer: Vec<usize>,
    /// How many layers there are.
    pub(super) layers: usize,
    pub(super) segments: Vec<Segment>,
    /// The bends of each fan that has some, from the top down.
    pub(super) trunks: Vec<Vec<usize>>,
    pub(super) climbs: Vec<Climb>,
}

impl Ranks {
    pub(super) fn is_bend(&self, point: usize) -> bool {
        point >= self.items
    }

    fn bend(&mut self, layer: usize, limit: usize) -> Result<usize, DrawError> {
        if self.layer.len() >= limit {
            return Err(DrawError::TooLarge { nodes: self.items, limit: PLACES });
        }
        self.layer.push(layer);
        Ok(self.layer.len() - 1)
    }
}

/// Puts items into layers and bends into lines, at most `limit` of both.
///
/// # Errors
/// [`DrawError::TooLarge`]
pub(super) fn rank(roles: &[Role], fans: &[Fan], limit: usize) -> Result<Ranks, DrawError> {
    let flow = Flow::new(roles, fans);
    let layer = flow.layers(roles);
    let layers = layer.iter().max().map_or(0, |last| last + 1);
    let mut ranks =
        Ranks { items: roles.len(), layer, layers, segments: Vec::new(), trunks: Vec::new(), climbs: Vec::new() };
    for (index, fan) in fans.iter().enumerate() {
        let readers = &flow.down[index];
        let deepest = readers.iter().map(|r| ranks.layer[*r]).max().unwrap_or(0);
        let first = ranks.layer[fan.source];
        // One trunk through the layers, to which each reader is tied from the layer above it.
        let mut trunk = vec![fan.source];
        for layer in first + 1..deepest {
            let bend = ranks.bend(layer, limit)?;
            ranks.segments.push(Segment { upper: trunk[trunk.len() - 1], lower: bend, fan: index });
            trunk.push(bend);
        }
        for reader in readers {
            let upper = trunk[ranks.layer[*reader] - first - 1];
            ranks.segments.push(Segment { upper, lower: *reader, fan: index });
        }
        if trunk.len() > 1 {
            ranks.trunks.push(trunk.split_off(1));
        }
        for reader in &flow.up[index] {
            let mut bends = Vec::new();
            for layer in ranks.layer[*reader]..=first {
                let bend = ranks.bend(layer, limit)?;
                if let Some(upper) = bends.last() {
                    ranks.segments.push(Segment { upper: *upper, lower: bend, fan: index });
                }
                bends.push(bend);
            }
            ranks.climbs.push(Climb { fan: index, source: fan.source, reader: *reader, bends });
        }
    }
    Ok(ranks)
}

/// The fans with the reads that close cycles apart.
struct Flow {
    /// For each fan the readers below its source, and those at or above it.
    down: Vec<Vec<usize>>,
    up: Vec<Vec<usize>>,
    source: Vec<usize>,
    /// For each item the fans that it is the source of, and those that it reads from below.
    gives: Vec<Vec<usize>>,
    takes: Vec<Vec<usize>>,
    /// Sources before their readers.
    order: Vec<usize>,
}

impl Flow {
    fn new(roles: &[Role], fans: &[Fan]) -> Flow {
        let items = roles.len();
        let mut gives = vec![Vec::new(); items];
        let mut read = vec![false; items];
        for (index, fan) in fans.iter().enumerate() {
            gives[fan.source].push(index);
            for reader in fan.readers.iter().filter(|r| **r != fan.source) {
                read[*reader] = true;
            }
        }
        // Depth first from what nothing feeds, so that a cycle is cut where it comes back to its way in.
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            Open,
            Done,
        }
        let mut seen = vec![Seen::No; items];
        let mut down = vec![Vec::new(); fans.len()];
        let mut up = vec![Vec::new(); fans.len()];
        let mut order = Vec::with_capacity(items);
        let roots = (0..items).filter(|i| !read[*i]).chain((0..items).filter(|i| read[*i]));
        for root in roots {
            if seen[root] != Seen::No {
                continue;
            }
            seen[root] = Seen::Open;
            let mut open = vec![(root, 0, 0)];
            while let Some((item, give, reader)) = open.last_mut() {
                let Some(fan) = gives[*item].get(*give) else {
                    seen[*item] = Seen::Done;
                    order.push(*item);
                    open.pop();
                    continue;
                };
                let Some(next) = fans[*fan].readers.get(*reader) else {
                    (*give, *reader) = (*give + 1, 0);
                    continue;
                };
                *reader += 1;
                if seen[*next] == Seen::Open {
                    up[*fan].push(*next);
                    continue;
                }
                down[*fan].push(*next);
                if seen[*next] == Seen::No {
                    seen[*next] = Seen::Open;
                    open.push((*next, 0, 0));
                }
            }
        }
        order.reverse();
        let mut takes = vec![Vec::new(); items];
        for (fan, readers) in down.iter().enumerate() {
            for reader in readers {
                takes[*reader].push(fan);
            }
        }
        Flow { down, up, source: fans.iter().map(|fan| fan.source).collect(), gives, takes, order }
    }

    fn layers(&self, roles: &[Role]) -> Vec<usize> {
        let first = usize::from(roles.contains(&Role::Top));
        let mut layer: Vec<usize> = roles.iter().map(|role| if *role == Role::Top { 0 } else { first }).collect();
        for item in &self.order {
            for reader in self.gives[*item].iter().flat_map(|fan| &self.down[*fan]) {
                layer[*reader] = layer[*reader].max(layer[*item] + 1);
            }
        }
        let last = layer.iter().zip(roles).filter(|(_, role)| **role != Role::Bottom).map(|(layer, _)| layer + 1).max();
        for (layer, _) in layer.iter_mut().zip(roles).filter(|(_, role)| **role == Role::Bottom) {
            *layer = last.unwrap_or(0).max(*layer);
        }
        self.sink(roles, &mut layer);
        layer
    }

    /// Moves items down to their first reader where no line gets longer by it, or more lines shorter than longer.
    fn sink(&self, roles: &[Role], layer: &mut [usize]) {
        // A tree that nothing but its own leaves feeds sinks as a whole.
        let mut loose = vec![false; roles.len()];
        for item in &self.order {
            loose[*item] = roles[*item] == Role::Free
                && self.takes[*item].iter().all(|fan| {
                    let source = self.source[*fan];
                    loose[source] && self.gives[source].len() == 1 && self.down[*fan].len() == 1
                });
        }
        for item in self.order.iter().rev().filter(|item| roles[**item] == Role::Free) {
            let readers = self.gives[*item].iter().flat_map(|fan| &self.down[*fan]);
            let Some(lowest) = readers.map(|reader| layer[*reader] - 1).min() else {
                continue;
            };
            let saved =
                (lowest - layer[*item]) * self.gives[*item].iter().filter(|f| !self.down[**f].is_empty()).count();
            let lost: usize = if loose[*item] {
                0
            } else {
                // A value with very many readers is judged by the first of them, to stay linear.
                let others = |fan: usize| {
                    self.down[fan].iter().take(64).filter(|reader| *reader != item).map(|r| layer[*r]).max()
                };
                self.takes[*item]
                    .iter()
                    .map(|fan| lowest - lowest.min(others(*fan).unwrap_or(0).max(layer[*item])))
                    .sum()
            };
            if saved > lost {
                layer[*item] = lowest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The layers of items `0..items`, all free, and how many bends there are.
    fn layers(items: usize, fans: &[(usize, &[usize])]) -> (Vec<usize>, usize) {
        let fans: Vec<Fan> =
            fans.iter().map(|(source, readers)| Fan { source: *source, readers: readers.to_vec() }).collect();
        let ranks = rank(&vec![Role::Free; items], &fans, 100).unwrap();
        (ranks.layer[..items].to_vec(), ranks.layer.len() - items)
    }

    #[test]
    fn an_input_read_late_is_drawn_late() {
        // 0 -> 1 -> 2 -> 3, and 4 -> 5 -> 3.
        assert_eq!(layers(6, &[(0, &[1]), (1, &[2]), (2, &[3]), (4, &[5]), (5, &[3])]), (vec![0, 1, 2, 3, 1, 2], 0));
    }

    #[test]
    fn what_sinks_does_not_drag_a_line_along() {
        // 1 reads the main line at its top; whether 1 or its source has the long line is the same, so it stays.
        assert_eq!(layers(5, &[(0, &[1, 2]), (2, &[3]), (3, &[4]), (1, &[4])]), (vec![0, 1, 1, 2, 3], 1));
    }

    #[test]
    fn readers_of_one_value_share_its_bends() {
        let chain: [(usize, &[usize]); 4] = [(0, &[1, 2, 3, 4]), (1, &[2]), (2, &[3]), (3, &[4])];
        assert_eq!(layers(5, &chain), (vec![0, 1, 2, 3, 4], 3));
    }

    #[test]
    fn a_read_that_closes_a_cycle_climbs() {
        let fans = [Fan { source: 0, readers: vec![1] }, Fan { source: 1, readers: vec![0, 1] }];
        let ranks = rank(&[Role::Free; 2], &fans, 100).unwrap();
        let climbs: Vec<(usize, usize)> = ranks.climbs.iter().map(|climb| (climb.reader, climb.bends.len())).collect();
        assert_eq!((&ranks.layer[..2], climbs), (&[0, 1][..], vec![(0, 2), (1, 1)]));
    }
}
