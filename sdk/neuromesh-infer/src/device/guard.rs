//! Backends panic where a driver refuses a kernel or goes away; such a panic ends the run, not the process.
//!
//! Where panics abort, as in the modules for browsers, there is nothing to catch: the module traps, and whoever loaded it must
//! load another.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use crate::Fault;

/// The result, or the panic as a fault.
///
/// Nothing that `work` leaves behind is used afterwards but the backend itself, which guards its own state.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).map_err(fault)
}

/// The same of a future.
pub(super) async fn caught_while<T>(future: impl Future<Output = T> + Send) -> Result<T, Fault> {
    let mut future = Box::pin(future);
    poll_fn(move |context| match caught(|| future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(fault) => Poll::Ready(Err(fault)),
    })
    .await
}

fn fault(panic: Box<dyn Any + Send>) -> Fault {
    let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    Fault::Backend(words.unwrap_or("it panicked").to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn a_panic_is_a_fault_in_its_own_words() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| panic!("no {}", "shader")).unwrap_err(), Fault::Backend("no shader".into()));
        let mut late = pin!(caught_while(async { panic!("lost") }));
        match late.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => assert_eq!(found.map(|()| 0), Err(Fault::Backend("lost".into()))),
            Poll::Pending => panic!("it waits for nobody"),
        }
    }
}
