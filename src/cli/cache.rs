//! `hardtack cache`: looks after the results of steps.

use super::amounts;
use super::build::open_store;
use super::error::CommandError;
use super::output;
use super::surroundings::Surroundings;
use crate::cache::mounts;
use crate::cache::prune::prune;
use crate::cache::transfer::{self, Transferred};
use crate::cache::{Inventory, Policy, Removal, Usage};
use crate::digest::StepKey;
use crate::format;
use crate::plan::key::KeyMaterial;
use crate::sandbox::{Cancel, LazySandbox};
use crate::store::inventory::StepEntry;
use crate::store::{Store, StoreError};
use crate::ui::table::{Align, Table};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// `hardtack cache`.
#[derive(Args, Debug)]
pub struct CacheArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// The commands about the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// List the results of steps.
    Ls(ListArguments),
    /// Show how much of the disk the store takes, and how much of that could go.
    Du(ListArguments),
    /// Remove what is of no use; with options, also what has not been used for long, what does not
    /// fit into a size, or everything but images.
    Prune(PruneArguments),
    /// Write the results of steps with their layers to a folder or a file, for another store.
    Export(TransferArguments),
    /// Take in what `export` has written.
    Import(TransferArguments),
}

/// `hardtack cache ls` and `hardtack cache du`.
#[derive(Args, Debug)]
pub struct ListArguments {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `hardtack cache prune`.
#[derive(Args, Debug)]
pub struct PruneArguments {
    /// Remove what has not been used for so long: 30m, 12h, 7d, 2w.
    #[arg(long, value_name = "AGE", value_parser = amounts::age)]
    pub older_than: Option<Duration>,

    /// Remove what was not used for the longest time until the store takes no more of the disk
    /// than this: 500MB, 20GB, 4GiB.
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    pub keep_size: Option<u64>,

    /// Remove all results and unpacked layers; images stay.
    #[arg(long, conflicts_with_all = ["older_than", "keep_size"])]
    pub all: bool,

