//! Tests container fields that mean the same for functions and programs: working directories,
//! single files, terminals, read-only mounts, debugging, statistics.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{BUSYBOX, Namespace, Shell, guest, hello, push_image};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_starts_in_its_working_directory_and_sees_single_files() {
    let namespace = Namespace::create("files").await;
    let image = push_image(namespace.cluster(), &guest("command"), "files/command");
    namespace.make_config_map("settings", "colour", "red");
    namespace.apply(&format!(
        r"
apiVersion: batch/v1
kind: Job
metadata: {{ name: files }}
spec:
  backoffLimit: 0
  template:
    spec:
      runtimeClassName: sampan
      restartPolicy: Never
      containers:
        - name: files
          image: '{image}'
          command: [/function.wasm]
          args: [write=note.txt, read=/data/note.txt, read=/etc/app/colour, write=/etc/app/colour, write=/etc/app/other,
                 write=/dev/termination-log, '0']
          workingDir: /data
          volumeMounts:
            - {{ name: data, mountPath: /data }}
            - {{ name: settings, mountPath: /etc/app/colour, subPath: colour, readOnly: true }}
      volumes:
        - {{ name: data, emptyDir: {{}} }}
        - {{ name: settings, configMap: {{ name: settings }} }}
"
    ));
    namespace
        .wait_for::<Job>("files", "end", conditions::is_job_completed())
        .await;
    let kubectl = namespace.kubectl();
    let said = kubectl.output(&["logs", "job/files"]);
    for line in [
        "note.txt is written Ok(())",
        r#"/data/note.txt holds Ok("written by a command\n")"#,
        r#"/etc/app/colour holds Ok("red")"#,
        "/etc/app/colour is written Err",
        "/etc/app/other is written Err",
        "variable PWD=/data",
        "/dev/termination-log is written Ok(())",
    ] {
        assert!(said.contains(line), "no {line} in {said}");
    }
    let path = "jsonpath={.items[0].status.containerStatuses[0].state.terminated.message}";
    let message = kubectl.output(&["get", "pods", "-o", path]);
    assert_eq!(message, "written by a command\n");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_takes_what_is_made_for_programs() {
    let namespace = Namespace::create("both").await;
    let image = push_image(namespace.cluster(), &hello(), "both/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: both }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 0
  containers:
    - name: hello
      image: '{image}'
      tty: true
      stdin: true
      workingDir: /nowhere
      resources: {{ limits: {{ cpu: 1500m }} }}
      volumeMounts: [{{ name: data, mountPath: /data, readOnly: true, recursiveReadOnly: IfPossible }}]
    - name: beside
      image: {BUSYBOX}
      imagePullPolicy: Never
      workingDir: /made/here
      command: [sleep, '86400']
      resources: {{ limits: {{ memory: 64Mi }} }}
      volumeMounts: [{{ name: data, mountPath: /data, readOnly: true, recursiveReadOnly: Enabled }}]
  volumes: [{{ name: data, emptyDir: {{}} }}]
"
    ));
    let running = namespace.wait_for::<Pod>("both", "run", conditions::is_pod_running());
    let pod = running.await.expect("it is there");
    let shell = Shell::start(&namespace, None).await;
    let address = pod.status.unwrap().pod_ip.unwrap();
    assert_eq!(shell.get_at(&address, 8080, "/").await.status, 200);
    let kubectl = namespace.kubectl();
    let inside = |script: &str| {
        let words = ["exec", "both", "-c", "beside", "--", "sh", "-c", script];
        kubectl.output(&words)
    };
    assert_eq!(inside("pwd"), "/made/here\n");
    // Each hierarchy of control groups is one line.
    let groups = inside("grep ' - cgroup' /proc/self/mountinfo | cut -d' ' -f6");
    let read_only = |line: &str| line.split(',').any(|option| option == "ro");
    assert!(
        !groups.is_empty() && groups.lines().all(read_only),
        "{groups}"
    );
    let volume = inside("grep ' /data ' /proc/self/mountinfo | cut -d' ' -f6");
    assert!(read_only(volume.trim()), "{volume}");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_debugged_from_a_container_that_joins_it() {
    let namespace = Namespace::create("debug").await;
    let image = push_image(namespace.cluster(), &hello(), "debug/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: target }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 0
  containers: [{{ name: function, image: '{image}' }}]
"
    ));
    namespace
        .wait_for::<Pod>("target", "run", conditions::is_pod_running())
        .await;
    let kubectl = namespace.kubectl();
    let image = format!("--image={BUSYBOX}");
    kubectl.output(&[
        "debug",
        "target",
        &image,
        "--image-pull-policy=Never",
        "--target=function",
        "-c",
        "look",
        "--",
        "cat",
        "/proc/1/comm",
    ]);
    let code = "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}";
    namespace.until(&["get", "pod", "target", "-o", code], |code| code == "0");
    assert_eq!(
        kubectl.output(&["logs", "target", "-c", "look"]),
        "function\n"
    );
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_a_host_alias_is_tried() {
    let namespace = Namespace::create("aliases").await;
    let image = push_image(namespace.cluster(), &guest("probe"), "aliases/probe");
    let pod = |name: &str, more: &str| {
        namespace.apply(&format!(
            r#"
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  annotations: {{ sampan.dev/outbound: '["http://twice.test:8080"]' }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 0
  containers: [{{ name: function, image: '{image}' }}]
{more}"#
        ));
    };
    let address = async |name: &'static str| {
        let running = namespace.wait_for::<Pod>(name, "run", conditions::is_pod_running());
        running.await.unwrap().status.unwrap().pod_ip.unwrap()
    };
    pod("live", "");
    let live = address("live").await;
    // The first address is the live one's neighbour, which no pod has.
    let (network, _) = live.rsplit_once('.').expect("an address of IPv4");
    let aliases = [format!("{network}.254"), live.clone()]
        .map(|ip| format!("    - {{ ip: {ip}, hostnames: [twice.test] }}\n"));
    pod("caller", &format!("  hostAliases:\n{}", aliases.concat()));
    let caller = address("caller").await;
    let shell = Shell::start(&namespace, None).await;
    let answer = shell
        .get_at(&caller, 8080, "/request?to=http://twice.test:8080/")
        .await;
    assert_eq!(answer.text(), "200 probe", "{answer:?}");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_memory_limit_none_is_left() {
    let namespace = Namespace::create("summary").await;
    let image = push_image(namespace.cluster(), &hello(), "summary/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: unlimited }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 0
  containers: [{{ name: function, image: '{image}' }}]
"
    ));
    let running = namespace.wait_for::<Pod>("unlimited", "run", conditions::is_pod_running());
    let node = running.await.unwrap().spec.unwrap().node_name.unwrap();
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
    let memory = |said: &str| {
        let summary: Value = serde_json::from_str(said).expect("the kubelet writes JSON");
        let pods = summary["pods"].as_array().expect("pods").clone();
        let mut pods = pods.into_iter();
        let pod = pods.find(|pod| pod["podRef"]["namespace"] == namespace.name())?;
        let memory = pod["containers"][0]["memory"].clone();
        memory["usageBytes"].is_u64().then_some(memory)
    };
    namespace.until(&["get", "--raw", &path], |said| memory(said).is_some());
    let said = namespace.kubectl().output(&["get", "--raw", &path]);
    let memory = memory(&said).expect("it was there before");
    // Without a limit, containerd's CRI reports 0. The kubelet repeats that until cAdvisor has
    // measured, and leaves the field out then.
    let available = &memory["availableBytes"];
    assert!(available.is_null() || available == 0, "{memory}");
    namespace.delete().await;
}
