//! With whom results of steps are shared: what a template and the flags say together.

use super::surroundings::Surroundings;
use crate::build::Environment;
use crate::cache::{Cache, Mode, Sharing, Warn};
use crate::registry::{Client, Repository};
use clap::Args;
use std::time::Duration;

/// How long a repository may take to answer, all repetitions included. Who does not answer in this
/// time is not asked again: building is often faster than waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Repositories that results are shared with.
#[derive(Args, Debug)]
pub struct SharingArguments {
    /// Take results of steps from this repository, which is trusted. May be repeated; replaces the
    /// template's list.
    #[arg(long, value_name = "REPOSITORY")]
    pub cache_from: Vec<Repository>,

    /// Write results of steps to this repository. May be repeated; replaces the template's list.
    #[arg(long, value_name = "REPOSITORY")]
    pub cache_to: Vec<Repository>,

    /// Which results are written: those of builds that ended well, or each at once.
    #[arg(long, value_enum, value_name = "MODE")]
    pub cache_mode: Option<Mode>,

    /// Share no results, whatever the template says.
    #[arg(long, conflicts_with_all = ["cache_from", "cache_to"])]
    pub no_remote_cache: bool,
}

impl SharingArguments {
    /// What the template's `sharing` and the flags mean together.
    fn over(&self, sharing: &Sharing) -> Sharing {
        if self.no_remote_cache {
            return Sharing::default();
        }
        let list = |flags: &[Repository], template: &[Repository]| match flags {
            [] => template.to_vec(),
            flags => flags.to_vec(),
        };
        Sharing {
            from: list(&self.cache_from, &sharing.from),
            to: list(&self.cache_to, &sharing.to),
            mode: self.cache_mode.unwrap_or(sharing.mode),
        }
    }
}

/// The cache of a run.
pub fn cache(
    arguments: &SharingArguments,
    template: &Sharing,
    environment: &Environment,
    surroundings: &Surroundings,
    warn: Warn,
) -> Cache {
    let store = environment.store.clone();
    let sharing = arguments.over(template);
    let mut settings = surroundings.registry_settings(&environment.cancel);
    settings.budget = PATIENCE;
    let reader = Client::new(settings);
    Cache::shared(store, reader, environment.registries.clone(), sharing, warn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_replace_the_lists_of_the_template() {
        let list = |names: &[&str]| -> Vec<Repository> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let template = Sharing {
            from: list(&["example.com/a"]),
            to: list(&["example.com/b"]),
            mode: Mode::Max,
        };
        let mut flags = SharingArguments {
            cache_from: list(&["example.com/c", "example.com/d"]),
            cache_to: Vec::new(),
            cache_mode: None,
            no_remote_cache: false,
        };
        let sharing = flags.over(&template);
        assert_eq!(sharing.from, flags.cache_from);
        assert_eq!((sharing.to, sharing.mode), (template.to.clone(), Mode::Max));
        flags.no_remote_cache = true;
        assert_eq!(flags.over(&template), Sharing::default());
    }
}
