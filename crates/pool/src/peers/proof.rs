//! Proofs that a request or an answer comes from a pod of the same pool.
//!
//! Each is a keyed BLAKE3 hash over its parts. The key is derived from the pool's key, for this use only. A request's
//! proof holds for one module at one address, so a stranger who reads it gets nothing but what was sent in answer to it.
//! An answer's proof holds for one request.

use std::net::SocketAddr;

use sampan_engine::{CacheKey, ModuleName};

/// Separates this use of the pool's key from any other.
const CONTEXT: &str = "sampan 2026-12 requests between the pods of a pool";

/// The length of a [`Nonce`], in bytes.
const NONCE_LENGTH: usize = 16;

/// Makes proofs.
#[derive(Clone)]
pub(super) struct Prover([u8; CacheKey::LENGTH]);

/// A proof, which compares in constant time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof(blake3::Hash);

/// A random number that no other request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonce([u8; NONCE_LENGTH]);

/// A text that is no proof, or no nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The request for a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModuleRequest {
    pub(super) name: ModuleName,
    pub(super) from: SocketAddr,
    pub(super) nonce: Nonce,
}

impl Prover {
    pub(super) fn new(key: &CacheKey) -> Self {
        Self(key.derive(CONTEXT))
    }

    /// The proof of a request to an address.
    pub(super) fn of_request(&self, request: &ModuleRequest, to: SocketAddr) -> Proof {
        let ModuleRequest { name, from, nonce } = request;
        self.proof(
            "request",
            &[
                name.as_str(),
                &from.to_string(),
                &to.to_string(),
                &nonce.to_text(),
            ],
        )
    }

    /// The proof of an answer with a file of so many bytes.
    pub(super) fn of_answer(&self, request: &ModuleRequest, length: u64) -> Proof {
        let ModuleRequest { name, nonce, .. } = request;
        self.proof(
            "answer",
            &[name.as_str(), &nonce.to_text(), &length.to_string()],
        )
    }

    /// No part contains a NUL character, which ends each of them.
    fn proof(&self, kind: &str, parts: &[&str]) -> Proof {
        let mut hash = blake3::Hasher::new_keyed(&self.0);
        for part in [kind].iter().chain(parts) {
            hash.update(part.as_bytes());
            hash.update(b"\0");
        }
        Proof(hash.finalize())
    }
}

impl Proof {
    pub(super) fn to_text(self) -> String {
        self.0.to_hex().to_string()
    }

    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        blake3::Hash::from_hex(text)
            .map(Self)
            .map_err(|_| Malformed)
    }
}

impl Nonce {
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; NONCE_LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn to_text(self) -> String {
        hex::encode(self.0)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut bytes = [0; NONCE_LENGTH];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| Malformed)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prover(byte: u8) -> Prover {
        Prover::new(&CacheKey::new(&[byte; CacheKey::LENGTH]).expect("it is a key"))
    }

    fn request(module: char, from: &str, nonce: u8) -> ModuleRequest {
        let name: String = std::iter::repeat_n(module, 64).collect();
        ModuleRequest {
            name: name.parse().expect("it is a name"),
            from: from.parse().expect("it is an address"),
            nonce: Nonce([nonce; NONCE_LENGTH]),
        }
    }

    #[test]
    fn a_proof_holds_for_one_key_and_for_the_same_parts() {
        let (a, b) = ("10.0.0.1:9091", "10.0.0.2:9091");
        let to = |text: &str| text.parse().expect("it is an address");
        let right = prover(1).of_request(&request('a', a, 1), to(b));
        let check = |proof: Proof, expected: bool| assert_eq!(proof == right, expected);
        check(prover(1).of_request(&request('a', a, 1), to(b)), true);
        check(prover(2).of_request(&request('a', a, 1), to(b)), false);
        check(prover(1).of_request(&request('b', a, 1), to(b)), false);
        check(prover(1).of_request(&request('a', b, 1), to(b)), false);
        check(prover(1).of_request(&request('a', a, 2), to(b)), false);
        check(prover(1).of_request(&request('a', a, 1), to(a)), false);
        let answer = |nonce, length| prover(1).of_answer(&request('a', a, nonce), length);
        assert_eq!(answer(1, 10), answer(1, 10));
        assert_ne!(answer(1, 10), answer(2, 10));
        assert_ne!(answer(1, 10), answer(1, 11));
        assert_ne!(answer(1, 10), right);
    }

    #[test]
    fn texts_are_parsed() {
        let proof = prover(1).of_answer(&request('a', "10.0.0.1:1", 1), 1);
        assert_eq!(Proof::parse(&proof.to_text()), Ok(proof));
        assert_eq!(Proof::parse("no"), Err(Malformed));
        let nonce = Nonce::random().expect("there are random numbers");
        assert_eq!(Nonce::parse(&nonce.to_text()), Ok(nonce));
        assert_eq!(Nonce::parse("00"), Err(Malformed));
        assert_eq!(Nonce::parse(&"zz".repeat(NONCE_LENGTH)), Err(Malformed));
    }
}
