//! Tests `sampan` against a cluster, as used without kubectl: its output and its exit codes.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{fs, thread};

use sampan_cluster_tests::{
    Namespace, TEST_TIMEOUT, guest, processes_of, push_text, signal, staged,
};
use sampan_tests::program;
use serde_json::Value;

/// A user with a kubeconfig, who works in a namespace.
struct User<'a> {
    namespace: &'a Namespace,
    kubeconfig: &'a Path,
}

impl User<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("sampan"));
        command.args(words);
        if !words.contains(&"-A") {
            command.args(["--namespace", self.namespace.name()]);
        }
        command
            .env("KUBECONFIG", self.kubeconfig)
            .stdin(Stdio::null());
        command
    }

    /// Runs it, and checks its exit code and words of what it prints on both streams.
    fn check(&self, words: &[&str], code: i32, out: &[&str], err: &[&str]) -> Output {
        let output = self
            .command(words)
            .output()
            .expect("failed to start sampan");
        let [said, complaint] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let shown = format!("sampan {words:?}: {}\n{said}\n{complaint}", output.status);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        for word in out {
            assert!(said.contains(word), "no `{word}` on stdout: {shown}");
        }
        for word in err {
            assert!(complaint.contains(word), "no `{word}` on stderr: {shown}");
        }
        output
    }
}

/// A command that answers each request, and writes a line to its log each time.
const LOGGING_COMMAND: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\18\00\00\00\40\00\00\00\1f\00\00\00")
  (data (i32.const 16) "these are my last words\n")
  (data (i32.const 64) "Content-Type: text/plain\n\nhere\n")
  (func (export "_start")
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 128)))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 128)))))"#;

