//! A sandbox that is only probed when it is needed: a fully cached build never is.

use super::{Sandbox, SandboxError, Settings};
use crate::store::Store;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Takes what is to be said about the sandbox.
pub type Notify = Arc<dyn Fn(String) + Send + Sync>;

/// Probes at the first use, and keeps what it found.
#[derive(Default)]
pub struct LazySandbox {
    settings: Settings,
    steps: Option<(Store, Notify)>,
    sandbox: OnceLock<Sandbox>,
}

impl LazySandbox {
    /// For work on trees.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            steps: None,
            sandbox: OnceLock::new(),
        }
    }

    /// For steps that write to `store`. If the host allows them less than the best isolation,
    /// `notify` is told what and why, once.
    pub fn for_steps(settings: Settings, store: Store, notify: Notify) -> Self {
        Self {
            settings,
            steps: Some((store, notify)),
            sandbox: OnceLock::new(),
        }
    }

    /// Gives the sandbox.
    pub fn get(&self) -> Result<&Sandbox, SandboxError> {
        if let Some(sandbox) = self.sandbox.get() {
            return Ok(sandbox);
        }
        // Two threads may both probe; they find the same.
        let found = self.probe()?;
        let mut is_first = false;
        let sandbox = self.sandbox.get_or_init(|| {
            is_first = true;
            found
        });
        if let (true, Some((_, notify)), Some(notice)) =
            (is_first, &self.steps, sandbox.means().notice())
        {
            notify(notice);
        }
        Ok(sandbox)
    }

    fn probe(&self) -> Result<Sandbox, SandboxError> {
        let Some((store, _)) = &self.steps else {
            return Sandbox::probe(&self.settings);
        };
        let scratch = store
            .scratch()
            .map_err(|error| SandboxError::Work(error.to_string()))?;
        Sandbox::probe(&Settings {
            scratch: Some(scratch.path().to_owned()),
            ..self.settings.clone()
        })
    }
}

impl fmt::Debug for LazySandbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LazySandbox")
            .field("settings", &self.settings)
            .field("sandbox", &self.sandbox)
            .finish_non_exhaustive()
    }
}
