//! Answers: what services have said in this run, so that nothing is asked twice.

use crate::template::ServiceError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// An answer, or that there is none.
type Answer<V> = Result<V, ServiceError>;

/// Answers by question.
pub(super) struct Answers<K, V> {
    known: Mutex<BTreeMap<K, Arc<OnceLock<Answer<V>>>>>,
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
        }
    }
}

impl<K: Ord + Clone, V: Clone> Answers<K, V> {
    /// The answer to `question`, by `ask` if it is a new one. Whoever has the same question in the
    /// meantime waits for the answer. A failure is an answer too.
    pub(super) fn get_or_ask(&self, question: &K, ask: impl FnOnce() -> Answer<V>) -> Answer<V> {
        let cell = {
            // An entry is whole at any time, so a panic elsewhere leaves nothing half done.
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(question.clone()).or_default().clone()
        };
        cell.get_or_init(ask).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_once() {
        let answers = Answers::default();
        let failure = || Err(ServiceError::new("no"));
        assert_eq!(answers.get_or_ask(&"a", || Ok(1)), Ok(1));
        assert_eq!(answers.get_or_ask(&"a", || Ok(2)), Ok(1));
        assert_eq!(answers.get_or_ask(&"b", failure), failure());
        assert_eq!(answers.get_or_ask(&"b", || Ok(3)), failure());
    }
}
