//! Doing the same with many things at once, a few at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Calls `work` for each of `items`, for `limit` of them at once, and returns when none runs
/// anymore. After an error no further one is begun; the first error is given.
pub fn for_each<T: Sync, E: Send>(
    items: &[T],
    limit: usize,
    work: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        for _ in 0..limit.min(items.len()) {
            scope.spawn(|| {
                while failed().is_none() {
                    let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return;
                    };
                    if let Err(error) = work(item) {
                        failed().get_or_insert(error);
                    }
                }
            });
        }
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_item_is_worked_on_once() {
        let done = Mutex::new(Vec::new());
        let items: Vec<_> = (0..50).collect();
        let result = for_each(&items, 4, |item| {
            done.lock().unwrap().push(*item);
            Ok::<_, ()>(())
        });
        assert_eq!(result, Ok(()));
        let done = done.into_inner().unwrap();
        assert_eq!(done.len(), 50);
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>().len(), 50);
        assert_eq!(for_each(&[], 4, |_: &u8| Err(())), Ok(()));
    }

    #[test]
    fn nothing_begins_after_an_error() {
        let begun = AtomicUsize::new(0);
        let result = for_each(&[0; 1000], 2, |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            Err("no")
        });
        assert_eq!(result, Err("no"));
        assert!(begun.into_inner() <= 2);
    }
}
