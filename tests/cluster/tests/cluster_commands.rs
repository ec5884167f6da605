//! Tests WASI commands as a `Job` and as a `CronJob`, with a pod's arguments, variables, files and
//! streams.
//!
//! Also tests attach, exec and logs of a running container.

use std::io::Write as _;
use std::process::Stdio;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{
    BUSYBOX, Namespace, guest, hello, push_image, push_text, with_stop_signal,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_reads_and_writes_what_its_pod_mounts() {
    let namespace = Namespace::create("volumes").await;
    let image = push_image(namespace.cluster(), &guest("command"), "volumes/command");
    let kubectl = namespace.kubectl();
    namespace.make_config_map("settings", "colour", "red");
    namespace.make_secret("secrets", "token", "known to few");
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
      securityContext: {{ runAsUser: 1234, fsGroup: 4321 }}
      initContainers:
        - name: files
          image: '{image}'
          command: [/function.wasm]
          args: [read=/settings/colour, read=/secrets/token, write=/scratch/note, write=/settings/colour,
                 read=/etc/passwd, write=/own, two words]
          env:
            - {{ name: PLAIN, value: here }}
            - {{ name: FROM_SECRET, valueFrom: {{ secretKeyRef: {{ name: secrets, key: token }} }} }}
          volumeMounts:
            - {{ name: settings, mountPath: /settings }}
            - {{ name: secrets, mountPath: /secrets, readOnly: true }}
            - {{ name: scratch, mountPath: /scratch }}
      containers:
        - name: after
          image: {BUSYBOX}
          imagePullPolicy: Never
          command: [cat, /scratch/note]
          volumeMounts: [{{ name: scratch, mountPath: /scratch }}]
      volumes:
        - {{ name: settings, configMap: {{ name: settings }} }}
        - {{ name: secrets, secret: {{ secretName: secrets }} }}
        - {{ name: scratch, emptyDir: {{}} }}
"
    ));
    namespace
        .wait_for::<Job>("files", "end", conditions::is_job_completed())
        .await;
    let said = kubectl.output(&["logs", "job/files", "-c", "files"]);
    for line in [
        r#"/settings/colour holds Ok("red")"#,
        r#"/secrets/token holds Ok("known to few")"#,
        "/scratch/note is written Ok(())",
        "variable PLAIN=here",
        "variable FROM_SECRET=known to few",
        r#""two words""#,
        "this is standard error",
    ] {
        assert!(said.contains(line), "no {line} in {said}");
    }
    // A file that is mounted read-only cannot be written, and a file that is not mounted does not
    // exist.
    for beginning in [
        "/settings/colour is written Err",
        "/etc/passwd holds Err",
        "/own is written Err",
    ] {
        assert!(said.contains(beginning), "no {beginning} in {said}");
    }
    let after = kubectl.output(&["logs", "job/files", "-c", "after"]);
    assert_eq!(after, "written by a command\n");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_job_runs_a_command() {
    let namespace = Namespace::create("cron").await;
    let image = push_image(namespace.cluster(), &guest("command"), "cron/command");
    namespace.apply(&format!(
        r"
apiVersion: batch/v1
kind: CronJob
metadata: {{ name: now-and-then }}
spec:
  schedule: '* * * * *'
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          runtimeClassName: sampan
          restartPolicy: Never
          containers: [{{ name: command, image: '{image}', args: [from a schedule, '0'] }}]
"
    ));
    // At the next full minute.
    let succeeded = "jsonpath={.items[*].status.succeeded}";
    namespace.until(&["get", "jobs", "-o", succeeded], |said| said.contains('1'));
    let kubectl = namespace.kubectl();
    let name = kubectl.output(&["get", "jobs", "-o", "jsonpath={.items[0].metadata.name}"]);
    assert!(name.starts_with("now-and-then-"), "{name}");
    let said = kubectl.output(&["logs", &format!("job/{name}")]);
    assert!(
        said.contains(r#"arguments ["from a schedule", "0"]"#),
        "{said}"
    );
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_shows_output_and_exec_is_for_programs() {
    let namespace = Namespace::create("streams").await;
    let cluster = namespace.cluster().clone();
    let web = push_image(&cluster, &hello(), "streams/hello");
    let command = push_image(&cluster, &guest("command"), "streams/command");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: both }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 0
  containers:
    - {{ name: web, image: '{web}' }}
    - name: shell
      image: {BUSYBOX}
      imagePullPolicy: Never
      stdin: true
      command: [sh, -c, 'while read line; do echo heard $line; done']
---
apiVersion: v1
kind: Pod
metadata: {{ name: listener }}
spec:
  runtimeClassName: sampan
  restartPolicy: Never
  containers: [{{ name: command, image: '{command}', stdin: true, stdinOnce: true, args: ['3'] }}]
"
    ));
    for pod in ["both", "listener"] {
        namespace
            .wait_for::<Pod>(pod, "run", conditions::is_pod_running())
            .await;
    }
    let kubectl = namespace.kubectl();
    // No program can be run beside a function, with or without stdin.
    for flags in [
        &["exec", "both", "-c", "web"][..],
        &["exec", "-i", "both", "-c", "web"],
    ] {
        let words: Vec<_> = flags.iter().copied().chain(["--", "sh"]).collect();
        let refused = kubectl.run(&words);
        let complaint = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && complaint.contains("not supported"),
            "{complaint}"
        );
    }
    let ran = kubectl.run(&["exec", "both", "-c", "shell", "--", "sh", "-c", "exit 9"]);
    assert_eq!(ran.status.code(), Some(9), "{ran:?}");
    // Input to an attached container reaches it, whether it is a program or a command.
    let attach = |words: &[&str], input: &str| {
        let mut all = vec!["attach", "--quiet", "--stdin"];
        all.extend(words);
        let mut command = kubectl.command(&all);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("failed to start kubectl");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("failed to write");
        drop(stdin);
        child
            .wait_with_output()
            .expect("failed to wait for kubectl")
    };
    let output = attach(&["listener"], "one\ntwo\n");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(r#"input Ok("one\ntwo\n")"#), "{output:?}");
    let code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    // A component's exit code is 0 or 1: WASI 0.2 has no others.
    namespace.until(&["get", "pod", "listener", "-o", code], |code| code == "1");
    // The reader goes on after a client detaches: the input belongs to the container, not to one
    // client.
    let mut attached = kubectl
        .command(&["attach", "--quiet", "--stdin", "both", "-c", "shell"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    attached
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"you\n")
        .unwrap();
    namespace.until(&["logs", "both", "-c", "shell"], |said| {
        said.contains("heard you\n")
    });
    attached.kill().unwrap();
    attached.wait().unwrap();
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_receives_the_stop_signal_of_its_image() {
    let namespace = Namespace::create("stop").await;
    let module = r#"(module
      (memory (export "memory") 1)
      (func (export "_start") (loop $again (br $again))))"#;
    let image = push_text(namespace.cluster(), module, "stop/loop");
    let image = with_stop_signal(namespace.cluster(), &image, "SIGQUIT");
    // The finalizer keeps the pod's status after its container has ended.
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: stop, finalizers: [sampan.dev/test] }}
spec:
  runtimeClassName: sampan
  restartPolicy: Never
  terminationGracePeriodSeconds: 3600
  containers: [{{ name: stop, image: '{image}', resources: {{ limits: {{ cpu: 200m }} }} }}]
"
    ));
    let running = namespace.wait_for::<Pod>("stop", "run", conditions::is_pod_running());
    let uid = running.await.unwrap().metadata.uid.unwrap();
    let kubectl = namespace.kubectl();
    kubectl.output(&["delete", "pod", "stop", "--wait=false"]);
    let code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    // 128 and the number of SIGQUIT; SIGTERM would be 143.
    namespace.until(&["get", "pod", "stop", "-o", code], |code| code == "131");
    let release = r#"[{"op":"remove","path":"/metadata/finalizers"}]"#;
    kubectl.output(&["patch", "pod", "stop", "--type=json", "--patch", release]);
    namespace
        .wait_for::<Pod>("stop", "go", conditions::is_deleted(&uid))
        .await;
    namespace.delete().await;
}
