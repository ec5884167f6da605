//! Validates the raw file: every check beyond the parser's.
//!
//! The first invalid value is reported, with its position and what is allowed instead.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::bound::{Bound, OutOfBound, Unit};
use crate::diagnostics::{FileError, Invalid};
use crate::escape::Shown;
use crate::file::{EnvironmentVariable, FunctionFile, InstancesFile, OutboundFile};
use crate::function::{Function, InstancePolicy, REUSE_IDLE, REUSE_REQUESTS};
use crate::limits::{LIMITS, Limits, LimitsFile};
use crate::located::{Located, Scalar};
use crate::name::FunctionName;
use crate::outbound::{OutboundRules, Rule, RuleError};
use crate::share::ProcessorShare;

/// The most variables of an environment, and the most arguments.
pub const MAX_ENVIRONMENT: usize = 1_000;

/// The most outbound rules.
pub const MAX_OUTBOUND_RULES: usize = 1_000;

/// The most files of certificate authorities.
pub const MAX_CERTIFICATE_AUTHORITIES: usize = 16;

/// The most characters of a description, an example or a path.
const MAX_TEXT: usize = 4_096;

impl Function {
    /// Reads and validates the text of a `function.yaml`.
    pub fn parse(text: &str, origin: &str, default_name: &str) -> Result<Self, FileError> {
        let file = crate::yaml::parse(text, origin)?;
        file.validate(default_name)
            .map_err(|invalid| invalid.in_file(origin))
    }
}

impl FunctionFile {
    /// Validates every value. `default_name` is the folder's name, for a file without a name.
    pub fn validate(self, default_name: &str) -> Result<Function, Invalid> {
        let Self {
            name,
            file,
            description,
            example,
            env,
            args,
            http,
            limits,
            outbound,
            instances,
        } = self;
        let name = validate_name(name, default_name)?;
        let OutboundFile {
            allow,
            certificate_authorities,
        } = outbound.unwrap_or_default();
        let file = match file {
            Some(file) => validate_file(file)?,
            None => format!("{name}.wasm"),
        };
        Ok(Function {
            name,
            file: Some(file),
            description: description.map(validate_description).transpose()?,
            example: example.map(validate_example).transpose()?,
            environment: validate_environment(env.unwrap_or_default())?,
            arguments: validate_arguments(args.unwrap_or_default())?,
            limits: validate_limits(&limits.unwrap_or_default())?,
            outbound: validate_rules(&allow.unwrap_or_default())?,
            certificate_authorities: validate_authorities(
                certificate_authorities.unwrap_or_default(),
            )?,
            instances: validate_instances(&instances.unwrap_or_default())?,
            http,
            share: ProcessorShare::default(),
        })
    }
}

fn validate_name(
    name: Option<Located<String>>,
    default_name: &str,
) -> Result<FunctionName, Invalid> {
    match name {
        Some(name) => name
            .value
            .parse()
            .map_err(|error| refuse("name", &name, error)),
        None => FunctionName::from_file_stem(default_name).map_err(|error| {
            refuse("name", &Located::from(default_name.to_owned()), error)
                .with_help("the file has no name, so the folder's was taken: write name: NAME")
        }),
    }
}

fn validate_file(file: Located<String>) -> Result<String, Invalid> {
    let text = checked_text("file", file, &[])?;
    if text.value.is_empty() {
        return Err(refuse("file", &text, "it is empty").with_help("leave it out for NAME.wasm"));
    }
    // A drive letter is absolute only on some systems, and never a good name.
    if text.value.starts_with(['/', '\\']) || text.value.as_bytes().get(1) == Some(&b':') {
        return Err(
            refuse("file", &text, format!("{} is absolute", Shown(&text.value)))
                .with_help("write it relative to the folder of function.yaml"),
        );
    }
    Ok(text.value)
}

fn validate_description(description: Located<String>) -> Result<String, Invalid> {
    checked_text("description", description, &['\n', '\t']).map(|text| text.value)
}

fn validate_example(example: Located<String>) -> Result<String, Invalid> {
    let text = checked_text("example", example, &[])?;
    let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if text.value.starts_with('/') && text.value.bytes().all(printable) {
        return Ok(text.value);
    }
    Err(refuse(
        "example",
        &text,
        format!("{} is not a path with a query", Shown(&text.value)),
    )
    .with_help("it starts with / and has no spaces, such as /?n=100"))
}

fn validate_environment(
    variables: Vec<EnvironmentVariable>,
) -> Result<Vec<(String, String)>, Invalid> {
    at_most("env", &variables, MAX_ENVIRONMENT, |variable| {
        &variable.name
    })?;
    let mut seen = HashSet::new();
    let mut environment = Vec::with_capacity(variables.len());
    for (index, EnvironmentVariable { name, value }) in variables.into_iter().enumerate() {
        let field = format!("env[{index}].name");
        let well_formed = |character: char| character != '=' && !character.is_control();
        if name.value.is_empty() || !name.value.chars().all(well_formed) {
            let message = format!("\"{}\" can't be the name of a variable", Shown(&name.value));
            return Err(refuse(&field, &name, message)
                .with_help("a name has at least one character, no = and no control characters"));
        }
        if !seen.insert(name.value.clone()) {
            let message = format!("{} is set twice", Shown(&name.value));
            return Err(refuse(&field, &name, message));
        }
        let value = without_nul(&format!("env[{index}].value"), value)?;
        environment.push((name.value, value));
    }
    Ok(environment)
}

