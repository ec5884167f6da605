//! Offset of a function's own path in the path of a request.

use http::Uri;
use http::uri::PathAndQuery;

/// The number of bytes of the path that lead to the function. 0 if the whole path is the function's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathOffset(pub(crate) usize);

impl PathOffset {
    /// The target for the function: without the prefix that named the function.
    pub(crate) fn own_uri(self, uri: &Uri) -> Option<Uri> {
        let path_and_query = uri.path_and_query()?.as_str().get(self.0..)?;
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(if path_and_query.starts_with('/') {
            PathAndQuery::try_from(path_and_query).ok()?
        } else {
            PathAndQuery::try_from(format!("/{path_and_query}")).ok()?
        });
        Uri::from_parts(parts).ok()
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::PathOffset;

    #[test]
    fn a_function_sees_its_own_path() {
        fn check(target: &str, expected: &str) {
            let uri: Uri = target.parse().unwrap();
            let offset = PathOffset("/function/a".len());
            let own = offset.own_uri(&uri).unwrap();
            assert_eq!(own.to_string(), expected, "{target}");
        }
        check("/function/a", "/");
        check("/function/a/", "/");
        check("/function/a?x=1", "/?x=1");
        check("/function/a/?x=1", "/?x=1");
        check("/function/a/b/c?x=%2F", "/b/c?x=%2F");
        check("/function/a//b", "//b");
        check("/function/a/../b", "/../b");
        check("http://host:80/function/a/b?c", "http://host:80/b?c");
    }
}
