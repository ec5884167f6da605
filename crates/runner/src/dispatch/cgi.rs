//! Context of a request for a command that answers over CGI: what the request's head does not have.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use sampan_engine::CgiContext;

use crate::routing::path_offset::PathOffset;
use crate::server::Malformed;

/// Makes the context of a request with this path, of which the function's own begins at `offset`.
pub(crate) fn context(
    path: &str,
    offset: PathOffset,
    remote: IpAddr,
) -> Result<Box<CgiContext>, Malformed> {
    let (script_name, own) = path
        .split_at_checked(offset.0)
        .ok_or(Malformed::BadTarget)?;
    let own = if own.is_empty() { "/" } else { own };
    let path_info = percent_decode_str(own).decode_utf8();
    let path_info = path_info.map_err(|_| Malformed::BadEncoding)?;
    // The end of a variable, for a command in C.
    if path_info.contains('\0') {
        return Err(Malformed::BadEncoding);
    }
    Ok(Box::new(CgiContext {
        remote,
        script_name: script_name.into(),
        path_info: path_info.into_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{Malformed, PathOffset, context};

    #[test]
    fn the_path_is_split_and_decoded() {
        fn check(path: &str, offset: usize, expected: Result<(&str, &str), Malformed>) {
            let remote = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let made = context(path, PathOffset(offset), remote);
            let made = made.map(|made| (made.script_name.to_string(), made.path_info));
            let expected = expected.map(|(name, info)| (name.to_owned(), info.to_owned()));
            assert_eq!(made, expected, "{path}");
        }
        check("/", 0, Ok(("", "/")));
        check("/a%20b", 0, Ok(("", "/a b")));
        check("/function/x/a%20b", 11, Ok(("/function/x", "/a b")));
        check("/function/x", 11, Ok(("/function/x", "/")));
        check("/a%2Fb/%C3%BC", 0, Ok(("", "/a/b/ü")));
        check("/100%", 0, Ok(("", "/100%")));
        check("/a%00b", 0, Err(Malformed::BadEncoding));
        check("/%ff", 0, Err(Malformed::BadEncoding));
        check("/x", 3, Err(Malformed::BadTarget));
    }
}
