//! Reads the file to deploy: a `function.yaml` or a `.wasm` with an image, or `WasmFunction`
//! resources.
//!
//! Resources are sent unchanged, except for fields that only the cluster may write. Other kinds are
//! rejected; kubectl applies those.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use kube::api::DynamicObject;
use sampan_crd::{GROUP, PlacementPolicy, ValidFunction, WasmFunction};
use sampan_spec::{Function, is_object_name};
use serde_json::{Value, json};

use super::mapping;
use crate::arguments::Output;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::pretty_json;
use crate::source::{Origin, read_bytes};

/// The most bytes of a file with resources, as in a request to an API server.
const MAX_FILE_BYTES: u64 = 3 << 20;

/// The name of standard input in messages.
const STDIN: &str = "standard input";

/// Fields of metadata that only a cluster writes. `kubectl get -o yaml` prints them.
const SERVER_FIELDS: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
];

/// One function to deploy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manifest {
    /// The resource as it is sent.
    pub(super) resource: Value,
    /// An example of a first request.
    pub(super) example: Option<String>,
    /// Whether it was made from a `function.yaml` or a .wasm, so that there is a .wasm to push.
    described: bool,
    /// The file and document.
    origin: String,
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(file: &Path, image: Option<&str>) -> Result<Vec<Manifest>, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        let most = MAX_FILE_BYTES.saturating_add(1);
        io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| {
                Failure::new(
                    Exit::Missing,
                    format!("{STDIN} cannot be read: {error}"),
                    "check what is piped in",
                )
            })?;
        let text = text(bytes, STDIN)?;
        if is_resources(&text) {
            return resources(&text, STDIN, image);
        }
        let function =
            Function::parse(&text, STDIN, "").map_err(|error| Failure::function_file(&error))?;
        return described(&Arc::new(function), STDIN, image);
    }
    let origin = file.display().to_string();
    let source = Origin::of_file(file.to_owned());
    if let Origin::Described(path) = &source {
        let bytes =
            read_bytes(path, MAX_FILE_BYTES).map_err(|error| Failure::read(path, &error))?;
        let text = text(bytes, &origin)?;
        if is_resources(&text) {
            return resources(&text, &origin, image);
        }
    }
    described(&source.read()?.function, &origin, image)
}

fn text(bytes: Vec<u8>, origin: &str) -> Result<String, Failure> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::new(
            Exit::FunctionFile,
            format!("{origin} has more than {} MiB", MAX_FILE_BYTES >> 20),
            "deploy it in parts",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(
            Exit::FunctionFile,
            format!("{origin}: not a text in UTF-8, from byte {at} on"),
            "save it as UTF-8",
        )
    })
}

/// Whether a text contains resources. A `function.yaml` has no line that begins with one of these
/// keys. A text in flow style or JSON begins with a brace, which is unusual for a `function.yaml`.
fn is_resources(text: &str) -> bool {
    let mut lines = text.lines();
    lines.any(|line| {
        let line = line.trim_start_matches('\u{feff}');
        ["apiVersion:", "kind:", "\"apiVersion\"", "{"]
            .iter()
            .any(|key| line.starts_with(key))
    })
}

fn described(
    function: &Arc<Function>,
    origin: &str,
    image: Option<&str>,
) -> Result<Vec<Manifest>, Failure> {
    let Some(image) = image else {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{origin} does not say which image {} runs as",
                function.name.as_str()
            ),
            "name it with --image REGISTRY/NAME:TAG",
        ));
    };
    let resource = mapping::resource(function, image);
    let mut resource = serde_json::to_value(&resource)
        .map_err(|error| Failure::system("the resource cannot be written as JSON", &error))?;
    remove_server_fields(&mut resource);
    Ok(vec![Manifest {
        resource,
        example: function.example.clone(),
        described: origin != STDIN,
        origin: origin.to_owned(),
    }])
}

fn resources(text: &str, origin: &str, image: Option<&str>) -> Result<Vec<Manifest>, Failure> {
    let wrong = |error: serde_saphyr::Error| {
        Failure::new(
            Exit::FunctionFile,
            format!("{origin}: {}", error.without_snippet()),
            "correct it; `kubectl explain wfn.spec` lists the fields of a WasmFunction",
        )
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(wrong)?;
    let mut found = Vec::new();
    let mut listed = false;
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        if document["kind"] == "List" {
            listed = true;
            match &document["items"] {
                Value::Array(items) => found.extend(items.iter().cloned()),
                _ => return Err(refuse(origin, "items: a list of resources is expected")),
            }
        } else {
            found.push(document);
        }
    }
    let expected = format!("{GROUP}/v1alpha1");
    for resource in &found {
        let (version, kind) = (&resource["apiVersion"], &resource["kind"]);
        if *version != expected || *kind != "WasmFunction" {
            return Err(Failure::new(
                Exit::FunctionFile,
                format!("{origin} has a resource of the kind {kind} and the version {version}"),
                format!(
                    "only WasmFunctions of {expected} are deployed; use kubectl apply for all others"
                ),
            ));
        }
    }
    match (image, found.as_mut_slice()) {
        (_, []) => {
            return Err(Failure::new(
                Exit::FunctionFile,
                format!("{origin} has no resources"),
                "write a WasmFunction, or a function.yaml",
            ));
        }
        (Some(image), [resource]) => set(resource, "image", image),
        (Some(_), several) => {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "{origin} has {} functions, and --image is one image",
                    several.len()
                ),
                "write each image into its resource, or deploy the functions one by one",
            ));
        }
        (None, _) => {}
    }
    // Parses the text once more for the position of a mistake, which a value without text lacks.
    if !listed && image.is_none() {
        let typed: Result<Vec<WasmFunction>, _> = serde_saphyr::from_multiple(text);
        typed.map_err(wrong)?;
    }
    let manifest = |mut resource: Value| {
        remove_server_fields(&mut resource);
        Manifest {
            resource,
            example: None,
            described: false,
            origin: origin.to_owned(),
        }
    };
    Ok(found.into_iter().map(manifest).collect())
}

