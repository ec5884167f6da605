//! The length of an answer's body, as the answer's head declares it.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Frame;

use crate::error::CallError;

/// What the head of an answer says about the bytes that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// The answer has no content (RFC 9110, section 6.4.1): the head is all of it.
    Bodiless,
    /// As many bytes as `content-length` says, less those that came.
    Declared(u64),
    /// The body ends where the guest ends it.
    Open,
}

impl Length {
    /// Reads the length from the parts of an answer that decide on it.
    ///
    /// # Errors
    ///
    /// [`CallError::Body`], when `content-length` is not one number. Such a head cannot be sent.
    pub(super) fn of(
        to_head: bool,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Self, CallError> {
        let mut values = headers.get_all(CONTENT_LENGTH).iter();
        let declared = match (values.next(), values.next()) {
            (None, _) => Self::Open,
            (Some(value), None) => Self::Declared(number(value)?),
            (Some(_), Some(_)) => return Err(not_one_number()),
        };
        let is_bodiless =
            to_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(if is_bodiless {
            Self::Bodiless
        } else {
            declared
        })
    }

    /// Counts a frame.
    ///
    /// # Errors
    ///
    /// [`CallError::Body`], when it does not fit.
    pub(super) fn receive(&mut self, frame: &Frame<Bytes>) -> Result<(), CallError> {
        let (Self::Declared(left), Some(data)) = (&mut *self, frame.data_ref()) else {
            return Ok(());
        };
        *left = left
            .checked_sub(data.len() as u64)
            .ok_or_else(|| CallError::Body("it is longer than its content-length".to_owned()))?;
        Ok(())
    }

    /// Checks that a body may end here.
    ///
    /// # Errors
    ///
    /// [`CallError::Body`], when bytes are missing.
    pub(super) fn end(self) -> Result<(), CallError> {
        match self {
            Self::Declared(left @ 1..) => Err(CallError::Body(format!(
                "it is {left} bytes shorter than its content-length"
            ))),
            Self::Bodiless | Self::Declared(0) | Self::Open => Ok(()),
        }
    }

    /// Whether the client needs no more bytes to have the whole answer.
    pub(super) fn is_reached(self) -> bool {
        matches!(self, Self::Bodiless | Self::Declared(0))
    }
}

fn number(value: &HeaderValue) -> Result<u64, CallError> {
    let digits = value
        .to_str()
        .ok()
        // A sign is not allowed, but would be parsed.
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|text| text.parse().ok())
        .ok_or_else(not_one_number)
}

fn not_one_number() -> CallError {
    CallError::Body("its content-length is not one number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_decides_on_the_length() {
        fn check(to_head: bool, status: u16, lengths: &[&str], expected: Option<Length>) {
            let status = StatusCode::from_u16(status).expect("a status");
            let mut headers = HeaderMap::new();
            for length in lengths {
                headers.append(CONTENT_LENGTH, length.parse().expect("a value"));
            }
            let length = Length::of(to_head, status, &headers).ok();
            assert_eq!(length, expected, "{to_head} {status} {lengths:?}");
        }
        let declared = |bytes| Some(Length::Declared(bytes));
        check(false, 200, &[], Some(Length::Open));
        check(false, 200, &["0"], declared(0));
        check(false, 404, &["12"], declared(12));
        check(false, 204, &[], Some(Length::Bodiless));
        check(false, 304, &["12"], Some(Length::Bodiless));
        check(true, 200, &["12"], Some(Length::Bodiless));
        check(true, 200, &[], Some(Length::Bodiless));
        for wrong in ["", "+1", "-1", "1 2", "0x1", "99999999999999999999"] {
            check(false, 200, &[wrong], None);
        }
        check(false, 200, &["1", "1"], None);
        check(true, 200, &["five"], None);
        check(true, 200, &["1", "2"], None);
        check(false, 304, &["five"], None);
    }

    #[test]
    fn a_body_has_exactly_its_declared_length() {
        fn check(length: Length, frames: &[&'static str], fits: bool) {
            let mut left = length;
            let counted = frames.iter().try_for_each(|text| {
                let frame = Frame::data(Bytes::from_static(text.as_bytes()));
                left.receive(&frame)
            });
            let ended = counted.and_then(|()| left.end());
            assert_eq!(ended.is_ok(), fits, "{length:?} {frames:?}");
        }
        check(Length::Declared(0), &[], true);
        check(Length::Declared(3), &["abc"], true);
        check(Length::Declared(3), &["a", "", "bc"], true);
        check(Length::Declared(3), &["ab"], false);
        check(Length::Declared(3), &["ab", "cd"], false);
        check(Length::Declared(3), &[], false);
        check(Length::Open, &["ab", "cd"], true);
        check(Length::Bodiless, &["ab"], true);
        let mut left = Length::Declared(3);
        let trailers = Frame::trailers(HeaderMap::new());
        left.receive(&trailers).expect("trailers have no length");
        assert_eq!(left, Length::Declared(3));
    }
}
