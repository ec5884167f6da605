//! The order of a pool's pods for a module, by which no two of them wait for each other.

use std::net::SocketAddr;

use sampan_engine::ModuleName;

/// The rank of a pod for a module: another one for each module, and the same wherever it is computed (rendezvous
/// hashing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank([u8; 8], SocketAddr);

impl Rank {
    pub(super) fn new(name: &ModuleName, pod: SocketAddr) -> Self {
        let hash = blake3::hash(format!("{name} {pod}").as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self(first, pod)
    }
}

/// The pods to ask for a module, the highest rank first, at most so many.
pub(super) fn in_order(
    name: &ModuleName,
    pods: impl IntoIterator<Item = SocketAddr>,
    most: usize,
) -> Vec<SocketAddr> {
    let mut ranks: Vec<Rank> = pods.into_iter().map(|pod| Rank::new(name, pod)).collect();
    ranks.sort_unstable_by(|left, right| right.cmp(left));
    ranks.dedup();
    ranks.truncate(most);
    ranks.into_iter().map(|Rank(_, pod)| pod).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> ModuleName {
        format!("{number:064x}").parse().expect("it is a name")
    }

    fn pod(number: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, number], 9091))
    }

    #[test]
    fn the_order_does_not_depend_on_who_computes_it() {
        let here = in_order(&name(1), [pod(1), pod(2), pod(3)], 3);
        let there = in_order(&name(1), [pod(3), pod(1), pod(2), pod(1)], 3);
        assert_eq!(here, there);
        assert_eq!(in_order(&name(1), [pod(2), pod(3), pod(1)], 2), here[..2]);
        assert!(Rank::new(&name(1), here[0]) > Rank::new(&name(1), here[1]));
        // Without one pod, the others keep their order.
        let rest: Vec<_> = here.iter().copied().filter(|one| *one != here[1]).collect();
        assert_eq!(in_order(&name(1), rest.clone(), 3), rest);
    }

    #[test]
    fn each_pod_is_the_first_for_its_part_of_the_modules() {
        let pods = [pod(1), pod(2), pod(3), pod(4)];
        let count = |pod: SocketAddr| {
            let first = |number: &u32| in_order(&name(*number), pods, 1) == [pod];
            (0..1000).filter(first).count()
        };
        for pod in pods {
            let count = count(pod);
            assert!((150..350).contains(&count), "{pod}: {count}");
        }
    }
}
