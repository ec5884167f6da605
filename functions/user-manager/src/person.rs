//! A fake person, as a row of the service.

use fake::Fake as _;
use fake::faker::address::raw::{BuildingNumber, CityName, CountryName, StreetName, ZipCode};
use fake::faker::internet::raw::{IPv4, UserAgent, Username};
use fake::faker::name::raw::Name;
use fake::locales::EN;
use function::Generator;
use serde::Serialize;

/// One row of the table `users`.
#[derive(Debug, Serialize)]
pub(crate) struct Person {
    name: String,
    username: String,
    ip_address: String,
    user_agent: &'static str,
    country: &'static str,
    city: String,
    street_name: String,
    zip_code: String,
    building_number: String,
}

impl Person {
    /// Generates a person.
    pub(crate) fn fake(random: &mut Generator) -> Person {
        Person {
            name: Name(EN).fake_with_rng(random),
            username: Username(EN).fake_with_rng(random),
            ip_address: IPv4(EN).fake_with_rng(random),
            user_agent: UserAgent(EN).fake_with_rng(random),
            country: CountryName(EN).fake_with_rng(random),
            city: CityName(EN).fake_with_rng(random),
            street_name: StreetName(EN).fake_with_rng(random),
            zip_code: ZipCode(EN).fake_with_rng(random),
            building_number: BuildingNumber(EN).fake_with_rng(random),
        }
    }

    /// The person as a JSON object of texts.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an object of texts is always JSON")
    }
}
