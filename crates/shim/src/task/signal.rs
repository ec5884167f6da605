//! Numbers of signals, as containerd sends them: Linux's, with those for real time.

use std::ops::RangeInclusive;

use rustix::process::Signal;

/// `SIGRTMIN` to `SIGRTMAX`. The C library keeps 32 and 33 for itself.
const REAL_TIME: RangeInclusive<i32> = 34..=64;

/// The signal of this number, unless it is none that a process may be sent.
#[expect(
    unsafe_code,
    reason = "the library has no checked form of signals without names"
)]
pub(crate) fn parse(number: u32) -> Option<Signal> {
    let number = i32::try_from(number).ok()?;
    if REAL_TIME.contains(&number) {
        // SAFETY: the kernel has this signal, and the C library does not use it.
        return Some(unsafe { Signal::from_raw_unchecked(number) });
    }
    Signal::from_named_raw(number)
}

/// The signal that stops a function when it is sent this one. A function's process handles the stop signals that have
/// names; those for real time have the same meaning there as SIGTERM.
pub(crate) fn for_function(signal: Signal) -> Signal {
    if REAL_TIME.contains(&signal.as_raw()) {
        Signal::TERM
    } else {
        signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_those_that_a_process_may_be_sent() {
        let check = |number: u32, expected: Option<i32>, function: Option<i32>| {
            let signal = parse(number);
            assert_eq!(signal.map(Signal::as_raw), expected, "{number}");
            let signal = signal.map(for_function);
            assert_eq!(signal.map(Signal::as_raw), function, "{number}");
        };
        for number in 1..=31 {
            check(
                number,
                i32::try_from(number).ok(),
                i32::try_from(number).ok(),
            );
        }
        for number in 34..=64 {
            check(number, i32::try_from(number).ok(), Some(15));
        }
        for number in [0, 32, 33, 65, u32::MAX] {
            check(number, None, None);
        }
    }
}
