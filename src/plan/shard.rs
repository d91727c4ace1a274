//! Shards: one of several parts of a template's builds, for machines that build side by side.
//!
//! Every machine works out all parts by itself, from the template and the costs that it is given, so
//! all must be given the same. Builds that start from one another stay together,
//! and those that push one index.

use super::{PlannedBuild, pushes};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// One part of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 1 on.
    pub number: usize,
    /// How many there are.
    pub count: usize,
}

/// A text that names no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is I/N, with I from 1 to N, as 2/4")]
pub struct ParseShardError;

impl FromStr for Shard {
    type Err = ParseShardError;

    fn from_str(text: &str) -> Result<Self, ParseShardError> {
        let (number, count) = text.split_once('/').ok_or(ParseShardError)?;
        let number = number.parse().map_err(|_| ParseShardError)?;
        let count = count.parse().map_err(|_| ParseShardError)?;
        if number == 0 || number > count {
            return Err(ParseShardError);
        }
        Ok(Self { number, count })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.count)
    }
}

/// How long builds take, in seconds, by their names.
pub type Costs = BTreeMap<String, f64>;

/// Which of the builds belong to `shard`, of those that are `asked` for.
///
/// The groups of builds are dealt out from the most expensive one on, each to the shard that has
/// the least to do so far.
pub fn members(builds: &[PlannedBuild], asked: &[bool], shard: Shard, costs: &Costs) -> Vec<bool> {
    let mut groups = groups(builds.iter().map(|build| build.depends_on));
    unite(&mut groups, &pushes::joined(builds));
    let mounting = builds.iter().enumerate();
    let mounting = mounting.filter(|(_, build)| !build.mounts_from.is_empty());
    let mounting = mounting.map(|(index, build)| [&[index][..], &build.mounts_from].concat());
    unite(&mut groups, &mounting.collect::<Vec<_>>());
    let estimates = estimates(builds, costs);
    let mut work: BTreeMap<usize, f64> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        // A build that is not asked for runs only if another one starts from it.
        if asked.get(index).copied().unwrap_or(false) {
            *work.entry(*group).or_default() += estimates.get(index).copied().unwrap_or_default();
        }
    }
    let dealt = deal(work, shard.count);
    let mine = |group: &usize| dealt.get(group) == Some(&(shard.number - 1));
    let both = groups.iter().zip(asked);
    both.map(|(group, asked)| *asked && mine(group)).collect()
}

/// For each build the first build of its group.
fn groups(depends_on: impl Iterator<Item = Option<usize>>) -> Vec<usize> {
    let depends_on: Vec<Option<usize>> = depends_on.collect();
    let root = |mut index: usize| {
        // A circle has been reported; the bound only ends the walk.
        for _ in 0..depends_on.len() {
            match depends_on.get(index).copied().flatten() {
                Some(below) => index = below,
                None => break,
            }
        }
        index
    };
    (0..depends_on.len()).map(root).collect()
}

/// Makes one group of those that have builds in one of `sets`.
fn unite(groups: &mut [usize], sets: &[Vec<usize>]) {
    for set in sets {
        let of_set = set.iter().filter_map(|build| groups.get(*build).copied());
        let of_set: BTreeSet<usize> = of_set.collect();
        let Some(first) = of_set.first().copied() else {
            continue;
        };
        for group in groups.iter_mut().filter(|group| of_set.contains(group)) {
            *group = first;
        }
    }
}

/// The cost of each build: what is known, else an average for each of its steps.
fn estimates(builds: &[PlannedBuild], costs: &Costs) -> Vec<f64> {
    // The base and the post-processors are work too.
    let size = |build: &PlannedBuild| (build.steps.len() + 1) as f64;
    let known = builds
        .iter()
        .filter(|build| costs.contains_key(&build.name));
    let (seconds, steps) = known.fold((0.0, 0.0), |(seconds, steps), build| {
        (seconds + costs[&build.name], steps + size(build))
    });
    let each = if steps > 0.0 { seconds / steps } else { 1.0 };
    builds
        .iter()
        .map(|build| {
            costs
                .get(&build.name)
                .copied()
                .unwrap_or(each * size(build))
        })
        .collect()
}

/// The shard of each group, from 0 on.
fn deal(work: BTreeMap<usize, f64>, count: usize) -> BTreeMap<usize, usize> {
    let mut groups: Vec<(usize, f64)> = work.into_iter().collect();
    groups.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    // No more shards than groups get anything, however many there are.
    let mut loads = vec![0.0; count.min(groups.len())];
    let mut dealt = BTreeMap::new();
    for (group, cost) in groups {
        let least = (0..loads.len()).min_by(|a, b| f64::total_cmp(&loads[*a], &loads[*b]));
        if let Some(least) = least {
            loads[least] += cost;
            dealt.insert(group, least);
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_read() {
        for (text, expected) in [
            ("1/1", Some((1, 1))),
            ("2/4", Some((2, 4))),
            ("0/4", None),
            ("5/4", None),
            ("1", None),
            ("1/", None),
            ("-1/2", None),
            ("1/0", None),
            ("1/99999999999999999999999", None),
        ] {
            let shard = text.parse::<Shard>().ok();
            assert_eq!(shard.map(|it| (it.number, it.count)), expected, "{text}");
        }
    }

    #[test]
    fn builds_that_start_from_each_other_are_one_group() {
        let depends_on = [None, Some(0), None, Some(1), Some(2)];
        assert_eq!(groups(depends_on.into_iter()), [0, 0, 2, 0, 2]);
    }

    #[test]
    fn builds_that_push_one_index_are_one_group() {
        let mut groups = [0, 1, 1, 3, 4];
        unite(&mut groups, &[vec![2, 3], vec![4], vec![], vec![9]]);
        assert_eq!(groups, [0, 1, 1, 1, 4]);
        unite(&mut groups, &[vec![4, 0], vec![0, 3]]);
        assert_eq!(groups, [0; 5]);
    }

    #[test]
    fn the_most_expensive_groups_are_dealt_first() {
        let work = BTreeMap::from([(0, 1.0), (1, 5.0), (2, 3.0), (3, 3.0)]);
        let dealt = deal(work, 2);
        assert_eq!(dealt, BTreeMap::from([(1, 0), (2, 1), (3, 1), (0, 0)]));
        assert_eq!(deal(BTreeMap::new(), 3), BTreeMap::new());
        let one = BTreeMap::from([(7, 1.0)]);
        assert_eq!(deal(one, usize::MAX), BTreeMap::from([(7, 0)]));
    }
}
