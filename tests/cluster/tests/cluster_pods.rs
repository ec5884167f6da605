//! Tests pods made without the operator: functions and ordinary containers side by side.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{BUSYBOX, Namespace, Shell, hello, push, push_image, push_text};

#[tokio::test(flavor = "multi_thread")]
async fn a_wasm_artifact_starts_in_a_pod_that_names_a_command() {
    let namespace = Namespace::create("artifact").await;
    let image = push(namespace.cluster(), &hello(), "artifact/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: artifact }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 1
  containers:
    - {{ name: hello, image: '{image}', command: [/function.wasm] }}
"
    ));
    let kubectl = namespace.kubectl();
    kubectl.output(&[
        "wait",
        "--for=condition=Ready",
        "pod/artifact",
        "--timeout=120s",
    ]);
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_a_sidecar_and_an_init_container_share_a_pod() {
    let namespace = Namespace::create("mixed").await;
    let image = push_image(namespace.cluster(), &hello(), "mixed/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: mixed }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 5
  initContainers:
    - name: before
      image: {BUSYBOX}
      imagePullPolicy: Never
      command: [sh, -c, 'echo prepared > /shared/note']
      volumeMounts: [{{ name: shared, mountPath: /shared }}]
  containers:
    - {{ name: hello, image: '{image}' }}
    - name: beside
      image: {BUSYBOX}
      imagePullPolicy: Never
      command: [sh, -c, 'cat /shared/note; exec sleep 86400']
      volumeMounts: [{{ name: shared, mountPath: /shared }}]
  volumes: [{{ name: shared, emptyDir: {{}} }}]
"
    ));
    namespace
        .wait_for::<Pod>("mixed", "run", conditions::is_pod_running())
        .await;
    let kubectl = namespace.kubectl();
    assert_eq!(
        kubectl.output(&["logs", "mixed", "-c", "beside"]),
        "prepared\n"
    );
    // The function is reachable over the pod's own loopback.
    let asked = [
        "exec",
        "mixed",
        "-c",
        "beside",
        "--",
        "wget",
        "-q",
        "-O",
        "-",
        "http://127.0.0.1:8080/",
    ];
    let said = kubectl.output(&asked);
    assert!(!said.is_empty());
    let failed = kubectl.run(&["exec", "mixed", "-c", "beside", "--", "sh", "-c", "exit 7"]);
    assert_eq!(failed.status.code(), Some(7), "{failed:?}");
    let refused = kubectl.run(&["exec", "mixed", "-c", "hello", "--", "sh"]);
    let complaint = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && complaint.contains("not supported"),
        "{complaint}"
    );
    let shell = Shell::start(&namespace, None).await;
    let pod = namespace.api::<Pod>().get("mixed").await.unwrap();
    let address = pod.status.unwrap().pod_ip.unwrap();
    assert_eq!(shell.get_at(&address, 8080, "/").await.status, 200);
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_of_a_command_is_that_of_its_job() {
    let namespace = Namespace::create("jobs").await;
    let module = r#"(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "_start") (call $exit (i32.const 3))))"#;
    let image = push_text(namespace.cluster(), module, "jobs/three");
    namespace.apply(&format!(
        r"
apiVersion: batch/v1
kind: Job
metadata: {{ name: three }}
spec:
  backoffLimit: 0
  template:
    spec:
      runtimeClassName: sampan
      restartPolicy: Never
      containers: [{{ name: three, image: '{image}' }}]
"
    ));
    namespace
        .wait_for::<Job>("three", "fail", |job: Option<&Job>| {
            let status = job.and_then(|job| job.status.as_ref());
            status.is_some_and(|status| status.failed == Some(1))
        })
        .await;
    let path = "jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}";
    let code = namespace.kubectl().output(&["get", "pods", "-o", path]);
    assert_eq!(code, "3");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_16_a_function_that_ignores_its_end_is_killed_after_the_grace_period() {
    let namespace = Namespace::create("stubborn").await;
    // An endless loop, and no signal reaches a guest.
    let module = r#"(module
      (memory (export "memory") 1)
      (func (export "_start") (loop $again (br $again))))"#;
    let image = push_text(namespace.cluster(), module, "stubborn/loop");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: stubborn }}
spec:
  runtimeClassName: sampan
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers: [{{ name: stubborn, image: '{image}', resources: {{ limits: {{ cpu: 200m }} }} }}]
"
    ));
    let running = namespace.wait_for::<Pod>("stubborn", "run", conditions::is_pod_running());
    let uid = running.await.unwrap().metadata.uid.unwrap();
    namespace
        .kubectl()
        .output(&["delete", "pod", "stubborn", "--wait=false"]);
    namespace
        .wait_for::<Pod>("stubborn", "go", conditions::is_deleted(&uid))
        .await;
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_17_a_container_that_exceeds_its_memory_is_reported_as_oom_killed() {
    let namespace = Namespace::create("memory").await;
    // It grows by steps and writes to each, so that the memory is used and not only reserved.
    let module = r#"(module
      (memory (export "memory") 1 65536)
      (func (export "_start") (local $page i32)
        (loop $again
          (local.set $page (memory.grow (i32.const 16)))
          (if (i32.eq (local.get $page) (i32.const -1)) (then unreachable))
          (memory.fill
            (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1) (i32.const 1048576))
          (br $again))))"#;
    let image = push_text(namespace.cluster(), module, "memory/grows");
    namespace.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata:
  name: grows
  annotations: {{ sampan.dev/limits: '{{"memory":"4Gi"}}' }}
spec:
  runtimeClassName: sampan
  restartPolicy: Never
  containers: [{{ name: grows, image: '{image}', resources: {{ limits: {{ memory: 64Mi }} }} }}]
"#
    ));
    let ended = namespace
        .wait_for::<Pod>("grows", "end", |pod: Option<&Pod>| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            status.is_some_and(|status| status.phase.as_deref() == Some("Failed"))
        })
        .await
        .unwrap();
    let containers = ended.status.unwrap().container_statuses.unwrap();
    let state = containers[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!(state.exit_code, 137, "{state:?}");
    assert_eq!(state.reason.as_deref(), Some("OOMKilled"), "{state:?}");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_a_function_is_forwarded() {
    use std::io::{BufRead as _, BufReader};
    let namespace = Namespace::create("forward").await;
    let image = push_image(namespace.cluster(), &hello(), "forward/hello");
    let run = [
        "run",
        "hello",
        "--image",
        &image,
        "--overrides",
        r#"{"spec":{"runtimeClassName":"sampan"}}"#,
    ];
    namespace.kubectl().output(&run);
    namespace
        .wait_for::<Pod>("hello", "run", conditions::is_pod_running())
        .await;
    let mut forward = namespace
        .kubectl()
        .command(&["port-forward", "pod/hello", ":8080"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Read to the end, because kubectl keeps printing.
    let mut said = BufReader::new(forward.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let port = line
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let address: std::net::SocketAddr =
        format!("127.0.0.1:{}", port.expect(&line)).parse().unwrap();
    let answer = sampan_tests::get(address, "hello", "/").await;
    forward.kill().unwrap();
    forward.wait().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    namespace.delete().await;
}
