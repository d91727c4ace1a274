//! A sandbox that is only probed when it is needed: a fully cached build never is.

use super::{Sandbox, SandboxError, Settings};
use std::sync::OnceLock;

/// Probes at the first use, and keeps what it found.
#[derive(Debug, Default)]
pub struct LazySandbox {
    settings: Settings,
    sandbox: OnceLock<Sandbox>,
}

impl LazySandbox {
    /// Keeps `settings` for the probe.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            sandbox: OnceLock::new(),
        }
    }

    /// Gives the sandbox.
    pub fn get(&self) -> Result<&Sandbox, SandboxError> {
        if let Some(sandbox) = self.sandbox.get() {
            return Ok(sandbox);
        }
        // Two threads may both probe; they find the same.
        let sandbox = Sandbox::probe(&self.settings)?;
        Ok(self.sandbox.get_or_init(|| sandbox))
    }
}
