//! What this process holds, as the system says it.

use onnxpress_passes::evidence::Held;

/// Reads it off `/proc`; `None` on systems without.
pub(super) fn by_this_process() -> Option<Held> {
    of_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn of_status(status: &str) -> Option<Held> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024)
    };
    Some(Held { now: bytes("VmRSS")?, most: bytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_it_in_kilobytes() {
        let status = "Name:\tonnxpress\nVmPeak:\t  900 kB\nVmHWM:\t     200 kB\nVmRSS:\t     100 kB\n";
        assert_eq!(of_status(status), Some(Held { now: 102_400, most: 204_800 }));
        assert_eq!(of_status("Name:\tonnxpress\n"), None);
    }
}
