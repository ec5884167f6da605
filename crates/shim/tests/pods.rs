//! Containers of pods as clients of the CRI make them: names that the Kubernetes API would not take, and containers that
//! join the processes of another one.

mod support;

use support::bundle::{Bundle, drain};
use support::modules::LOOP;
use support::pod::{NAME, Pod, own_processes, processes_of};
use support::{may_run, message};

#[tokio::test]
async fn a_container_is_debugged_from_one_that_joins_its_processes() {
    async fn check(target: impl FnOnce(Bundle) -> Bundle, expected: &str) {
        let pod = Pod::new().await;
        let target = target(pod.container("target", &own_processes())).finish();
        let namespace = processes_of(pod.run(&target).await);
        let debugger = pod
            .container("debugger", &namespace)
            .script("cat /proc/1/comm")
            .with_pipes()
            .finish();
        let (stdout, _stderr) = (debugger.reader("stdout"), debugger.reader("stderr"));
        pod.run(&debugger).await;
        let exit = pod.shim.wait("debugger").await.expect("ended");
        assert_eq!(exit.exit_status, 0);
        assert_eq!(drain(stdout), expected);
        pod.stop("debugger").await;
        pod.stop("target").await;
        pod.end().await;
    }
    if !may_run() {
        return;
    }
    let function = |bundle: Bundle| bundle.annotate(NAME, "function").module(LOOP);
    check(function, "function\n").await;
    let program = |bundle: Bundle| bundle.busybox(&["sleep", "1000"]);
    check(program, "busybox\n").await;
}

#[tokio::test]
async fn containers_have_names_of_any_length() {
    if !may_run() {
        return;
    }
    let long =
        "container-for-a-test-with-a-name-that-is-longer-than-a-label-of-the-dns-may-be-0123456789";
    let pod = Pod::new().await;
    let program = pod
        .container("program", &own_processes())
        .annotate(NAME, long)
        .busybox(&["true"])
        .finish();
    pod.run(&program).await;
    assert_eq!(
        pod.shim.wait("program").await.expect("ended").exit_status,
        0
    );
    pod.stop("program").await;
    let function = pod
        .container("function", &own_processes())
        .annotate(NAME, long)
        .module(LOOP)
        .finish();
    pod.run(&function).await;
    pod.stop("function").await;
    // A name that is given to the function itself has its own rules.
    let named = pod
        .container("named", &own_processes())
        .annotate("sampan.dev/function", long)
        .module(LOOP)
        .finish();
    let refused = message(pod.shim.create(&named).await);
    assert!(refused.contains("the most is 63"), "{refused}");
    pod.end().await;
}
