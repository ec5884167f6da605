//! WebAssembly features that the engines run: the proposals that the configuration enables.
//!
//! `inspect` and the compiler judge a file by the same set.

use wasmparser::{Validator, WasmFeatures};

use super::flavour::Flavour;

/// Reasons why an engine does not compile a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The file is valid WebAssembly, with a feature that the engine does not have.
    Feature(String),
    /// The file is not valid.
    Invalid(String),
}

/// Validates a file for an engine of this flavour.
pub(crate) fn validate(bytes: &[u8], flavour: Flavour) -> Result<(), Rejection> {
    let validate = |features| {
        Validator::new_with_features(features)
            .validate_all(bytes)
            .map(drop)
    };
    let Err(error) = validate(supported(flavour)) else {
        return Ok(());
    };
    Err(match validate(WasmFeatures::all()) {
        Ok(()) => Rejection::Feature(error.to_string()),
        Err(error) => Rejection::Invalid(error.to_string()),
    })
}

/// The features of an engine with the configuration of [`super::config`]. wasmtime does not publish
/// them, so this repeats its defaults, and a test compares both.
fn supported(flavour: Flavour) -> WasmFeatures {
    let mut features = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    features.remove(WasmFeatures::MULTI_MEMORY | WasmFeatures::MEMORY64 | WasmFeatures::THREADS);
    features.set(WasmFeatures::CM_ASYNC, flavour == Flavour::Concurrent);
    features
}

#[cfg(test)]
mod tests {
    use super::{Rejection, validate};
    use crate::compile::config::compiler;
    use crate::compile::flavour::Flavour;

    #[test]
    fn the_features_are_those_of_the_compiler() {
        fn check(wat: &str, flavour: Flavour, expected: bool) {
            let bytes = wat::parse_str(wat).expect("the test's WebAssembly is valid");
            let engine = wasmtime::Engine::new(&compiler(flavour)).expect("an engine");
            let compiled = if wat.starts_with("(component") {
                engine.precompile_component(&bytes)
            } else {
                engine.precompile_module(&bytes)
            };
            let validated = validate(&bytes, flavour);
            assert_eq!(
                compiled.is_ok(),
                expected,
                "{wat} {flavour:?}: {compiled:?}"
            );
            assert_eq!(
                validated.is_ok(),
                expected,
                "{wat} {flavour:?}: {validated:?}"
            );
            if let Err(rejection) = validated {
                assert!(matches!(rejection, Rejection::Feature(_)), "{rejection:?}");
            }
        }
        let everywhere = |wat: &str, expected| {
            check(wat, Flavour::Sequential, expected);
            check(wat, Flavour::Concurrent, expected);
        };
        everywhere("(module (memory 1))", true);
        everywhere("(module (memory i64 1))", false);
        everywhere("(module (table i64 1 funcref))", false);
        everywhere("(module (memory 1) (memory 1))", false);
        everywhere("(module (memory 1 1 shared))", false);
        everywhere("(module (memory 1 (pagesize 1)))", false);
        everywhere(
            "(module (func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2))))",
            false,
        );
        everywhere("(module (func try catch_all end))", false);
        everywhere("(module (tag) (func (throw 0)))", true);
        everywhere("(module (type (struct)))", true);
        everywhere("(module (func (param externref)))", true);
        everywhere("(module (func $f (return_call $f)))", true);
        everywhere(
            "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
            true,
        );
        everywhere(
            "(module (func (param v128) (result v128)
                (i32x4.relaxed_trunc_f32x4_s (local.get 0))))",
            true,
        );
        everywhere("(component)", true);
        everywhere("(component (core module (memory i64 1)))", false);
        everywhere("(component (core module (memory 1) (memory 1)))", false);
        everywhere("(component (type (list u8 4)))", false);
        let stream = "(component (type (stream u8)))";
        check(stream, Flavour::Sequential, false);
        check(stream, Flavour::Concurrent, true);
    }

    #[test]
    fn damaged_bytes_are_invalid() {
        let rejection = validate(b"\0asm\x01\0\0\0\xff", Flavour::Sequential);
        assert!(
            matches!(rejection, Err(Rejection::Invalid(_))),
            "{rejection:?}"
        );
    }
}
