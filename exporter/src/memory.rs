//! How the process gets its memory.

/// Keeps what is freed for what comes next, instead of giving it back to the system.
///
/// Each step of a training frees what it will ask for again. glibc maps large blocks anew each time, and the system then
/// clears every page: a seventh of the time of an epoch of CIFAR-10 in single precision. Variables of the user's own
/// (`MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`) stay what they are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed() {
    /// More than any block that is asked for.
    const NEVER: libc::c_int = 1 << 30;
    let settings =
        [("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD), ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD)];
    for (_, setting) in settings.into_iter().filter(|(variable, _)| std::env::var_os(variable).is_none()) {
        // SAFETY: `mallopt` takes two numbers, and glibc locks its allocator while it changes; where it refuses, nothing
        // changes but the speed.
        unsafe { libc::mallopt(setting, NEVER) };
    }
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed() {}