fn refuse(origin: &str, message: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::FunctionFile,
        format!("{origin}: {message}"),
        "`kubectl explain wfn.spec` says what each field takes",
    )
}

/// Sets a field of the spec, if the resource has one.
fn set(resource: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(spec) = resource["spec"].as_object_mut() {
        spec.insert(field.to_owned(), value.into());
    }
}

/// Removes the fields that only the cluster may write.
fn remove_server_fields(resource: &mut Value) {
    let Some(fields) = resource.as_object_mut() else {
        return;
    };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_FIELDS {
            metadata.remove(field);
        }
    }
}

impl Manifest {
    /// The function's name; empty if it has none, which [`Manifest::check`] rejects.
    pub(super) fn name(&self) -> &str {
        self.resource["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
    }

    /// The file's namespace.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.resource["metadata"]["namespace"].as_str()
    }

    /// Sets the namespace. Fails if the file names another one.
    pub(super) fn set_namespace(&mut self, namespace: &str) -> Result<(), Failure> {
        match self.namespace() {
            Some(own) if own != namespace => Err(Failure::new(
                Exit::Usage,
                format!(
                    "{}: {} belongs to namespace {own}, not to {namespace}",
                    self.origin,
                    self.name()
                ),
                "leave -n out, or take metadata.namespace out of the file",
            )),
            Some(_) => Ok(()),
            None => {
                self.resource["metadata"]["namespace"] = namespace.into();
                Ok(())
            }
        }
    }

    /// Sets the image.
    pub(super) fn set_image(&mut self, image: &str) {
        set(&mut self.resource, "image", image);
    }

    /// Sets the number of pods.
    pub(super) fn set_replicas(&mut self, replicas: i32) {
        set(&mut self.resource, "replicas", replicas);
    }

    /// Sets the place where it is served.
    pub(super) fn set_placement(&mut self, placement: PlacementPolicy) {
        set(&mut self.resource, "placement", placement.as_str());
    }

    /// Checks the resource without a cluster.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let named = |message: &dyn std::fmt::Display| {
            refuse(&format!("{}: {}", self.origin, self.name()), message)
        };
        let typed: WasmFunction =
            serde_json::from_value(self.resource.clone()).map_err(|error| named(&error))?;
        if self.name().is_empty() {
            return Err(refuse(
                &self.origin,
                "metadata.name: a WasmFunction has no name",
            ));
        }
        // It becomes a part of a URL before the API server sees it.
        if self.namespace().is_some_and(|name| !is_object_name(name)) {
            return Err(named(&"metadata.namespace cannot be a namespace's name"));
        }
        ValidFunction::of(&typed)
            .map(drop)
            .map_err(|invalid| named(&invalid))
    }
}

/// The only function, if it has a .wasm to push.
pub(super) fn only_described(manifests: &mut [Manifest]) -> Result<&mut Manifest, Failure> {
    match manifests {
        [manifest] if manifest.described => Ok(manifest),
        _ => Err(Failure::new(
            Exit::Usage,
            "what is to be deployed does not say where its .wasm is, so --push has nothing to push",
            "give --push a function.yaml or a .wasm, or push first: sampan push FILE REFERENCE",
        )),
    }
}

/// Rejects two functions with one name in one namespace.
pub(super) fn check_unique(manifests: &[Manifest]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    match manifests
        .iter()
        .find(|manifest| !seen.insert((manifest.namespace(), manifest.name())))
    {
        None => Ok(()),
        Some(twice) => Err(Failure::new(
            Exit::SameName,
            format!(
                "{} has two functions of the name {}",
                twice.origin,
                twice.name()
            ),
            "rename one of them, or put them into different namespaces",
        )),
    }
}

/// Formats resources as YAML documents or as one JSON list.
pub(super) fn show(resources: &[Value], output: Output) -> Result<String, Failure> {
    match output {
        Output::Json => pretty_json(&resources),
        Output::Text => {
            let documents: Result<Vec<String>, _> =
                resources.iter().map(serde_saphyr::to_string).collect();
            let documents = documents.map_err(|error| {
                Failure::system("the resource cannot be written as YAML", &error)
            })?;
            Ok(documents.join("---\n"))
        }
    }
}

/// Formats objects that a cluster returned.
pub(super) fn show_objects(objects: &[DynamicObject], output: Output) -> Result<String, Failure> {
    let mut resources = Vec::new();
    for object in objects {
        let mut resource = json!(object);
        remove_server_fields(&mut resource);
        resources.push(resource);
    }
    show(&resources, output)
}

#[cfg(test)]
mod tests;
