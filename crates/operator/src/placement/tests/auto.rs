//! Tests of a function with the placement `Auto`: its resource describes its pods as well.

use sampan_crd::PlacementPolicy;

use super::{
    Backend, DRAIN, PORT, PlacementInput, Pod, PodsAction, PodsState, Pooled, check, in_pods,
};

#[test]
fn its_pods_are_kept_as_desired_until_the_pool_takes_it_back() {
    for pods in [PodsState::Absent, PodsState::Starting, PodsState::Available] {
        for port in [None, Some(PORT)] {
            let input = PlacementInput {
                policy: PlacementPolicy::Auto,
                pool_port: port,
                pods,
                ..in_pods(Pooled)
            };
            let apply = (Backend::Pods, PodsAction::Apply, Pod, port, None, false);
            check(&input, apply, None);
        }
    }
    let taken = PlacementInput {
        policy: PlacementPolicy::Auto,
        pool_serves: true,
        ..in_pods(Pooled)
    };
    let leave = (
        Backend::Pool(PORT),
        PodsAction::Leave,
        Pooled,
        Some(PORT),
        Some(0),
        true,
    );
    check(&taken, leave, Some(DRAIN));
}

#[test]
fn a_new_one_that_waits_for_its_port_gets_no_pods() {
    let input = PlacementInput {
        policy: PlacementPolicy::Auto,
        placement: None,
        known: false,
        pool_port: None,
        service: None,
        pods: PodsState::Absent,
        ..in_pods(Pooled)
    };
    let leave = (Backend::Pods, PodsAction::Leave, Pod, None, None, false);
    check(&input, leave, None);
}