/// Kills a function's process after each of its answers, until the kubelet delays the next start.
fn kill_until_it_stays_down(user: &User<'_>, name: &str) {
    let namespace = user.namespace;
    let label = format!("sampan.dev/function={name}");
    let begun = Instant::now();
    let mut killed = HashSet::new();
    loop {
        let list = user.command(&["list"]).output();
        let list = list.expect("failed to start sampan").stdout;
        let list = String::from_utf8_lossy(&list);
        let says = |word: &str| {
            let mut lines = list.lines().filter(|line| line.starts_with(name));
            lines.any(|line| line.contains(word))
        };
        if says(" no ") && says("CrashLoop") {
            return;
        }
        let pods = namespace.json(&["pods", "--selector", &label]);
        let container = &pods["items"][0]["status"]["containerStatuses"][0];
        assert!(begun.elapsed() < TEST_TIMEOUT, "{list}\n{container:#}");
        let id = container["containerID"]
            .as_str()
            .and_then(|id| id.split_once("://"));
        if let Some((_, id)) = id
            && container["state"]["running"].is_object()
            && !killed.contains(id)
            && user
                .command(&["invoke", name])
                .output()
                .is_ok_and(|answer| answer.status.success())
        {
            for process in processes_of(&[id.to_owned()]) {
                signal(&process.to_string(), "-KILL");
            }
            killed.insert(id.to_owned());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A program that prints lines without end.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(command: &mut Command) -> Following {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("failed to start sampan");
        let stdout = child.stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // The thread ends with the program, or when the receiver is dropped.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Following { child, lines }
    }

    /// Reads on until a line has the words.
    fn until(&mut self, words: &str) -> String {
        let mut all = Vec::new();
        loop {
            let line = self.lines.recv_timeout(TEST_TIMEOUT);
            let line = line.unwrap_or_else(|_| panic!("no line has `{words}`: {all:#?}"));
            if line.contains(words) {
                return line;
            }
            all.push(line);
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_deployed_listed_called_followed_and_deleted() {
    let namespace = Namespace::create("cli").await;
    let cluster = namespace.cluster().clone();
    let user = User {
        namespace: &namespace,
        kubeconfig: &cluster.kubeconfig,
    };
    let own = namespace.name();
    user.check(&["list"], 0, &["no functions in namespace", own], &[]);
    user.check(&["invoke", "prime-numbers"], 44, &[], &["prime-numbers"]);

    let file = staged("prime-numbers/function.yaml");
    let file = file.to_str().expect("a path is a text");
    let image = format!("{}/{own}/primes:1", cluster.registry);
    let deploy = [
        "deploy",
        file,
        "--image",
        &image,
        "--push",
        "--replicas",
        "1",
    ];
    let created = format!("prime-numbers created in namespace {own}");
    let ready = format!("prime-numbers is ready at http://prime-numbers.{own}.svc (1/1 pods");
    let call = format!("call it: sampan invoke prime-numbers -n {own}");
    user.check(&deploy, 0, &[&created, &ready, &call], &["prime-numbers:"]);
    // Once more: nothing changes, and nothing is pushed.
    user.check(&deploy, 0, &["unchanged"], &[]);
    user.check(&["list"], 0, &["prime-numbers", "yes", "1/1"], &[]);
    let json = user.check(&["list", "-o", "json"], 0, &[], &[]);
    let rows: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows[0]["ready"], true, "{rows}");
    assert!(rows[0]["digest"].as_str().unwrap().starts_with("sha256:"));
    user.check(&["list", "-A"], 0, &["NAMESPACE", own], &[]);

    let primes = ["invoke", "prime-numbers", "/?n=10"];
    let answer = user.check(&primes, 0, &[], &[]);
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert_eq!(text.trim_end(), "The value is: [2, 3, 5, 7]");
    let wrong = ["invoke", "prime-numbers", "/?n=none", "-i", "--fail"];
    user.check(&wrong, 48, &["400", "n"], &["400"]);

    // A module needs no file beside it.
    let probe = guest("probe");
    let probe = probe.to_str().expect("a path is a text");
    let image = format!("{}/{own}/probe:1", cluster.registry);
    let deploy = ["deploy", probe, "--image", &image, "--push"];
    user.check(&deploy, 0, &["probe is ready"], &[]);
    let body = ["invoke", "probe", "/echo", "-d", "a body"];
    user.check(&body, 0, &["a body"], &[]);
    user.check(&["invoke", "probe", "/panic", "-f"], 48, &[], &["500"]);
    user.check(&["logs", "probe"], 0, &["this is why"], &[]);

    // `--follow` shows later output, also that of pods that start later.
    let mut follow = user.command(&["logs", "probe", "-f", "--tail", "20"]);
    let mut following = Following::start(&mut follow);
    following.until("cause=");
    user.check(&["invoke", "probe", "/panic"], 0, &[], &[]);
    following.until("this is why");
    let pods = namespace.pods_of("probe").await;
    let old = pods[0].metadata.name.clone().unwrap();
    let kubectl = namespace.kubectl();
    kubectl.output(&["delete", "pod", &old, "--wait=false"]);
    namespace.until(&["get", "pods", "-o", "name"], |said| !said.contains(&old));
    namespace.wait_until_ready("probe");
    user.check(&["invoke", "probe", "/panic"], 0, &[], &[]);
    // Until a line of another pod: by now each line has its pod's name before it.
    loop {
        let line = following.until("this is why");
        if line.contains("probe-") && !line.contains(&old) {
            break;
        }
    }
    drop(following);

    user.check(
        &["delete", "prime-numbers", "probe", "--wait"],
        0,
        &["prime-numbers", "probe", "gone"],
        &[],
    );
    let left = namespace.pods_of("probe").await;
    assert!(left.is_empty(), "{left:?}");
    user.check(&["delete", "probe"], 44, &[], &["probe"]);
    user.check(&["delete", "probe", "--ignore-not-found"], 0, &[], &[]);
    user.check(&["logs", "probe"], 44, &[], &["probe"]);
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_report_the_cause_and_a_remedy() {
    let namespace = Namespace::create("cli-fails").await;
    let cluster = namespace.cluster().clone();
    let user = User {
        namespace: &namespace,
        kubeconfig: &cluster.kubeconfig,
    };
    let own = namespace.name();
    let folder = tempfile::tempdir().unwrap();
    let resource = |name: &str, spec: &str| {
        let file = folder.path().join(format!("{name}.yaml"));
        let text = format!(
            "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: {name} }}\nspec: {spec}\n"
        );
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let mortal = push_text(&cluster, LOGGING_COMMAND, &format!("{own}/mortal"));
    let mortal = resource(
        "mortal",
        &format!("{{ image: '{mortal}', replicas: 1, http: cgi }}"),
    );
    let missing = format!("{}/{own}/absent:1", cluster.registry);
    let missing = resource("missing", &format!("{{ image: '{missing}', replicas: 1 }}"));
    let homeless = resource(
        "homeless",
        &format!(
            "{{ image: '{}/x:1', replicas: 1, template: {{ nodeSelector: {{ is: nowhere }} }} }}",
            cluster.registry
        ),
    );
    let foreign = push_text(
        &cluster,
        "(module (import \"elsewhere\" \"thing\" (func)) (func (export \"_start\")))",
        &format!("{own}/foreign"),
    );
    let foreign = resource(
        "foreign",
        &format!("{{ image: '{foreign}', replicas: 1, http: cgi }}"),
    );
    let wrong = resource("wrong", "{ image: 'x', replicas: -1 }");
    let refused = resource("refused", "{ image: '-x' }");
    // In parallel: each takes as long as a failure must last before it counts.
    thread::scope(|scope| {
        let check = |file: &str, code: i32, words: &[&str]| {
            let (file, user) = (file.to_owned(), &user);
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            scope.spawn(move || {
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                user.check(&["deploy", &file], code, &[], &words)
            });
        };
        let deploy = ["deploy", "--no-wait", mortal.as_str()];
        user.check(&deploy, 0, &["mortal created"], &[]);
        check(
            &foreign,
            46,
            &["StartFailed", "elsewhere", "sampan inspect"],
        );
        check(
            &missing,
            46,
            &["ImagePullFailed", "not found", "sampan push"],
        );
        check(&wrong, 12, &["spec.replicas", "0 to 10000"]);
        check(&refused, 45, &["spec.image"]);
    });
    // A node may be added later, so this waits until the user's timeout.
    let late = ["deploy", &homeless, "--timeout", "3s"];
    user.check(&late, 124, &[], &["not within", "Unschedulable"]);
    namespace.wait_until_ready("mortal");
    kill_until_it_stays_down(&user, "mortal");
    let rows = user.check(&["list"], 0, &["foreign", "no", "StartFailed"], &[]);
    assert!(!String::from_utf8_lossy(&rows.stdout).contains("wrong"));
    // The kubelet removes earlier containers, so there may be none for a moment.
    let begun = Instant::now();
    loop {
        let mut logs = user.command(&["logs", "mortal", "--previous"]);
        let output = logs.output().expect("failed to start sampan");
        if String::from_utf8_lossy(&output.stdout).contains("these are my last words") {
            break;
        }
        assert!(begun.elapsed() < TEST_TIMEOUT, "{output:?}");
        thread::sleep(Duration::from_millis(100));
    }
    user.check(&["invoke", "foreign"], 47, &[], &["foreign"]);

    // A user without rights, and a user without a cluster.
    let kubectl = namespace.kubectl();
    let token = kubectl.output(&["create", "token", "default"]);
    let stranger = folder.path().join("stranger.json");
    let text = fs::read_to_string(&cluster.kubeconfig).unwrap();
    let server = kubectl.output(&[
        "config",
        "view",
        "--raw",
        "--minify",
        "-o",
        "jsonpath={.clusters[0].cluster}",
    ]);
    let server: Value = serde_json::from_str(&server).unwrap_or_else(|_| panic!("{text}"));
    let kubeconfig = |cluster: &Value| {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{ "name": "it", "cluster": cluster }],
            "users": [{ "name": "it", "user": { "token": token.trim() } }],
            "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
        })
        .to_string()
    };
    fs::write(&stranger, kubeconfig(&server)).unwrap();
    let stranger = User {
        namespace: &namespace,
        kubeconfig: &stranger,
    };
    stranger.check(&["list"], 42, &[], &["list"]);
    stranger.check(&["deploy", &mortal], 42, &[], &["mortal"]);
    let unreachable = folder.path().join("unreachable.json");
    let nowhere = serde_json::json!({ "server": "https://127.0.0.1:1" });
    fs::write(&unreachable, kubeconfig(&nowhere)).unwrap();
    let lost = User {
        namespace: &namespace,
        kubeconfig: &unreachable,
    };
    lost.check(&["list"], 40, &[], &["127.0.0.1:1"]);
    let absent = folder.path().join("absent.json");
    let lost = User {
        namespace: &namespace,
        kubeconfig: &absent,
    };
    lost.check(&["list"], 41, &[], &["absent.json"]);
    namespace.delete().await;
}
