//! Panics of code that is not ours, as errors.
//!
//! Runtimes panic on models that contradict themselves (an index out of bounds among constants, a division by 0) and on
//! libraries that are none. The unwinding is caught, and nothing of it reaches standard error; panics of anyone else are
//! reported as ever.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// While a guarded call is on this thread: what its last panic said.
    static GUARDED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `f`; its panic, if it comes to one, becomes the message and place of it.
///
/// What `f` was working on may be left half done and must not be used after an error.
pub(super) fn catching<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = GUARDED.with_borrow_mut(|guarded| match guarded {
                Some(message) => {
                    *message = panic.to_string();
                    true
                }
                None => false,
            });
            if !ours {
                others(panic);
            }
        }));
    });
    let before = GUARDED.replace(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(f));
    let message = GUARDED.replace(before).unwrap_or_default();
    result.map_err(|_| message.lines().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_says_what_and_where() {
        let message = catching(|| panic!("one {}", "two")).unwrap_err();
        assert!(message.contains("panics.rs") && message.ends_with("one two"), "{message}");
        assert_eq!(catching(|| 3), Ok(3));
    }

    #[test]
    fn panics_outside_are_not_swallowed() {
        assert!(catching(|| ()).is_ok());
        assert!(catch_unwind(|| panic!("on its own")).is_err());
        GUARDED.with_borrow(|guarded| assert!(guarded.is_none()));
    }
}
