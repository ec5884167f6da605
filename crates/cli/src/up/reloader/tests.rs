//! Tests of the failure when nothing can be served.

use super::*;

#[test]
fn the_cause_of_all_failures_is_the_cause_of_the_end() {
    fn check(exits: &[Exit], expected: Exit, message: &str) {
        let failures: Vec<Failure> = exits
            .iter()
            .map(|exit| Failure::new(*exit, "it failed", "mend it"))
            .collect();
        let failures: Vec<&Failure> = failures.iter().collect();
        let failure = nothing_to_serve(&failures);
        assert_eq!(
            (failure.exit, failure.message.as_str()),
            (expected, message)
        );
        assert_eq!(failure.help, "mend it");
    }
    check(&[Exit::Wasm], Exit::Wasm, "it failed");
    let two = "none of 2 functions can be served; the first: it failed";
    check(&[Exit::Data, Exit::Data], Exit::Data, two);
    check(&[Exit::Wasm, Exit::Missing], Exit::NothingToServe, two);
}
