//! Surroundings: all that a run takes from its process, collected once and passed down.

use super::arguments::Arguments;
use super::error::CommandError;
use super::operator::Nobody;
use super::registries::RegistryChoices;
use crate::build::event::{Event, EventSink, Level};
use crate::build::{Environment, OnError, OtherImages};
use crate::cache::{Cache, Warn};
use crate::check::Results;
use crate::postprocess::JointIndexes;
use crate::registry::{Client, Settings};
use crate::sandbox::{self, Cancel, Confinement, LazySandbox};
use crate::store::Store;
use crate::ui::Size;
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a command may know about the process it runs in.
#[derive(Debug)]
pub struct Surroundings {
    /// The working directory.
    pub working_folder: PathBuf,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// The folder of the store; none if nothing says where it is.
    store: Option<PathBuf>,
    /// The environment; variables that are not UTF-8 cannot be used in a template and are left out.
    pub environment: BTreeMap<String, String>,
    /// When the run began.
    pub now: jiff::Timestamp,
    /// Names the run, a random UUID.
    pub run_id: String,
    /// The user's time zone.
    pub zone: jiff::tz::TimeZone,
    /// `SOURCE_DATE_EPOCH`, seconds since 1970.
    pub source_date_epoch: Option<i64>,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// Whether messages may be coloured.
    pub color: bool,
    /// Whether Packer's machine-readable lines are asked for.
    pub machine_readable: bool,
    /// The least isolation that steps may run with.
    pub isolation: Confinement,
    /// How registries are reached.
    registries: RegistryChoices,
}

impl Surroundings {
    /// Reads the process' environment, working directory, clock and terminal.
    pub fn collect(arguments: &Arguments) -> Result<Self, CommandError> {
        let working_folder = env::current_dir().map_err(|error| {
            CommandError::user(
                anyhow::Error::new(error).context("cannot find the working directory"),
            )
            .hint("change to a folder that exists")
        })?;
        let environment: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let home = env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from);
        let data_home = env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| home.as_ref().map(|home| home.join(".local/share")));
        // An empty HARDTACK_STORE is as good as none.
        let given = arguments
            .store
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty());
        let store = match given {
            Some(store) => Some(working_folder.join(store)),
            None => data_home.map(|data_home| data_home.join("hardtack")),
        };
        let source_date_epoch = match environment.get("SOURCE_DATE_EPOCH") {
            None => None,
            Some(text) if text.is_empty() => None,
            Some(text) => Some(epoch(text)?),
        };
        let stderr_is_terminal = std::io::stderr().is_terminal();
        let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        let color = stderr_is_terminal
            && !is_set("NO_COLOR")
            && !is_set("PACKER_NO_COLOR")
            && environment.get("TERM").is_none_or(|term| term != "dumb");
        let registries = arguments.registries.choices(&working_folder)?;
        Ok(Self {
            working_folder,
            home,
            store,
            now: jiff::Timestamp::now(),
            run_id: run_id(),
            zone: jiff::tz::TimeZone::system(),
            source_date_epoch,
            stderr_is_terminal,
            color,
            machine_readable: arguments.machine_readable,
            isolation: arguments.isolation,
            registries,
            environment,
        })
    }

    /// The folder of the store.
    pub fn store_folder(&self) -> Result<&Path, CommandError> {
        self.store.as_deref().ok_or_else(|| {
            CommandError::user(anyhow!("there is no folder for the store"))
                .hint("set HOME or XDG_DATA_HOME, or name a folder with --store")
        })
    }

    /// How registries are reached.
    pub fn registry_settings(&self, cancel: &Cancel) -> Settings {
        let cancel = cancel.clone();
        Settings {
            environment: self.environment.clone(),
            home: self.home.clone(),
            insecure: self.registries.insecure.clone(),
            mirrors: self.registries.mirrors.clone(),
            authorities: self.registries.authorities.clone(),
            budget: self.registries.budget,
            is_cancelled: Arc::new(move || cancel.is_cancelled()),
        }
    }

    /// How the sandbox is set up.
    pub fn sandbox_settings(&self) -> sandbox::Settings {
        sandbox::Settings {
            least: self.isolation,
            ..sandbox::Settings::default()
        }
    }

    /// What builds share, with everything at its default.
    pub fn build_environment(&self, store: Store, events: Arc<dyn EventSink>) -> Environment {
        let cancel = Cancel::default();
        let registries = Client::new(self.registry_settings(&cancel));
        let warn = warnings(&events);
        Environment {
            cache: Cache::local(store.clone(), registries.clone(), Arc::clone(&warn)),
            sandbox: LazySandbox::for_steps(self.sandbox_settings(), store.clone(), warn),
            store,
            pins: Arc::default(),
            registries,
            joint: JointIndexes::default(),
            events,
            cancel,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            parallel_builds: None,
            no_cache: false,
            skip_tests: false,
            test_results: Results::default(),
            on_error: OnError::default(),
            debug: false,
            force: false,
            operator: Arc::new(Nobody),
            now: self.now,
            source_date_epoch: self.source_date_epoch,
            run_id: self.run_id.clone(),
            working_folder: self.working_folder.clone(),
            said: Mutex::default(),
            others: OtherImages::default(),
        }
    }
}

/// Makes events of warnings.
pub fn warnings(events: &Arc<dyn EventSink>) -> Warn {
    let events = Arc::clone(events);
    Arc::new(move |text| {
        events.emit(Event::Notice {
            build: None,
            level: Level::Warning,
            text,
        });
    })
}

/// Reads `SOURCE_DATE_EPOCH`: a time from 1970 to 9999, the last year that RFC 3339 can write.
fn epoch(text: &str) -> Result<i64, CommandError> {
    let seconds = text.parse().ok();
    seconds
        .filter(|seconds| (0..=253_402_300_799).contains(seconds))
        .ok_or_else(|| {
            CommandError::user(anyhow!(
                "SOURCE_DATE_EPOCH is {text:?}, which is not a time in seconds since 1970"
            ))
            .hint("set it to a whole number such as 1735689600, or unset it")
        })
}

/// The shell that asks for completion and not for a command.
pub fn completing_shell() -> Option<OsString> {
    env::var_os(super::completion::VARIABLE).filter(|shell| !shell.is_empty())
}

/// The file that this process was started from.
pub fn program() -> Option<PathBuf> {
    env::current_exe().ok()
}

/// The size of the terminal on stderr at this moment.
pub fn terminal_size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    Some(Size {
        columns: size.ws_col,
        rows: size.ws_row,
    })
}

/// Fills `bytes` from the kernel's random numbers.
pub fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(length) => filled += length,
            Err(rustix::io::Errno::INTR) => {}
            // Linux has it since 3.17; without it there are no random values to give.
            Err(_) => return,
        }
    }
}

/// A random UUID (RFC 9562, version 4), which names one run.
fn run_id() -> String {
    let mut bytes = [0u8; 16];
    random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
