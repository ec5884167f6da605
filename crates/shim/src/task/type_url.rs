//! Messages in the envelope that says of what type they are.
//!
//! The library asks a message for its descriptor to learn the name. The first time, that parses the definitions of the whole
//! file, with their comments, and of all files that it needs, and keeps them: half a megabyte in every supervisor.

use containerd_shim::Result;
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::protobuf::well_known_types::any::Any;

/// The package of events.
pub(crate) const EVENTS: &str = "containerd.events";
/// The package of what is measured with version 1 of control groups.
pub(crate) const CGROUPS_1: &str = "io.containerd.cgroups.v1";
/// The package of what is measured with version 2 of control groups.
pub(crate) const CGROUPS_2: &str = "io.containerd.cgroups.v2";

/// A message of a package; not for messages that are defined inside of others.
///
/// # Errors
///
/// When a field is missing that must not be.
pub(crate) fn pack<M: Message>(package: &str, message: &M) -> Result<Any> {
    let mut any = Any::new();
    any.type_url = format!("{package}.{}", M::NAME);
    any.value = message.write_to_bytes()?;
    Ok(any)
}

#[cfg(test)]
mod tests {
    use containerd_shim::protos::cgroups::metrics::Metrics;
    use containerd_shim::protos::cgroups_v2::metrics::Metrics as Metrics2;
    use containerd_shim::protos::events::task::{
        TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused,
        TaskResumed, TaskStart,
    };
    use containerd_shim::util::convert_to_any;

    use super::*;

    #[test]
    fn a_message_is_packed_as_the_library_packs_it() {
        fn check<M: Message + Clone + containerd_shim::protos::protobuf::MessageDyn>(
            package: &str,
            message: M,
        ) {
            let packed = pack(package, &message).expect("it has all that it needs");
            let expected = convert_to_any(Box::new(message)).expect("it has all that it needs");
            assert_eq!(packed, expected);
        }
        let mut metrics = Metrics::new();
        metrics.mut_cpu().mut_usage().set_total(7);
        check(CGROUPS_1, metrics);
        let mut metrics = Metrics2::new();
        metrics.mut_cpu().set_usage_usec(7);
        check(CGROUPS_2, metrics);
        check(
            EVENTS,
            TaskCreate {
                pid: 7,
                ..TaskCreate::new()
            },
        );
        check(
            EVENTS,
            TaskStart {
                pid: 7,
                ..TaskStart::new()
            },
        );
        check(EVENTS, TaskExecAdded::new());
        check(
            EVENTS,
            TaskExecStarted {
                pid: 7,
                ..TaskExecStarted::new()
            },
        );
        check(
            EVENTS,
            TaskExit {
                exit_status: 7,
                ..TaskExit::new()
            },
        );
        check(
            EVENTS,
            TaskDelete {
                exit_status: 7,
                ..TaskDelete::new()
            },
        );
        check(EVENTS, TaskOOM::new());
        check(EVENTS, TaskPaused::new());
        check(EVENTS, TaskResumed::new());
    }
}
