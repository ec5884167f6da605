//! Parses the query of a read: the count of the rows (`_count=*`), or a page of them (`_page` from
//! 1, `_page_size`).
//!
//! Other parameters are errors, so that no unsupported filter is silently ignored.

use thiserror::Error;

/// The default count of rows of a page.
const DEFAULT_SIZE: i64 = 100;

/// The most rows of a page.
const MAX_ROWS: i64 = 1000;

/// The last page that can be requested; it keeps the offset far from an overflow.
const LAST_PAGE: i64 = 1_000_000_000;

/// What to read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The number of rows.
    Count,
    /// Some of the rows, the oldest first.
    Page(Page),
}

/// A range of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: i64,
    pub(super) offset: i64,
}

/// Why a query cannot be answered.
#[derive(Debug, Error)]
pub(super) enum SelectionError {
    #[error("the query knows `_count=*`, `_page` and `_page_size`, not `{0}`")]
    Unknown(String),
    #[error("`_count` must be `*`, not `{0}`")]
    Count(String),
    #[error("`{name}` must be a number from 1 to {most}, not `{value}`")]
    Number {
        name: &'static str,
        most: i64,
        value: String,
    },
}

impl Selection {
    pub(super) fn parse(query: &str) -> Result<Selection, SelectionError> {
        let (mut count, mut number, mut size) = (false, 1, DEFAULT_SIZE);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_count" if value == "*" || value.eq_ignore_ascii_case("%2A") => count = true,
                "_count" => return Err(SelectionError::Count(value.to_owned())),
                "_page" => number = within("_page", value, LAST_PAGE)?,
                "_page_size" => size = within("_page_size", value, MAX_ROWS)?,
                other => return Err(SelectionError::Unknown(other.to_owned())),
            }
        }
        if count {
            return Ok(Selection::Count);
        }
        Ok(Selection::Page(Page {
            limit: size,
            offset: (number - 1) * size,
        }))
    }
}

fn within(name: &'static str, value: &str, most: i64) -> Result<i64, SelectionError> {
    let number = value
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| SelectionError::Number {
        name,
        most,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_selects_rows_or_is_refused() {
        fn check(query: &str, expected: Result<Selection, &str>) {
            let selection = Selection::parse(query).map_err(|error| error.to_string());
            match (selection, expected) {
                (Ok(selection), Ok(expected)) => assert_eq!(selection, expected, "{query}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{query}: {error}"),
                (selection, expected) => panic!("{query}: {selection:?}, not {expected:?}"),
            }
        }
        let page = |limit, offset| Ok(Selection::Page(Page { limit, offset }));
        check("", page(100, 0));
        check("_page_size=1", page(1, 0));
        check("_page=3&_page_size=1000", page(1000, 2000));
        check(
            "_page=1000000000&_page_size=1000",
            page(1000, 999_999_999_000),
        );
        check("_count=*", Ok(Selection::Count));
        check("_count=%2a&_page=2", Ok(Selection::Count));
        check("_page_size=0", Err("from 1 to 1000"));
        check("_page_size=1001", Err("from 1 to 1000"));
        check("_page=0", Err("`_page` must be"));
        check("_page=1000000001", Err("`_page` must be"));
        check("_page=two", Err("not `two`"));
        check("_page", Err("not ``"));
        check("_count=name", Err("must be `*`"));
        check("name=%27;DROP", Err("not `name`"));
    }
}
