//! Starts the real services behind two of the functions for one test.

use std::net::SocketAddr;

use sampan_backends::{Backends, Options};
use serde_json::Value;

use crate::answer::{Answer, get};
use crate::pending::Pending;

/// Running services. They end when this is dropped.
#[derive(Debug)]
pub struct Services(Backends);

impl Services {
    /// Starts the text of Hamlet, and PostgreSQL with its REST front.
    pub fn start() -> Pending<'static, Services> {
        start(Options::anywhere())
    }

    /// Starts only PostgreSQL with its REST front.
    pub fn start_users() -> Pending<'static, Services> {
        start(Options {
            text: None,
            ..Options::anywhere()
        })
    }

    /// The address of the text server.
    pub fn text_address(&self) -> SocketAddr {
        self.0.text_address().expect("the text is served")
    }

    /// The address of the REST front.
    pub fn users_address(&self) -> SocketAddr {
        self.0.users_address().expect("the users are served")
    }

    /// The variables by which native programs find the services.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let text = self.0.text_url().expect("the text is served");
        let users = self.0.users_url().expect("the users are served");
        [("TEXT_URL", text), ("USERS_URL", users)]
    }

    /// Gets the text.
    pub async fn text(&self) -> Answer {
        let address = self.text_address();
        let url = self.0.text_url().expect("the text is served");
        let path = url.split(&address.to_string()).nth(1);
        get(address, &address.to_string(), path.unwrap_or_default()).await
    }

    /// All rows of the table of users.
    pub async fn rows(&self) -> Vec<Value> {
        let address = self.users_address();
        let path = "/prest/public/users";
        let answer = get(address, &address.to_string(), path).await;
        serde_json::from_slice(&answer.body).expect("the rows are JSON")
    }

    /// Stops the database behind the REST front, which keeps running.
    pub fn stop_database(&self) {
        self.0.cluster().expect("the users are served").stop();
    }

    /// Stops the services in order.
    pub fn stop(self) -> Pending<'static, ()> {
        Box::pin(self.0.stop())
    }
}

fn start(options: Options) -> Pending<'static, Services> {
    Box::pin(async {
        let backends = Backends::start(options).await;
        Services(backends.expect("PostgreSQL and the text of Hamlet are available"))
    })
}
