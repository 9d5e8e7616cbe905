//! Allocator settings.

/// Makes glibc keep freed memory instead of returning it to the system.
///
/// Each training step frees and allocates the same blocks. By default glibc maps large blocks anew each time, and the
/// kernel clears every page: a seventh of an epoch of CIFAR-10 in single precision. Environment variables
/// (`MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`) take precedence.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc's allocator is set through C")]
pub(crate) fn keep_freed() {
    /// Larger than any allocated block.
    const NEVER: libc::c_int = 1 << 30;
    let settings =
        [("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD), ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD)];
    for (_, setting) in settings.into_iter().filter(|(variable, _)| std::env::var_os(variable).is_none()) {
        // SAFETY: `mallopt` takes two integers, and glibc locks its allocator meanwhile; a refused setting changes only
        // the speed.
        unsafe { libc::mallopt(setting, NEVER) };
    }
}

/// Other allocators are unchanged.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed() {}
