//! Tests of the accounts that versions of a function share.

use std::pin::pin;
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sampan_spec::{ByteSize, Processors};
use tokio::time::timeout;

use super::*;
use crate::compile::config::SharedProcessors;
use crate::context::call_state::{Admitted, Call};
use crate::context::engine_context::EngineContext;
use crate::context::function_context::FunctionContext;
use crate::context::memory_account::Reservation;
use crate::context::memory_budget::UsedUp;
use crate::kind::Kind;
use crate::observer::NoObserver;

fn accounts() -> FunctionAccounts {
    let mut config = EngineConfig::without_compiler();
    // One slot.
    config.shared_processors = Some(SharedProcessors {
        processors: 1,
        threads: 2,
    });
    FunctionAccounts::new(&config)
}

fn version(total_memory: u64, weight: u32, milli: Option<u32>) -> Function {
    let mut function = Function::bare("f".parse().expect("it is a name"));
    function.limits.total_memory = ByteSize(total_memory);
    function.share.weight = weight;
    function.share.processors = milli.map(Processors::from_milli);
    function
}

fn share(accounts: &Accounts) -> &FunctionShare {
    accounts.share.as_ref().expect("functions share processors")
}

fn take(accounts: &Accounts) -> Option<u64> {
    share(accounts).take(None, true, Waker::noop())
}

#[test]
fn instances_of_all_versions_count_against_the_newest_budget() {
    let accounts = accounts();
    let first = accounts.join(Some("u"), &version(100, 100, None));
    assert_eq!(first.memory.take(50), Ok(()));
    let second = accounts.join(Some("u"), &version(60, 100, None));
    for memory in [&first.memory, &second.memory] {
        assert_eq!(memory.budget(), 60);
        assert_eq!(memory.take(11), Err(UsedUp::Function));
    }
    assert_eq!(second.memory.take(10), Ok(()));
    // A larger budget wakes the calls that wait.
    let changed = second.memory.changed();
    let third = accounts.join(Some("u"), &version(70, 100, None));
    assert!(changed.now_or_never().is_some());
    assert_eq!(first.memory.take(10), Ok(()));
    assert_eq!(third.memory.take(1), Err(UsedUp::Function));
}

#[test]
fn a_version_that_goes_leaves_no_settings_behind() {
    let accounts = accounts();
    let join = |budget| accounts.join(Some("u"), &version(budget, 100, None));
    let (first, second, third) = (join(10), join(20), join(30));
    let check = |expected| assert_eq!(first.memory.budget(), expected);
    check(30);
    drop(second);
    check(30);
    drop(third);
    check(10);
    let fourth = join(40);
    check(40);
    drop(first);
    assert_eq!(fourth.memory.budget(), 40);
}

#[test]
fn only_versions_of_one_identity_share_an_account() {
    let accounts = accounts();
    let of = |identity| accounts.join(identity, &version(100, 100, None));
    let all = [Some("u"), Some("warm-up"), None, None].map(of);
    for one in &all {
        assert_eq!(one.memory.take(100), Ok(()));
        assert_eq!(one.memory.take(1), Err(UsedUp::Function));
    }
    let again = of(Some("u"));
    assert_eq!(again.memory.take(1), Err(UsedUp::Function));
}

#[test]
fn an_account_ends_with_its_last_version() {
    let accounts = accounts();
    let join = || accounts.join(Some("u"), &version(100, 100, Some(500)));
    let known = || lock(&accounts.known).len();
    let (first, second) = (join(), join());
    share(&first).polled(Duration::from_hours(1), Duration::ZERO, Instant::now());
    drop(first);
    assert_eq!(known(), 1);
    assert!(share(&second).cap_wait(Instant::now).is_some());
    drop(second);
    assert_eq!(known(), 0);
    let next = join();
    assert_eq!(known(), 1);
    assert_eq!(share(&next).cap_wait(Instant::now), None);
    assert!(next.version.others().is_empty());
}

#[test]
fn the_cap_of_the_newest_version_holds_and_an_edit_is_no_new_burst() {
    let (accounts, now) = (accounts(), Instant::now());
    let join = |milli| accounts.join(Some("u"), &version(100, 100, milli));
    let wait = |one: &Accounts| share(one).cap_wait(|| now).map(|wait| wait.as_secs());
    let first = join(Some(1000));
    share(&first).polled(Duration::from_hours(1), Duration::ZERO, now);
    let one = wait(&first).expect("it is at its cap");
    let second = join(Some(2000));
    let twice = [&first, &second].map(|version| wait(version).expect("it is at its cap"));
    for wait in twice {
        assert!(wait.abs_diff(one / 2) <= 1, "{wait} and {one}");
    }
    let third = join(None);
    assert_eq!([&first, &second, &third].map(wait), [None; 3]);
    assert!(!share(&first).is_limited());
    // A cap that was away for a moment goes on where it was.
    drop(third);
    assert!(wait(&first).is_some_and(|wait| wait.abs_diff(one / 2) <= 1));
}

