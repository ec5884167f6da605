//! `sampan schema`: prints the JSON schema of `function.yaml`.

use std::process::ExitCode;

use sampan_spec::FunctionFile;

use crate::failure::Failure;
use crate::output::{finish, pretty_json};

/// Prints the JSON schema of `function.yaml`.
pub(crate) fn schema() -> Result<ExitCode, Failure> {
    finish(&pretty_json(&FunctionFile::json_schema())?)
}
