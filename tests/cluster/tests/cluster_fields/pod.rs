//! Tests how a pod's fields take effect in the kernel.

use std::fs;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{BUSYBOX, Namespace, Shell, hello, processes_of, push, status_of};
use serde_json::Value;

/// A limit of a container's control group, of either version.
fn limit_of(process: i32, controller: &str, files: [&str; 2]) -> String {
    let groups =
        fs::read_to_string(format!("/proc/{process}/cgroup")).expect("a process has groups");
    for line in groups.lines() {
        let mut words = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (words.next(), words.next()) else {
            panic!("no group: {line}");
        };
        let group = group.trim_start_matches('/');
        let folders = [
            PathBuf::from("/sys/fs/cgroup")
                .join(controllers)
                .join(group),
            PathBuf::from("/sys/fs/cgroup").join(controller).join(group),
            PathBuf::from("/sys/fs/cgroup").join(group),
        ];
        let is_meant =
            controllers.is_empty() || controllers.split(',').any(|one| one == controller);
        for folder in folders.iter().filter(|_| is_meant) {
            for file in files {
                if let Ok(text) = fs::read_to_string(folder.join(file)) {
                    return text.trim().to_owned();
                }
            }
        }
    }
    panic!("no {files:?} in {groups}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_is_the_rest_of_the_pod() {
    let namespace = Namespace::create("template").await;
    let cluster = namespace.cluster().clone();
    let node = cluster.nodes.last().unwrap();
    let image = push(&cluster, &hello(), "template/hello");
    let kubectl = namespace.kubectl();
    kubectl.output(&["create", "serviceaccount", "worker"]);
    namespace.make_config_map("page", "index.html", "a page");
    let template = format!(
        r"  replicas: 2
  template:
    labels: {{ team: ships }}
    annotations: {{ example.com/note: 'kept' }}
    nodeSelector: {{ kubernetes.io/hostname: {node} }}
    tolerations: [{{ key: special, operator: Exists }}]
    serviceAccountName: worker
    terminationGracePeriodSeconds: 7
    resources:
      requests: {{ cpu: 50m, memory: 32Mi }}
      limits: {{ cpu: 500m, memory: 96Mi }}
    securityContext: {{ runAsUser: 1234, runAsGroup: 2345 }}
    volumes: [{{ name: page, configMap: {{ name: page }} }}, {{ name: shared, emptyDir: {{}} }}]
    initContainers:
      - name: before
        image: {BUSYBOX}
        imagePullPolicy: Never
        command: [sh, -c, 'cat /page/index.html > /shared/index.html; echo >> /shared/index.html']
        volumeMounts: [{{ name: page, mountPath: /page }}, {{ name: shared, mountPath: /shared }}]
    sidecars:
      - name: beside
        image: {BUSYBOX}
        imagePullPolicy: Never
        command: [httpd, -f, -p, '8081', -h, /shared]
        volumeMounts: [{{ name: shared, mountPath: /shared }}]
",
        node = node.name
    );
    namespace.deploy("hello", &image, &template);
    let two = "--for=jsonpath={.status.readyReplicas}=2";
    kubectl.output(&["wait", "wfn/hello", two, "--timeout=120s"]);
    namespace.wait_until_reachable("hello");
    let pods = namespace.json(&["pods", "-l", "sampan.dev/function=hello"]);
    let pods = pods["items"].as_array().unwrap();
    assert_eq!(pods.len(), 2);
    for (path, expected) in [
        ("/metadata/labels/team", "ships"),
        ("/metadata/annotations/example.com~1note", "kept"),
        ("/spec/nodeName", node.name.as_str()),
        ("/spec/serviceAccountName", "worker"),
        ("/spec/runtimeClassName", "sampan"),
        ("/spec/containers/0/resources/limits/memory", "96Mi"),
        ("/spec/containers/0/resources/requests/cpu", "50m"),
        ("/spec/containers/1/name", "beside"),
        ("/spec/initContainers/0/name", "before"),
    ] {
        assert_eq!(
            pods[0].pointer(path),
            Some(&Value::from(expected)),
            "{path}"
        );
    }
    assert_eq!(pods[0]["spec"]["terminationGracePeriodSeconds"], 7);
    assert_eq!(pods[0]["spec"]["automountServiceAccountToken"], false);
    let tolerations = pods[0]["spec"]["tolerations"].as_array().unwrap();
    assert!(tolerations.iter().any(|one| one["key"] == "special"));

    // The sidecar serves the file that the init container wrote.
    let shell = Shell::start(&namespace, None).await;
    assert_eq!(shell.get("hello", "/").await.text(), "Hello!\n");
    let address = pods[0]["status"]["podIP"].as_str().unwrap();
    let page = shell.get_at(address, 8081, "/index.html").await;
    assert_eq!(page.text(), "a page\n");

    // The state of the function's process in the kernel.
    let id = pods[0]["status"]["containerStatuses"]
        .as_array()
        .unwrap()
        .iter()
        .find(|container| container["name"] == "function")
        .and_then(|container| container["containerID"].as_str())
        .and_then(|id| id.split_once("://"))
        .map(|(_, id)| id.to_owned());
    let processes = processes_of(&[id.unwrap()]);
    let [process] = processes[..] else {
        panic!("a function is one process: {processes:?}");
    };
    for (name, expected) in [
        ("Uid", "1234\t1234\t1234\t1234"),
        ("Gid", "2345\t2345\t2345\t2345"),
        ("CapEff", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(status_of(process, name), expected, "{name}");
    }
    let memory = limit_of(process, "memory", ["memory.limit_in_bytes", "memory.max"]);
    assert_eq!(memory, (96 << 20).to_string());
    let quota = limit_of(process, "cpu", ["cpu.cfs_quota_us", "cpu.max"]);
    assert!(quota == "50000" || quota == "50000 100000", "{quota}");
    let shares = limit_of(process, "cpu", ["cpu.shares", "cpu.weight"]);
    assert!(shares == "51" || shares == "2" || shares == "3", "{shares}");
    let root = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap();
    let root = root
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"))
        .unwrap();
    let options = root.split(' ').nth(5).unwrap();
    assert!(options.split(',').any(|option| option == "ro"), "{root}");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_container_has_what_its_security_context_says() {
    let namespace = Namespace::create("context").await;
    let cluster = namespace.cluster().clone();
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: confined }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 0
  securityContext: {{ fsGroup: 4321, supplementalGroups: [777] }}
  containers:
    - name: confined
      image: {BUSYBOX}
      imagePullPolicy: Never
      command: [sleep, '86400']
      resources: {{ limits: {{ memory: 48Mi, cpu: 250m }} }}
      securityContext:
        runAsUser: 1001
        runAsGroup: 1002
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        seccompProfile: {{ type: RuntimeDefault }}
        capabilities: {{ drop: [ALL], add: [NET_BIND_SERVICE] }}
      volumeMounts: [{{ name: own, mountPath: /own }}]
  volumes: [{{ name: own, emptyDir: {{}} }}]
"
    ));
    let running = namespace.wait_for::<Pod>("confined", "run", conditions::is_pod_running());
    let pod = running.await.unwrap();
    let node = cluster.node(&pod.spec.unwrap().node_name.unwrap());
    let containers = cluster.containers(node, namespace.name(), Some("confined"));
    let processes = processes_of(&containers);
    let [process] = processes[..] else {
        panic!("a pod of one program is one process: {processes:?}");
    };
    for (name, expected) in [
        ("Uid", "1001\t1001\t1001\t1001"),
        ("Gid", "1002\t1002\t1002\t1002"),
        ("Groups", "777 1002 4321"),
        ("CapBnd", "0000000000000400"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(status_of(process, name), expected, "{name}");
    }
    let memory = limit_of(process, "memory", ["memory.limit_in_bytes", "memory.max"]);
    assert_eq!(memory, (48 << 20).to_string());
    let kubectl = namespace.kubectl();
    let exec = |words: &[&str]| {
        let mut all = vec!["exec", "confined", "--"];
        all.extend(words);
        kubectl.run(&all)
    };
    let said = |output: &std::process::Output| {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let id = exec(&["id"]);
    assert!(said(&id).contains("uid=1001 gid=1002"), "{}", said(&id));
    let write = exec(&["touch", "/file"]);
    assert!(said(&write).contains("Read-only"), "{}", said(&write));
    let own = exec(&["sh", "-c", "touch /own/file && stat -c %g /own/file"]);
    assert!(
        own.status.success() && said(&own).contains("4321"),
        "{}",
        said(&own)
    );
    // A process added by exec is confined as the first one is.
    let confined = exec(&["grep", "-E", "^(Seccomp|NoNewPrivs):", "/proc/self/status"]);
    let fields = said(&confined);
    assert!(
        fields.contains("Seccomp:\t2") && fields.contains("NoNewPrivs:\t1"),
        "{fields}"
    );
    namespace.delete().await;
}