#[test]
fn virtual_time_goes_on_in_the_next_version_and_counts_by_its_weight() {
    /// Whether the function or another one gets the slot that a third one gives back, after the function used an hour
    /// under the first weight and an hour under the second one, and the other one so much.
    fn first(weights: [u32; 2], other_used: Duration) -> bool {
        let accounts = accounts();
        let join = |identity, weight| accounts.join(Some(identity), &version(100, weight, None));
        let (holder, other) = (join("holder", 100), join("other", 100));
        let old = join("u", weights[0]);
        let hour = Duration::from_hours(1);
        let run = |one: &Accounts, spent| {
            assert_eq!(take(one), None);
            share(one).give_back(spent);
        };
        run(&old, hour);
        let new = join("u", weights[1]);
        run(&old, hour / 2);
        run(&new, hour / 2);
        drop(old);
        run(&other, other_used);
        assert_eq!(take(&holder), None);
        // A function with less is lifted to the one that waits already, and precedes it then, since it was loaded before.
        let (of_new, of_other) = (take(&new), take(&other));
        assert!(of_new.is_some() && of_other.is_some());
        share(&holder).give_back(Duration::ZERO);
        // The one that was called takes its slot.
        let called = share(&new).take(of_new, true, Waker::noop());
        called.is_none()
    }
    let hours = |hours: f64| Duration::from_secs_f64(hours * 3600.0);
    let check = |weights, used, expected| {
        assert_eq!(first(weights, hours(used)), expected, "{weights:?} {used}");
    };
    check([100, 100], 1.9, false);
    check([100, 100], 2.1, true);
    // The second hour of both versions counts by the weight of the new one.
    check([100, 200], 1.4, false);
    check([100, 200], 1.6, true);
    check([200, 100], 1.4, false);
    check([200, 100], 1.6, true);
}

/// A module with one idle instance, which has memory.
struct Module(Mutex<Option<Reservation>>);

impl Sweep for Module {
    fn sweep(&self) -> bool {
        false
    }

    fn drop_idle_instances(&self, _engine: Option<&wasmtime::Engine>) {
        lock(&self.0).take();
    }
}

#[tokio::test]
async fn a_call_gets_the_memory_of_idle_instances_of_other_versions() {
    let config = EngineConfig::without_compiler();
    let engine = EngineContext::start(Vec::new(), &config).expect("a thread");
    let engine = Arc::new(engine);
    let load = |identity| {
        let (spec, observer) = (Arc::new(version(100, 100, None)), Arc::new(NoObserver));
        let (kind, engine) = (Kind::HttpHandler02, Arc::clone(&engine));
        let context = FunctionContext::new(spec, Some(identity), observer, kind, engine);
        let context = context.expect("it has no authorities");
        context.memory.note_initial(60);
        let reserved = context.memory.reserve();
        let module = Arc::new(Module(Mutex::new(reserved)));
        let watched: Weak<Module> = Arc::downgrade(&module);
        context.watch(watched);
        (context, module)
    };
    let is_idle = |module: &Module| lock(&module.0).is_some();
    let (first, old) = load("u");
    let (_other, another) = load("other");
    let (second, new) = load("u");
    assert!(is_idle(&old) && is_idle(&another) && !is_idle(&new));
    let call = Call::preparing(second);
    let admitted = call.admit(|| None::<()>);
    let admitted = timeout(Duration::from_mins(1), admitted).await;
    let Admitted::ToNew(reserved) = admitted.expect("it gets the memory") else {
        panic!("there is no idle instance of this version");
    };
    assert!(!call.took_idle() && !is_idle(&old) && is_idle(&another));
    // Memory of a running instance stays.
    let call = Call::preparing(first);
    let mut waiting = pin!(call.admit(|| None::<()>));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(reserved);
    let admitted = timeout(Duration::from_mins(1), waiting).await;
    assert!(matches!(admitted, Ok(Admitted::ToNew(_))));
    let admitted = call.admit(|| Some(())).await;
    assert!(matches!(admitted, Admitted::ToIdle(())) && call.took_idle());
}