fn validate_arguments(arguments: Vec<Located<Scalar>>) -> Result<Vec<String>, Invalid> {
    at_most("args", &arguments, MAX_ENVIRONMENT, |argument| argument)?;
    let numbered = arguments.into_iter().enumerate();
    numbered
        .map(|(index, argument)| without_nul(&format!("args[{index}]"), argument))
        .collect()
}

fn validate_limits(file: &LimitsFile) -> Result<Limits, Invalid> {
    let mut limits = Limits::default();
    for limit in LIMITS {
        let field = format!("limits.{}", limit.key);
        limit.write(
            &mut limits,
            validate_bound(&field, limit.bound, limit.raw(file))?,
        );
    }
    if let (Some(total), Some(_)) = (&file.total_memory, &file.memory)
        && limits.total_memory < limits.memory
    {
        let message = format!(
            "{} is less than limits.memory, which is {}",
            Unit::Bytes.show(limits.total_memory.bytes()),
            Unit::Bytes.show(limits.memory.bytes())
        );
        return Err(refuse("limits.totalMemory", total, message).with_help(
            "limits.totalMemory is for all instances together, and limits.memory for one",
        ));
    }
    Ok(limits)
}

fn validate_rules(rules: &[Located<String>]) -> Result<OutboundRules, Invalid> {
    at_most("outbound.allow", rules, MAX_OUTBOUND_RULES, |rule| rule)?;
    let numbered = rules.iter().enumerate();
    numbered
        .map(|(index, rule)| {
            rule.value.parse::<Rule>().map_err(|error| {
                let help = error.help();
                let message = match error {
                    // Messages end up in logs, so they must not contain credentials.
                    RuleError::Credentials => error.to_string(),
                    _ => format!("\"{}\": {error}", Shown(&rule.value)),
                };
                refuse(&format!("outbound.allow[{index}]"), rule, message).with_help(help)
            })
        })
        .collect()
}

fn validate_authorities(files: Vec<Located<String>>) -> Result<Vec<String>, Invalid> {
    let field = "outbound.certificateAuthorities";
    at_most(field, &files, MAX_CERTIFICATE_AUTHORITIES, |file| file)?;
    let numbered = files.into_iter().enumerate();
    numbered
        .map(|(index, file)| {
            let field = format!("{field}[{index}]");
            let file = checked_text(&field, file, &[])?;
            if file.value.is_empty() {
                return Err(refuse(&field, &file, "it is empty")
                    .with_help("name a file with certificates in PEM"));
            }
            Ok(file.value)
        })
        .collect()
}

fn validate_instances(instances: &InstancesFile) -> Result<InstancePolicy, Invalid> {
    let Some(reuse) = &instances.reuse else {
        return Ok(InstancePolicy::Fresh);
    };
    let field = "instances.reuse.requests";
    let requests = validate_bound(field, REUSE_REQUESTS, reuse.requests.as_ref())?;
    let field = "instances.reuse.idle";
    let idle = validate_bound(field, REUSE_IDLE, reuse.idle.as_ref())?;
    // The range begins at one and ends within 32 bits.
    let requests = u32::try_from(requests).ok().and_then(NonZeroU32::new);
    Ok(InstancePolicy::Reuse {
        requests: requests.expect("the range of requests lies within NonZeroU32"),
        idle: Duration::from_nanos(idle),
    })
}

/// The value in its unit, or the default if there is none.
fn validate_bound(
    field: &str,
    bound: Bound,
    raw: Option<&Located<Scalar>>,
) -> Result<u64, Invalid> {
    let Some(raw) = raw else {
        return Ok(bound.default);
    };
    let Scalar(text) = &raw.value;
    bound.parse(text).map_err(|error| {
        let help = match &error {
            OutOfBound::Unreadable { .. } => bound.unit.help().to_owned(),
            OutOfBound::Less { .. } | OutOfBound::More { .. } => bound.range(),
        };
        let shown = if text.is_empty() {
            "\"\"".to_owned()
        } else {
            Shown(text).to_string()
        };
        refuse(field, raw, format!("{shown} {error}")).with_help(help)
    })
}

/// Checks a text's length and its control characters, except those in `but`.
fn checked_text(
    field: &str,
    text: Located<String>,
    but: &[char],
) -> Result<Located<String>, Invalid> {
    let length = text.value.chars().count();
    if length > MAX_TEXT {
        let message = format!("it has {length} characters, the most is {MAX_TEXT}");
        return Err(refuse(field, &text, message));
    }
    let printed = |character: char| !character.is_control() || but.contains(&character);
    if !text.value.chars().all(printed) {
        let message = format!("\"{}\" has a control character", Shown(&text.value));
        return Err(refuse(field, &text, message));
    }
    Ok(text)
}

/// Rejects NUL, which ends a text that the operating system passes to a program.
fn without_nul(field: &str, raw: Located<Scalar>) -> Result<String, Invalid> {
    if raw.value.0.contains('\0') {
        return Err(refuse(field, &raw, "it has a NUL character"));
    }
    Ok(raw.value.0)
}

/// Checks the number of items. The error points at the first one beyond `most`.
fn at_most<T, V: AsRef<str>>(
    field: &str,
    items: &[T],
    most: usize,
    place: impl Fn(&T) -> &Located<V>,
) -> Result<(), Invalid> {
    items.get(most).map_or(Ok(()), |beyond| {
        let message = format!("there are {}, the most is {most}", items.len());
        Err(refuse(field, place(beyond), message))
    })
}

fn refuse<V: AsRef<str>>(field: &str, raw: &Located<V>, message: impl fmt::Display) -> Invalid {
    Invalid {
        field: field.to_owned(),
        position: raw.position,
        value: raw.value.as_ref().to_owned(),
        message: message.to_string(),
        help: None,
    }
}

impl Invalid {
    fn with_help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
