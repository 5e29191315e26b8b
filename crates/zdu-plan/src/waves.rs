//! Which nodes are changed together.

use alloc::vec::Vec;
use zdu_model::policy::WaveSize;

/// Splits nodes, in order, into waves; the last size repeats until every node is in one.
///
/// An empty `sizes` gives one wave with all: the planner refuses such a policy before.
pub(crate) fn split(nodes: &[usize], sizes: &[WaveSize]) -> Vec<Vec<usize>> {
    let mut rest = nodes;
    let mut waves = Vec::new();
    let mut index = 0;
    while !rest.is_empty() {
        let size = sizes.get(index).or_else(|| sizes.last());
        let count = size.map_or(rest.len(), |size| count_of(*size, nodes.len()));
        let (wave, after) = rest.split_at(count.min(rest.len()));
        waves.push(wave.to_vec());
        rest = after;
        index += 1;
    }
    waves
}

/// How many nodes a size means: a share is of all nodes of the stage, not of those that are left,
/// so that "25%" is the same number in every wave. At least one, or the loop would not end.
fn count_of(size: WaveSize, all: usize) -> usize {
    let count = match size {
        WaveSize::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
        WaveSize::Percent(share) => all.saturating_mul(usize::from(share)) / 100,
    };
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn sizes(nodes: usize, sizes: &[WaveSize]) -> Vec<usize> {
        let all: Vec<usize> = (0..nodes).collect();
        let waves = split(&all, sizes);
        assert_eq!(waves.concat(), all, "every node once and in order");
        waves.iter().map(Vec::len).collect()
    }

    #[test]
    fn the_last_size_repeats_until_every_node_is_in_a_wave() {
        use WaveSize::{Count, Percent};
        assert_eq!(sizes(10, &[Count(1), Percent(25), Percent(100)]), vec![1, 2, 7]);
        assert_eq!(sizes(5, &[Count(2)]), vec![2, 2, 1]);
        assert_eq!(sizes(3, &[Percent(25)]), vec![1, 1, 1]);
        assert_eq!(sizes(0, &[Count(1)]), Vec::<usize>::new());
    }

    #[test]
    fn a_size_of_nothing_still_takes_one_node() {
        assert_eq!(sizes(2, &[WaveSize::Percent(0)]), vec![1, 1]);
    }
}
