//! Programs that are added to a container.

use containerd_shim::api::{ExecProcessRequest, StartRequest, WaitRequest, WaitResponse};
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::ttrpc;
use serde_json::Value;

use super::{Shim, patient};

/// A part of a specification as a message has it. `kind` is its name in the OCI specification.
pub(crate) fn any(kind: &str, value: &Value) -> Any {
    Any {
        type_url: format!("types.containerd.io/opencontainers/runtime-spec/1/{kind}"),
        value: serde_json::to_vec(value).expect("JSON"),
        ..Any::default()
    }
}

impl Shim {
    /// Adds a program to a container, by a name and with these streams. An empty path is no stream.
    pub(crate) async fn add(
        &self,
        id: &str,
        name: &str,
        [stdout, stderr]: [&str; 2],
        process: &Value,
    ) -> ttrpc::Result<()> {
        let request = ExecProcessRequest {
            id: id.to_owned(),
            exec_id: name.to_owned(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            spec: Some(any("Process", process)).into(),
            ..ExecProcessRequest::default()
        };
        self.client().exec(patient(), &request).await.map(drop)
    }

    pub(crate) async fn start_added(&self, id: &str, name: &str) -> ttrpc::Result<u32> {
        let request = StartRequest {
            id: id.to_owned(),
            exec_id: name.to_owned(),
            ..StartRequest::default()
        };
        let answer = self.client().start(patient(), &request).await;
        answer.map(|answer| answer.pid)
    }

    pub(crate) async fn wait_added(&self, id: &str, name: &str) -> ttrpc::Result<WaitResponse> {
        let request = WaitRequest {
            id: id.to_owned(),
            exec_id: name.to_owned(),
            ..WaitRequest::default()
        };
        self.client().wait(patient(), &request).await
    }
}
