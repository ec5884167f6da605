//! Tests of the decision over steps, swings, gaps, restarts and clocks that differ.

use sampan_crd::Placement::{Pod, Pooled};

use super::*;

/// 500m and 100m, over 1 min, and 5 min of quiet.
fn rule() -> ValidAuto {
    ValidAuto::default()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A function that is measured at an interval.
struct Run {
    state: AutoState,
    now: u64,
    every: u64,
    /// The moves, with their seconds.
    moves: Vec<(u64, Placement)>,
}

impl Run {
    fn new(place: Placement, every: u64) -> Self {
        Self {
            state: AutoState::new(place, Duration::ZERO),
            now: 0,
            every,
            moves: Vec::new(),
        }
    }

    /// Uses these thousandths of a processor for a time. A decision is carried out at once.
    fn load(&mut self, milli: u32, time: u64) -> &mut Self {
        for _ in 0..time / self.every {
            let from = seconds(self.now);
            self.now += self.every;
            let measure = Measure {
                from,
                to: seconds(self.now),
                processors: Processors::from_milli(milli).as_f64(),
            };
            if let Some(decision) = self.state.add(measure, &rule()) {
                assert_eq!(decision.to, self.state.wanted());
                self.moves.push((self.now, decision.to));
                self.state.set_place(decision.to, seconds(self.now));
            }
        }
        self
    }

    /// Measures nothing for a time.
    fn gap(&mut self, time: u64) -> &mut Self {
        self.now += time;
        self
    }

    fn restart(&mut self) -> &mut Self {
        self.state = AutoState::new(self.state.place(), seconds(self.now));
        self
    }

    fn moved(&self, expected: &[(u64, Placement)]) {
        assert_eq!(self.moves, expected);
    }
}

#[test]
fn a_load_above_the_threshold_moves_out_once_its_average_is() {
    Run::new(Pooled, 10).load(499, 3_600).moved(&[]);
    Run::new(Pooled, 10).load(500, 3_600).moved(&[]);
    Run::new(Pooled, 10).load(501, 3_600).moved(&[(60, Pod)]);
    // Of 60 s, 40 s have 800m: more than 500m on average.
    let mut run = Run::new(Pooled, 10);
    run.load(0, 600).load(800, 300).moved(&[(640, Pod)]);
    // A short peak is none.
    let mut run = Run::new(Pooled, 10);
    run.load(0, 600).load(2_000, 10).load(0, 600).moved(&[]);
}

#[test]
fn a_quiet_function_moves_back_after_all_of_the_time() {
    Run::new(Pod, 15).load(100, 7_200).moved(&[]);
    Run::new(Pod, 15).load(99, 7_200).moved(&[(330, Pooled)]);
    // One busy minute begins the time anew.
    let mut run = Run::new(Pod, 15);
    run.load(0, 300).load(300, 60).load(0, 300).moved(&[]);
}

#[test]
fn a_load_that_swings_around_a_threshold_does_not_flap() {
    let mut run = Run::new(Pooled, 10);
    for _ in 0..500 {
        run.load(450, 30).load(560, 30);
    }
    // It moves out, and never comes back while it is above the other threshold.
    run.moved(&[(60, Pod)]);
    let mut run = Run::new(Pod, 15);
    for _ in 0..500 {
        run.load(0, 240).load(450, 60);
    }
    run.moved(&[]);
}

#[test]
fn a_place_is_kept_for_a_while_whatever_the_load_is() {
    let mut random = fastrand::Rng::with_seed(7);
    for case in 0..60 {
        let place = if random.bool() { Pod } else { Pooled };
        let mut run = Run::new(place, random.u64(1..=40));
        for _ in 0..200 {
            match random.u32(0..20) {
                0 => run.gap(random.u64(0..600)),
                1 => run.restart(),
                _ => run.load(random.u32(0..1_500), random.u64(10..400)),
            };
        }
        let mut last = (0, place);
        for (at, to) in run.moves {
            assert_ne!(to, last.1, "case {case}");
            let least = if to == Pod {
                rule().window
            } else {
                rule().quiet
            };
            assert!(seconds(at - last.0) >= least, "case {case}: {last:?} {at}");
            last = (at, to);
        }
    }
}

#[test]
fn a_restart_moves_nothing_until_all_is_measured_again() {
    let mut run = Run::new(Pooled, 10);
    run.load(800, 30).restart().load(800, 50).moved(&[]);
    run.load(800, 10).moved(&[(90, Pod)]);
    let mut run = Run::new(Pod, 15);
    run.load(0, 270).restart().load(0, 285).moved(&[]);
}

#[test]
fn a_gap_is_not_taken_for_quiet() {
    let mut run = Run::new(Pod, 15);
    for _ in 0..100 {
        run.load(0, 240).gap(75);
    }
    run.moved(&[]);
    // A short one is bridged.
    let mut run = Run::new(Pod, 15);
    run.load(0, 150).gap(30).load(0, 300);
    run.moved(&[(330, Pooled)]);
    // With no measure at all there is no decision.
    Run::new(Pod, 15).gap(7_200).moved(&[]);
}

#[test]
fn a_window_with_few_measures_decides_nothing() {
    // 20 s of each minute are measured.
    let mut run = Run::new(Pooled, 20);
    for _ in 0..100 {
        run.load(800, 20).gap(40);
    }
    run.moved(&[]);
}

#[test]
fn measures_that_overlap_count_once_and_those_of_the_past_not_at_all() {
    let mut state = AutoState::new(Pooled, seconds(100));
    let mut add = |from: u64, to: u64, processors: f64| {
        let measure = Measure {
            from: seconds(from),
            to: seconds(to),
            processors,
        };
        let decision = state.add(measure, &rule());
        (
            decision.map(|it| (it.to, it.load.milli())),
            state.measures.len(),
        )
    };
    // From before the place was known.
    assert_eq!(add(0, 90, 9.0), (None, 0));
    assert_eq!(add(0, 110, 0.4), (None, 1));
    // A clock that was set back.
    assert_eq!(add(50, 105, 9.0), (None, 1));
    assert_eq!(add(110, 110, 9.0), (None, 1));
    assert_eq!(add(120, 115, 9.0), (None, 1));
    // What is no load.
    assert_eq!(add(110, 120, -1.0), (None, 1));
    assert_eq!(add(110, 120, f64::NAN), (None, 1));
    assert_eq!(add(110, 120, f64::INFINITY), (None, 1));
    // 10 s of 400m and 50 s of 600m.
    assert_eq!(add(100, 160, 0.6), (Some((Pod, 567)), 2));
}

#[test]
fn a_decision_holds_while_it_is_carried_out_and_is_taken_back_like_another_one() {
    let mut state = AutoState::new(Pooled, Duration::ZERO);
    let mut now = 0;
    let mut load = |milli: u32, time: u64| {
        let mut decisions = Vec::new();
        for _ in 0..time / 10 {
            let from = seconds(now);
            now += 10;
            let measure = Measure {
                from,
                to: seconds(now),
                processors: Processors::from_milli(milli).as_f64(),
            };
            // The pods never start: the pool goes on serving.
            decisions.extend(state.add(measure, &rule()).map(|it| it.to));
            state.set_place(Pooled, seconds(now));
        }
        decisions
    };
    assert_eq!(load(800, 600), [Pod]);
    assert_eq!(load(0, 330), Vec::new());
    assert_eq!(load(0, 60), [Pooled]);
    assert_eq!(load(800, 60), [Pod]);
}

#[test]
fn a_new_place_forgets_what_was_measured_at_the_old_one() {
    let mut state = AutoState::new(Pooled, Duration::ZERO);
    let measure = Measure {
        from: Duration::ZERO,
        to: seconds(60),
        processors: 0.8,
    };
    assert_eq!(state.add(measure, &rule()).map(|it| it.to), Some(Pod));
    state.set_place(Pooled, seconds(61));
    assert_eq!((state.wanted(), state.measures.len()), (Pod, 1));
    state.set_place(Pod, seconds(62));
    assert_eq!(state, AutoState::new(Pod, seconds(62)));
}
