//! The function `user-manager`: adds fake people to a service, with one request each, one after
//! another.

use function::{
    Error, Http, OutboundRequest, Request, Response, Url, generator, url_from_environment,
};

use crate::person::Person;

/// The variable with the URL of the service.
const USERS_URL: &str = "USERS_URL";

/// The path of an insertion in pREST: database, schema and table.
const INSERT: &str = "/prest/public/users";

/// The most people that a request adds.
const MAX_ENTRIES: u32 = 1_000;

/// The longest answer to an insertion, in bytes.
const MAX_ANSWER_LENGTH: usize = 64 * 1024;

/// Answers a request.
pub(crate) async fn handle(request: &Request<'_>, http: &impl Http) -> Result<Response, Error> {
    add(request, url_from_environment(USERS_URL), http).await
}

async fn add(
    request: &Request<'_>,
    url: Result<Url, Error>,
    http: &impl Http,
) -> Result<Response, Error> {
    let query = request.query();
    let entries = query.whole("entries", 1..=MAX_ENTRIES)?;
    let mut random = generator(query)?;
    let url = url?.join(INSERT);
    for _ in 0..entries {
        insert(&Person::fake(&mut random), &url, http).await?;
    }
    Ok(Response::text(format!("Iterated {entries} times")))
}

async fn insert(person: &Person, url: &Url, http: &impl Http) -> Result<(), Error> {
    let json = Some(person.to_json());
    let request = OutboundRequest {
        url,
        json: json.as_deref(),
        longest: MAX_ANSWER_LENGTH,
    };
    let answer = http.send(request).await.map_err(Error::Upstream)?;
    if answer.is_success() {
        Ok(())
    } else {
        Err(Error::UpstreamStatus {
            status: answer.status,
        })
    }
}

#[cfg(test)]
mod tests {
    use function::Function;
    use function::testing::{Upstream, body, check_refused, get};

    use super::*;

    /// The function with a fixed URL in place of the environment's.
    struct Configured;

    impl Function for Configured {
        async fn handle(&self, request: &Request<'_>, http: &impl Http) -> Result<Response, Error> {
            add(
                request,
                Ok(Url::parse("http://users:3000/").expect("a URL")),
                http,
            )
            .await
        }
    }

    const FIELDS: [&str; 9] = [
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

    #[test]
    fn every_entry_is_one_person_with_all_fields() {
        fn check(entries: usize) {
            let upstream = Upstream::answering(201, "{}");
            let body = body(&Configured, &format!("/?entries={entries}"), &upstream);
            assert_eq!(body, format!("Iterated {entries} times"));
            let received = upstream.received();
            assert_eq!(received.len(), entries);
            for (url, json) in received {
                assert_eq!(url, "http://users:3000/prest/public/users");
                let person: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
                let person = person.as_object().expect("an object");
                assert_eq!(person.len(), FIELDS.len());
                for field in FIELDS {
                    assert!(
                        person[field].as_str().is_some_and(|text| !text.is_empty()),
                        "{field}"
                    );
                }
            }
        }
        check(1);
        check(20);
    }

    #[test]
    fn a_failed_insert_is_reported_and_is_the_last() {
        fn check(status: u16) {
            let upstream = Upstream::answering(status, "sorry");
            let response = get(&Configured, "/?entries=3", &upstream);
            assert_eq!(response.status(), 502);
            let line = String::from_utf8_lossy(response.body()).into_owned();
            assert_eq!(line, format!("upstream answered {status}\n"));
            assert_eq!(upstream.received().len(), 1);
        }
        check(400);
        check(401);
        check(503);
    }

    #[test]
    fn parameters_are_checked() {
        for target in ["/", "/?entries=0", "/?entries=1001", "/?entries=x"] {
            check_refused(&Configured, target, "entries");
        }
        check_refused(&Configured, "/?entries=1&seed=x", "seed");
    }

    #[test]
    fn a_missing_variable_is_reported() {
        struct Unconfigured;

        impl Function for Unconfigured {
            async fn handle(
                &self,
                request: &Request<'_>,
                http: &impl Http,
            ) -> Result<Response, Error> {
                add(
                    request,
                    Err(Error::NoVariable {
                        variable: USERS_URL,
                    }),
                    http,
                )
                .await
            }
        }

        let response = get(&Unconfigured, "/?entries=1", &Upstream::answering(201, ""));
        assert_eq!(response.status(), 500);
        assert_eq!(
            response.body(),
            b"the environment variable USERS_URL is not set\n"
        );
    }
}
