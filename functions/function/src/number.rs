//! Formats numbers with full precision: the shortest digits that parse to the same number.

/// Appends `value` to a body. It is much faster than the standard library's formatting, in which
/// two of the functions would spend most of their time.
pub fn push_number(body: &mut Vec<u8>, value: f64) {
    let mut buffer = zmij::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    // Sixteen bytes are copied by two instructions. A copy of unknown length is a call, in a
    // component one to the host.
    match (digits.first_chunk::<16>(), digits.last_chunk::<16>()) {
        (Some(first), Some(last)) if digits.len() <= 32 => {
            let rest = body.len() + digits.len() - 16;
            body.extend_from_slice(first);
            body.truncate(rest);
            body.extend_from_slice(last);
        }
        _ => body.extend_from_slice(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_read_back_as_the_number() {
        fn check(value: f64) {
            let mut body = b"before ".to_vec();
            push_number(&mut body, value);
            let text = std::str::from_utf8(&body).expect("digits");
            let digits = text.strip_prefix("before ").expect("what was there stays");
            assert_eq!(digits.parse(), Ok(value), "{text}");
        }
        for value in [
            0.0,
            -1.5,
            0.1,
            1.0 / 3.0,
            -1.0 / 3.0,
            2.0_f64.sqrt() * 1e-7,
            1e300 / 3.0,
        ] {
            check(value);
        }
        for value in [f64::MAX, f64::MIN_POSITIVE, -5e-324, 12_345_678.901_234_567] {
            check(value);
        }
    }
}
