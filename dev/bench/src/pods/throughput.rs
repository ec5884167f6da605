//! Compares a function in a pod with the same function served by `sampan up` in the same network
//! namespace.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sampan_measure::files::Files;
use sampan_measure::netns_thread::NetnsThread;
use sampan_measure::processes;
use tokio::process::{Child, Command};

use super::contender::PORT;
use super::{Bench, Contender, Pod};
use crate::load::Load;
use crate::report::{Goal, Row, Unit};

/// The port of `sampan up` beside the pod.
const SAMPAN_PORT: u16 = 18_080;
/// The count of connections of the load.
const CONNECTIONS: usize = 20;
/// The most turns: a load takes seconds, and its figure is a mean over all of its requests.
const TURNS: usize = 7;
/// How long a server may take to its first answer.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let pod = Pod::run(
        &bench.namespace,
        Contender::Sampan,
        "throughput",
        &bench.asked.images,
    )
    .await?;
    bench
        .netns_thread
        .until_ok(pod.address, FIRST_ANSWER_TIMEOUT)
        .await?;
    let netns = processes::network_of(&bench.namespace, &pod.name).await?;
    let files = Files::find()?;
    let data = tempfile::tempdir()?;
    let groups = processes::groups_of(&bench.namespace, &pod.name).await?;
    let mut beside = up(&files, &netns, &groups, data.path())?;
    let within = NetnsThread::enter(&netns)?;
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let load = Load {
        connections: CONNECTIONS,
        seconds: bench.asked.seconds,
    };
    let (in_pod, alone) = (local(PORT), local(SAMPAN_PORT));
    let listening = Instant::now();
    // It listens before it has compiled the function, and answers 503 meanwhile.
    while !matches!(within.get(alone, "/function/hello/").await, Ok((200, _))) {
        if let Some(status) = beside.try_wait()? {
            bail!("`sampan up` in the pod's network ended with {status}");
        }
        anyhow::ensure!(
            listening.elapsed() < FIRST_ANSWER_TIMEOUT,
            "`sampan up` does not answer"
        );
    }
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..bench.asked.repeats.min(TURNS) {
        let urls = [
            format!("http://{alone}/function/hello/"),
            format!("http://{in_pod}/"),
        ];
        for (url, samples) in urls.iter().zip(&mut samples) {
            samples.push(load.run_within(&netns, url).await?.rate());
        }
    }
    beside.start_kill()?;
    beside.wait().await?;
    bench.namespace.delete(&pod.name).await?;
    let [alone, in_pod] = samples;
    let ratios = in_pod
        .iter()
        .zip(&alone)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    let measure = "hello, c=20: throughput";
    Ok(vec![
        Row::new(
            measure,
            "sampan up beside the pod",
            Unit::RequestsPerSecond,
            alone,
        ),
        Row::new(measure, "in the pod", Unit::RequestsPerSecond, in_pod),
        Row::new(
            &format!("{measure} / sampan up"),
            "in the pod",
            Unit::Ratio,
            ratios,
        )
        .with_goal(Goal::AtLeast(0.9)),
    ])
}

/// Joins the control groups up to `--`, and replaces itself by the command after it.
const JOIN_GROUPS: &str = r#"
while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done
shift; exec "$@"
"#;

/// `sampan up` with the same component, in the pod's network namespace and control groups.
/// Processor time is shared out by groups, and a pod without requests gets the least of it.
fn up(files: &Files, netns: &Path, groups: &[PathBuf], data: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command
        .args(["-c", JOIN_GROUPS, "join"])
        .args(groups)
        .args(["--", "nsenter"])
        .arg(format!("--net={}", netns.display()))
        .arg("--")
        .arg(files.program("sampan"))
        .arg("up")
        .arg(files.bench_function("hello"))
        .args(["--listen", &format!("127.0.0.1:{SAMPAN_PORT}"), "--data"])
        .arg(data)
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .kill_on_drop(true);
    Ok(command.spawn()?)
}
