//! The native programs of the functions answer as the components do: the same contract, and the same
//! bytes wherever nothing is random.

use sampan_tests::{FUNCTIONS, Native, Refused, SEEDED, Sampan, Services, Staged};

#[tokio::test(flavor = "multi_thread")]
async fn each_program_fulfils_its_contract() {
    let services = Services::start().await;
    let environment = services.environment();
    for function in FUNCTIONS {
        let native = Native::start(&Staged::native(function.name), &environment).await;
        function.check(&native.call(function.path).await);
        assert_eq!(native.call("/?n=x&n=x").await.status, 400);
        assert!(native.stop().await.success(), "{}", function.name);
    }
    services.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_builds_answer_the_same_bytes() {
    let nobody = Refused::take();
    let staged = Staged::copy(
        &FUNCTIONS.map(|function| function.name),
        [nobody.address(); 2],
    );
    let sampan = Sampan::up(staged.folder()).await;
    for (name, path) in SEEDED {
        let native = Native::start(&Staged::native(name), &[]).await;
        let (one, other) = (native.call(path).await, sampan.call(name, path).await);
        assert_eq!((one.status, other.status), (one.status, one.status));
        assert_eq!(one.text(), other.text(), "{name}{path}");
        assert_eq!(one.media_type(), other.media_type(), "{name}{path}");
        assert!(native.stop().await.success());
    }
    assert!(sampan.stop().await.success());
}