    /// Only say what would go.
    #[arg(long)]
    pub dry_run: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `hardtack cache export` and `hardtack cache import`.
#[derive(Args, Debug)]
pub struct TransferArguments {
    /// A folder in the OCI image layout, or a tar of one, whose name ends in .tar.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Take along what mounts of the kind "cache" hold.
    #[arg(long)]
    pub mounts: bool,
}

/// Runs the command.
pub fn run(
    arguments: &CacheArguments,
    surroundings: &Surroundings,
) -> Result<ExitCode, CommandError> {
    let store = open_store(surroundings)?;
    match &arguments.command {
        CacheCommand::Ls(arguments) => list(arguments, &store, surroundings),
        CacheCommand::Du(arguments) => usage(arguments, &store, surroundings),
        CacheCommand::Prune(arguments) => remove(arguments, &store, surroundings),
        CacheCommand::Export(arguments) => {
            let path = surroundings.working_folder.join(&arguments.path);
            let packed = match arguments.mounts {
                true => mounts::pack(&store, &sandbox(surroundings), surroundings.now),
                false => Ok(Vec::new()),
            };
            let packed = packed.map_err(CommandError::host)?;
            let done = transfer::export(&store, &path, &packed);
            mounts::discard(&store, &packed).map_err(CommandError::host)?;
            let done = done.with_context(|| format!("cannot export to {}", path.display()))?;
            say_mounts("exported", packed.len());
            print_transferred("exported", &done)
        }
        CacheCommand::Import(arguments) => {
            let path = surroundings.working_folder.join(&arguments.path);
            let done = transfer::import(&store, &path);
            let done = done.with_context(|| format!("cannot import {}", path.display()))?;
            if arguments.mounts {
                let now = surroundings.now.into();
                let count = mounts::import(&store, &sandbox(surroundings), &path, now);
                let count = count.with_context(|| format!("cannot import {}", path.display()))?;
                say_mounts("imported", count);
            }
            print_transferred("imported", &done)
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

fn sandbox(surroundings: &Surroundings) -> LazySandbox {
    LazySandbox::new(surroundings.sandbox_settings())
}

fn say_mounts(what: &str, count: usize) {
    if count > 0 {
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(
            std::io::stderr(),
            "{what} {}",
            format::count(count, "mount")
        );
    }
}

fn print_transferred(what: &str, done: &Transferred) -> Result<(), CommandError> {
    for skipped in &done.skipped {
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(std::io::stderr(), "warning: left out {skipped}");
    }
    let count = format::count(done.records, "result");
    output::print(&format!("{what} {count}, {}\n", format::bytes(done.bytes)))
}

fn list(
    arguments: &ListArguments,
    store: &Store,
    surroundings: &Surroundings,
) -> Result<(), CommandError> {
    let mut steps = store.steps().map_err(CommandError::host)?;
    // The last used first; keys decide between equals.
    steps.sort_by(|a, b| (b.file.used, &a.file.path).cmp(&(a.file.used, &b.file.path)));
    let builds = builds_by_key(store).map_err(CommandError::host)?;
    if arguments.json {
        let steps = steps.iter().filter_map(|step| as_json(step, &builds));
        return output::print_json(&Value::Array(steps.collect()));
    }
    let mut table = Table::new([
        ("KEY", Align::Left),
        ("BUILD", Align::Left),
        ("STEP", Align::Left),
        ("LAYER", Align::Right),
        ("CREATED", Align::Left),
        ("USED", Align::Left),
        ("SHARED", Align::Left),
    ]);
    for step in &steps {
        let Some(record) = &step.record else { continue };
        let age = |time: Option<jiff::Timestamp>| {
            time.map_or_else(
                || "?".to_owned(),
                |time| format::age(time, surroundings.now),
            )
        };
        let layer = record.layer.as_ref();
        table.push([
            record.key.0.short(),
            builds
                .get(&record.key)
                .map_or("-", |build| build)
                .to_owned(),
            record.provisioner.clone(),
            layer.map_or_else(|| "-".to_owned(), |layer| format::bytes(layer.size)),
            age(record.created.parse().ok()),
            age(step.file.used.try_into().ok()),
            match &record.source {
                Some(source) => format!("from {source}"),
                None if record.shared.is_empty() => "-".to_owned(),
                None => format!("to {}", record.shared.join(", ")),
            },
        ]);
    }
    output::print(&table.to_string())
}

/// The builds that last used each key, as far as the store remembers.
fn builds_by_key(store: &Store) -> Result<BTreeMap<StepKey, String>, StoreError> {
    let mut builds: BTreeMap<StepKey, String> = BTreeMap::new();
    for (build, _, material) in store.histories()? {
        let names = builds.entry(KeyMaterial::of_document(material).key());
        names
            .and_modify(|names| {
                names.push_str(", ");
                names.push_str(&build);
            })
            .or_insert(build);
    }
    Ok(builds)
}

fn as_json(step: &StepEntry, builds: &BTreeMap<StepKey, String>) -> Option<Value> {
    let record = step.record.as_ref()?;
    let used = jiff::Timestamp::try_from(step.file.used).ok();
    Some(json!({
        "key": record.key,
        "build": builds.get(&record.key),
        "step": record.provisioner,
        "layer": record.layer,
        "created": record.created,
        "used": used.map(|used| used.to_string()),
        "seconds": record.seconds,
        "source": record.source,
        "shared": record.shared,
    }))
}

fn usage(
    arguments: &ListArguments,
    store: &Store,
    surroundings: &Surroundings,
) -> Result<(), CommandError> {
    let sandbox = LazySandbox::new(surroundings.sandbox_settings());
    let inventory =
        Inventory::take(store, &sandbox, &Cancel::default()).map_err(CommandError::host)?;
    let usage = inventory.usage(surroundings.now.into());
    let total = inventory.disk();
    let reclaimable: u64 = usage.iter().map(|kind| kind.reclaimable).sum();
    if arguments.json {
        let kinds: Vec<_> = usage.iter().map(usage_json).collect();
        return output::print_json(&json!({
            "store": store.root().display().to_string(),
            "kinds": kinds,
            "bytes": total,
            "reclaimable": reclaimable,
        }));
    }
    let mut table = Table::new([
        ("KIND", Align::Left),
        ("COUNT", Align::Right),
        ("DISK", Align::Right),
        ("RECLAIMABLE", Align::Right),
    ]);
    for kind in &usage {
        let name = match &kind.namespace {
            Some(namespace) => format!("{} ({namespace})", kind.kind),
            None => kind.kind.to_owned(),
        };
        table.push([
            name,
            kind.count.to_string(),
            format::bytes(kind.disk),
            format::bytes(kind.reclaimable),
        ]);
    }
    table.push([
        "total".to_owned(),
        String::new(),
        format::bytes(total),
        format::bytes(reclaimable),
    ]);
    output::print(&table.to_string())
}

fn usage_json(usage: &Usage) -> Value {
    json!({
        "kind": usage.kind,
        "namespace": usage.namespace,
        "count": usage.count,
        "bytes": usage.disk,
        "reclaimable": usage.reclaimable,
    })
}

fn remove(
    arguments: &PruneArguments,
    store: &Store,
    surroundings: &Surroundings,
) -> Result<(), CommandError> {
    let policy = Policy {
        older_than: arguments.older_than,
        keep_size: arguments.keep_size,
        all: arguments.all,
    };
    let sandbox = LazySandbox::new(surroundings.sandbox_settings());
    let now = SystemTime::from(surroundings.now);
    let removal = if arguments.dry_run {
        let inventory =
            Inventory::take(store, &sandbox, &Cancel::default()).map_err(CommandError::host)?;
        inventory.decide(&policy, now)
    } else {
        let mut has_said = false;
        prune(store, &sandbox, &policy, now, || {
            if !has_said {
                has_said = true;
                // Nobody is left to be told if stderr is closed.
                let _ = writeln!(
                    std::io::stderr(),
                    "waiting for other runs of hardtack that use this store"
                );
            }
            ControlFlow::Continue(())
        })
        .map_err(|error| {
            let is_read_only = matches!(error, StoreError::ReadOnly { .. });
            let error = CommandError::host(error);
            match is_read_only {
                true => error.hint("only the owner of a store can remove what is in it"),
                false => error,
            }
        })?
    };
    if let Some(size) = policy.keep_size.filter(|size| *size < removal.left) {
        // As above.
        let _ = writeln!(
            std::io::stderr(),
            "warning: {} are left, more than {}: images are not removed",
            format::bytes(removal.left),
            format::bytes(size)
        );
    }
    print_removal(arguments, &removal)
}

fn print_removal(arguments: &PruneArguments, removal: &Removal) -> Result<(), CommandError> {
    if arguments.json {
        return output::print_json(&json!({
            "dry_run": arguments.dry_run,
            "steps": removal.steps.len(),
            "blobs": removal.blobs.len(),
            "trees": removal.trees.len(),
            "mounts": removal.mounts.len(),
            "notes": removal.notes.len(),
            "bytes": removal.disk,
            "left": removal.left,
        }));
    }
    output::print(&format!(
        "{} {}: {}, {}, {}{}; {} left\n",
        if arguments.dry_run {
            "would remove"
        } else {
            "removed"
        },
        format::bytes(removal.disk),
        format::count(removal.steps.len(), "result"),
        format::count(removal.blobs.len(), "blob"),
        format::count(removal.trees.len(), "unpacked layer"),
        match removal.mounts.len() {
            0 => String::new(),
            count => format!(", {}", format::count(count, "mount")),
        },
        format::bytes(removal.left),
    ))
}
