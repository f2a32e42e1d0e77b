//! What keeps the memory of a process that holds secrets to itself.

/// Lets nobody but root read this process's memory: no core file when it ends badly, and no other
/// process of the same user may attach to it. Weights, shares and keys are in there.
///
/// Where the system refuses, work goes on and a warning says so.
pub(crate) fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let limited = setrlimit(Resource::Core, none).map_err(|error| ("the size of core files stays as it was", error));
        let hidden =
            set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| ("other processes may attach to this one", error));
        for (what, error) in [limited, hidden].into_iter().filter_map(Result::err) {
            crate::diagnostics::warning(format_args!("Warning:  {what}: {error}"));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn memory_is_neither_dumped_nor_read() {
        super::keep_memory_private();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    }
}
