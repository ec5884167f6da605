//! A user as received and as stored: exactly nine texts, all of them required.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A user as a client sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields are the columns of the published table"
)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) username: String,
    pub(super) ip_address: String,
    pub(super) user_agent: String,
    pub(super) country: String,
    pub(super) city: String,
    pub(super) street_name: String,
    pub(super) zip_code: String,
    pub(super) building_number: String,
}

/// A user with its number in the table.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) id: i64,
    #[serde(flatten)]
    pub(super) user: User,
}

/// Why bytes are not a user.
#[derive(Debug, Error)]
pub(super) enum UserError {
    #[error("the body must be a JSON object of the nine texts of a user")]
    NotObject,
    #[error("the body must be a JSON object of the nine texts of a user: {0}")]
    Json(#[source] serde_json::Error),
    #[error("the text `{0}` must not contain the character NUL, which PostgreSQL cannot store")]
    Nul(&'static str),
}

impl User {
    /// The columns, in the order of [`User::values`].
    pub(super) const COLUMNS: [&str; 9] = [
        "name",
        "username",
        "ip_address",
        "user_agent",
        "country",
        "city",
        "street_name",
        "zip_code",
        "building_number",
    ];

    pub(super) fn parse(bytes: &[u8]) -> Result<User, UserError> {
        // The derived deserializer would accept an array of nine texts as well.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(UserError::NotObject);
        }
        let user: User = serde_json::from_slice(bytes).map_err(UserError::Json)?;
        let columns = User::COLUMNS.into_iter().zip(user.values());
        for (column, value) in columns {
            if value.contains('\0') {
                return Err(UserError::Nul(column));
            }
        }
        Ok(user)
    }

    pub(super) fn values(&self) -> [&str; 9] {
        [
            &self.name,
            &self.username,
            &self.ip_address,
            &self.user_agent,
            &self.country,
            &self.city,
            &self.street_name,
            &self.zip_code,
            &self.building_number,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"name":"A","username":"B","ip_address":"C","user_agent":"D","country":"E",
        "city":"F","street_name":"G","zip_code":"H","building_number":"I"}"#;

    #[test]
    fn the_values_stand_in_the_order_of_the_columns() {
        let user = User::parse(WHOLE.as_bytes()).expect("a whole user");
        assert_eq!(user.values().concat(), "ABCDEFGHI");
        let object = serde_json::to_value(&user).expect("a user is JSON");
        for (column, value) in User::COLUMNS.into_iter().zip(user.values()) {
            assert_eq!(object[column], value);
        }
    }

    #[test]
    fn a_user_has_all_nine_texts_and_nothing_else() {
        fn check(body: &str, expected: &str) {
            let error = User::parse(body.as_bytes())
                .expect_err("no user")
                .to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
        let without = WHOLE.replace(r#""city":"F","#, "");
        check(&without, "missing field `city`");
        check(&WHOLE.replace("\"F\"", "7"), "expected a string");
        check(&WHOLE.replace("\"F\"", "null"), "expected a string");
        check(&WHOLE.replace('{', r#"{"id":1,"#), "unknown field `id`");
        check(
            &WHOLE.replace('{', r#"{"city":"X","#),
            "duplicate field `city`",
        );
        check(
            &WHOLE.replace("\"F\"", r#""\u0000""#),
            "`city` must not contain",
        );
        check(&format!("{WHOLE}{WHOLE}"), "trailing characters");
        check(
            r#"["A","B","C","D","E","F","G","H","I"]"#,
            "must be a JSON object",
        );
        check("", "must be a JSON object");
        check("{", "EOF");
    }
}
