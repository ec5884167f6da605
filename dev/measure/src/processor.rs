//! The name of this machine's processor.

/// The processor's model name in `/proc/cpuinfo`, which some architectures lack.
pub fn processor(info: &str) -> Option<&str> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([':', '\t', ' ']).trim())
}
