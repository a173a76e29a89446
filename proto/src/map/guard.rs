//! Survives a mapped file that is cut short while it is read.
//!
//! Touching a page of a map that lies past the end of its file raises SIGBUS, which ends a process. The
//! handler here, installed once, looks the address up among the maps that are being watched. If it finds
//! one, it notes the cut and puts pages of zeros over the rest of that map; the read that faulted is then
//! repeated and succeeds. Whoever asks [`Watch::was_cut`] afterwards learns that what it read is void.
//! Faults at any other address go to the handler that was there before.
//!
//! A signal handler may not lock and may not allocate, so the maps stand in a fixed array of atomics.

use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};

use libc::{c_int, c_void, siginfo_t};

/// Most maps at once: a model may keep each tensor in a file of its own. The array is half a megabyte of
/// zeros, of which the system provides only the pages that are used.
const MOST: usize = 16 * 1024;

/// The range of one map. Written under `turn`, in the manner of a sequence lock: odd while it changes.
struct Slot {
    taken: AtomicBool,
    turn: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    cut: AtomicBool,
}

static SLOTS: [Slot; MOST] = [const {
    Slot {
        taken: AtomicBool::new(false),
        turn: AtomicUsize::new(0),
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        cut: AtomicBool::new(false),
    }
}; MOST];

/// One more than the highest slot that was ever taken: as far as the handler looks.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Bytes in a page; set before the handler is installed.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// What handled SIGBUS before; never freed.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

impl Slot {
    fn set(&self, start: usize, end: usize) {
        self.turn.fetch_add(1, SeqCst);
        self.start.store(start, SeqCst);
        self.end.store(end, SeqCst);
        self.turn.fetch_add(1, SeqCst);
    }

    /// The range, unless it is just changing: then it is not the one that the faulting thread reads,
    /// since that thread holds its map and a map's slot does not change while it is held.
    fn range(&self) -> Option<(usize, usize)> {
        let turn = self.turn.load(SeqCst);
        let range = (self.start.load(SeqCst), self.end.load(SeqCst));
        (turn.is_multiple_of(2) && self.turn.load(SeqCst) == turn).then_some(range)
    }
}

/// A map under watch, as long as this lives. It must be dropped before the map is.
#[derive(Debug)]
pub(super) struct Watch {
    slot: usize,
}

impl Watch {
    pub(super) fn new(map: &[u8]) -> io::Result<Watch> {
        install()?;
        let start = map.as_ptr() as usize;
        let free = |slot: &Slot| slot.taken.compare_exchange(false, true, SeqCst, SeqCst).is_ok();
        let full = || io::Error::other(format!("more than {MOST} files are mapped at once"));
        let slot = SLOTS.iter().position(free).ok_or_else(full)?;
        SLOTS[slot].cut.store(false, SeqCst);
        SLOTS[slot].set(start, start + map.len());
        USED.fetch_max(slot + 1, SeqCst);
        Ok(Watch { slot })
    }

    /// Whether a read has met the file's new end.
    pub(super) fn was_cut(&self) -> bool {
        SLOTS[self.slot].cut.load(SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        SLOTS[self.slot].set(0, 0);
        SLOTS[self.slot].taken.store(false, SeqCst);
    }
}

/// Puts the handler in place, the first time it is called.
fn install() -> io::Result<()> {
    static RESULT: OnceLock<Result<(), i32>> = OnceLock::new();
    let install = || {
        // SAFETY: plain calls with valid pointers; a zeroed `sigaction` is one, with an empty mask.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE);
            PAGE.store(usize::try_from(page).map_err(|_| libc::EINVAL)?, SeqCst);
            let errno = || io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
            let mut previous: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGBUS, ptr::null(), &mut previous) != 0 {
                return Err(errno());
            }
            // Known before it is needed: the handler may run as soon as it is installed.
            PREVIOUS.store(Box::into_raw(Box::new(previous)), SeqCst);
            let mut ours: libc::sigaction = std::mem::zeroed();
            ours.sa_sigaction = on_sigbus as *const () as usize;
            // On the alternate stack: Rust reports stack overflow by this signal on some systems.
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            if libc::sigaction(libc::SIGBUS, &ours, ptr::null_mut()) != 0 {
                return Err(errno());
            }
        }
        Ok(())
    };
    RESULT.get_or_init(install).map_err(io::Error::from_raw_os_error)
}

/// Handles SIGBUS. Uses atomics and system calls only.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes a valid `info`; `errno` is this thread's own, and kept for what was interrupted.
    unsafe {
        let errno = errno_location();
        let kept = *errno;
        // Only a real fault has an address; `kill` sends a code of zero or below.
        let covered = (*info).si_code > 0 && cover((*info).si_addr() as usize);
        *errno = kept;
        if !covered {
            pass_on(signal, info, context);
        }
    }
}

/// If a watched map holds `address`: notes that it was cut, and puts zeros from there to its end.
fn cover(address: usize) -> bool {
    let page = PAGE.load(SeqCst);
    for slot in &SLOTS[..USED.load(SeqCst)] {
        let Some((start, end)) = slot.range() else {
            continue;
        };
        if !(start..end).contains(&address) {
            continue;
        }
        // Before the zeros are there, so that nobody sees them without the note.
        slot.cut.store(true, SeqCst);
        let from = address - address % page;
        let (read, fixed) = (libc::PROT_READ, libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: from `from` to `end` is part of a map that the faulting thread holds, so it is ours to
        // replace and nobody can unmap it meanwhile; the rest of its last page belongs to it too.
        let zeros = unsafe { libc::mmap(from as *mut c_void, end - from, read, fixed, -1, 0) };
        return zeros != libc::MAP_FAILED;
    }
    false
}

/// Does with the signal what would have been done without us.
///
/// # Safety
/// To be called from the handler only, with what it was given.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: `PREVIOUS` is set before the handler is, and never freed; a handler that the system gave us
    // has the signature that its flags say.
    unsafe {
        let previous = &*PREVIOUS.load(SeqCst);
        match previous.sa_sigaction {
            // Asked to ignore it: right for a signal that somebody sent, impossible for a fault.
            libc::SIG_IGN if (*info).si_code <= 0 => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                // The default ends the process as soon as this handler returns.
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &default, ptr::null_mut());
                libc::raise(signal);
            }
            handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}

/// Where this thread keeps `errno`.
///
/// # Safety
/// None is asked of the caller; the pointer is valid on the calling thread.
unsafe fn errno_location() -> *mut c_int {
    // SAFETY: always callable.
    unsafe {
        #[cfg(any(target_os = "linux", target_os = "emscripten", target_os = "hurd"))]
        return libc::__errno_location();
        #[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
        return libc::__error();
        #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
        return libc::__errno();
    }
}
