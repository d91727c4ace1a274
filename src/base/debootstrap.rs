//! The `debootstrap` source: a Debian root made by the host's `mmdebstrap`.
//!
//! The result is kept by suite, mirrors, components, variant and packages; what follows keys on
//! its content. The source date epoch is the date of the suite's release file, so that two runs
//! against the same state of the mirror give the same bytes.

use super::{Base, BaseError, Context, PrepareContext, ResolvedBase, imported};
use crate::digest::{Digest, StepKey};
use crate::image::Image;
use crate::sandbox::host_command::{self, HostCommand};
use crate::sandbox::{Isolation, Task, TaskReport};
use crate::template::Arguments;
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
/// Part of apt, on which mmdebstrap depends; it knows the host's proxies and methods.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";
const VARIANTS: [&str; 10] = [
    "extract",
    "custom",
    "essential",
    "apt",
    "buildd",
    "minbase",
    "required",
    "important",
    "standard",
    "debootstrap",
];
/// Whether apt gave these folders to its own user depends on whether that user could enter them.
const OWNERS_HOOK: &str = r#"for folder in cache/apt/archives lib/apt/lists; do
    if [ -d "$1/var/$folder/partial" ] && chroot "$1" getent passwd _apt > /dev/null; then
        chroot "$1" chown _apt:root "/var/$folder/partial"
    fi
done"#;
/// How many of mmdebstrap's last lines an error shows.
const ERROR_LINES: usize = 15;

/// A `debootstrap` source.
#[derive(Clone, Debug)]
struct Debootstrap {
    suite: String,
    mirrors: Vec<String>,
    components: Vec<String>,
    variant: String,
    packages: Vec<String>,
    keyring: Option<String>,
    architecture: String,
}

/// Decodes the options of a `debootstrap` source.
pub fn prepare(arguments: &Arguments<'_>, context: &PrepareContext) -> Option<Box<dyn Base>> {
    let suite: Option<String> = arguments.required("suite");
    let mirror: Option<String> = arguments.optional("mirror");
    let mirrors: Option<Vec<String>> = arguments.optional("mirrors");
    let components: Option<Vec<String>> = arguments.optional("components");
    let variant: String = arguments
        .optional("variant")
        .unwrap_or_else(|| "minbase".to_owned());
    let packages: Vec<String> = arguments.optional("packages").unwrap_or_default();
    let keyring: Option<String> = arguments.optional("keyring");
    let mut valid = true;
    if mirror.is_some() && mirrors.is_some() {
        arguments.error(
            arguments.span("mirrors"),
            "mirror and mirrors cannot be given together",
            &[],
        );
        valid = false;
    }
    if !VARIANTS.contains(&variant.as_str()) {
        arguments.error(
            arguments.span("variant"),
            format!("{variant:?} is not a variant of mmdebstrap"),
            &[&format!("variants are {}", VARIANTS.join(", "))],
        );
        valid = false;
    }
    let is_word = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.:_/~*?=".contains(c))
    };
    let suites: Vec<String> = suite.iter().cloned().collect();
    for (option, words) in [("suite", &suites), ("packages", &packages)] {
        for word in words.iter().filter(|word| !is_word(word)) {
            arguments.error(
                arguments.span(option),
                format!("{word:?} is not a name that apt knows"),
                &[],
            );
            valid = false;
        }
    }
    // A bare mirror stands for suite and components; a line of sources.list says it all.
    let mirrors = mirrors
        .or(mirror.map(|mirror| vec![mirror]))
        .unwrap_or_else(|| vec![DEFAULT_MIRROR.to_owned()]);
    if mirrors.is_empty() {
        arguments.error(arguments.span("mirrors"), "mirrors must not be empty", &[]);
        valid = false;
    }
    let suite = suite?;
    valid.then(|| {
        Box::new(Debootstrap {
            suite,
            mirrors,
            components: components.unwrap_or_else(|| vec!["main".to_owned()]),
            variant,
            packages,
            keyring,
            architecture: debian_architecture(&context.platform.architecture.to_string()),
        }) as Box<dyn Base>
    })
}

impl Debootstrap {
    /// The address of the first mirror, without the other parts of a sources.list line.
    fn mirror_address(&self) -> &str {
        let first = self.mirrors.first().map_or(DEFAULT_MIRROR, String::as_str);
        first
            .split_whitespace()
            .find(|word| word.contains(':'))
            .unwrap_or(first)
    }

    /// Fetches the suite's release file and reads its date, in seconds since 1970.
    fn release_date(&self, context: &Context<'_>, folder: &Path) -> Result<i64, BaseError> {
        let error = |problem: String| BaseError::Release {
            suite: self.suite.clone(),
            mirror: self.mirror_address().to_owned(),
            problem,
        };
        let address = self.mirror_address().trim_end_matches('/');
        let mut problems = String::new();
        for name in ["InRelease", "Release"] {
            let path = folder.join(name);
            let mut lines = Vec::new();
            let status = host_command::run(
                &HostCommand {
                    argv: vec![
                        APT_HELPER.to_owned(),
                        "-oAcquire::Retries=2".to_owned(),
                        "download-file".to_owned(),
                        format!("{address}/dists/{}/{name}", self.suite),
                        path.display().to_string(),
                    ],
                    environment: Vec::new(),
                    working_folder: folder.to_owned(),
                    stdout: None,
                },
                &mut |_, line| lines.push(line.to_owned()),
                context.cancel,
            )?;
            if status == 0 {
                let text = fs::read(&path).map_err(BaseError::read(&path))?;
                return parse_release_date(&String::from_utf8_lossy(&text)).map_err(error);
            }
            problems = lines.join("; ");
        }
        Err(error(problems))
    }

    /// Runs mmdebstrap, which writes its tar to `output`.
    fn bootstrap(
        &self,
        context: &Context<'_>,
        epoch: i64,
        folder: &Path,
        output: &Path,
    ) -> Result<(), BaseError> {
        let sandbox = context.sandbox.get()?;
        let mut environment = vec![
            ("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string()),
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
            ("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned()),
        ];
        let mut working_folder = PathBuf::from("/");
        if sandbox.isolation() == Isolation::Root {
            environment.push(("TMPDIR".to_owned(), folder.display().to_string()));
            working_folder = folder.to_owned();
        }
        // Otherwise it works as subordinate ids, which may not enter the store.
        let mut argv: Vec<String> = match sandbox.isolation() {
            // Its mounts end with its namespace, even if everything is killed.
            Isolation::Root => ["unshare", "--mount", "--", "mmdebstrap", "--mode=root"]
                .map(str::to_owned)
                .into(),
            _ => ["mmdebstrap", "--mode=unshare"].map(str::to_owned).into(),
        };
        argv.extend([
            format!("--variant={}", self.variant),
            format!("--architectures={}", self.architecture),
            format!("--components={}", self.components.join(",")),
            "--format=tar".to_owned(),
            // Every run-time brings its own /dev.
            "--skip=output/dev".to_owned(),
            "--skip=output/mknod".to_owned(),
            format!("--customize-hook={OWNERS_HOOK}"),
        ]);
        if !self.packages.is_empty() {
            argv.push(format!("--include={}", self.packages.join(",")));
        }
        if let Some(keyring) = &self.keyring {
            argv.push(format!("--keyring={keyring}"));
        }
        argv.extend([self.suite.clone(), "-".to_owned()]);
        argv.extend(self.mirrors.iter().cloned());

        let mut lines: Vec<String> = Vec::new();
        let file = File::create(output).map_err(BaseError::read(output))?;
        let status = host_command::run(
            &HostCommand {
                argv,
                environment,
                working_folder,
                stdout: Some(file),
            },
            &mut |_, line| {
                (context.output)(line);
                if lines.len() == ERROR_LINES {
                    lines.remove(0);
                }
                lines.push(line.to_owned());
            },
            context.cancel,
        )?;
        if status != 0 {
            return Err(BaseError::ProgramFailed {
                program: "mmdebstrap",
                status,
                lines,
            });
        }
        Ok(())
    }
}

/// Reads the `Date` field of a release file (Debian repository format), RFC 2822 in UTC.
fn parse_release_date(text: &str) -> Result<i64, String> {
    let date = text
        .lines()
        .find_map(|line| line.strip_prefix("Date:"))
        .ok_or("it has no Date field")?
        .trim()
        .replace(" UTC", " +0000")
        .replace(" GMT", " +0000");
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(&date)
        .map(|date| date.as_second())
        .map_err(|error| format!("its date {date:?} cannot be read: {error}"))
}

impl Base for Debootstrap {
    fn kind(&self) -> &'static str {
        "debootstrap"
    }

    fn description(&self) -> String {
        format!("{} from {}", self.suite, self.mirror_address())
    }

    fn resolve(
        &self,
        context: &Context<'_>,
        _built: Option<&Image>,
    ) -> Result<ResolvedBase, BaseError> {
        let key = json!({
            "format": 1,
            "source": "debootstrap",
            "suite": self.suite,
            "mirrors": self.mirrors,
            "components": self.components,
            "variant": self.variant,
            "packages": self.packages,
            "keyring": self.keyring,
            "architecture": self.architecture,
            "epoch": context.source_date_epoch,
        });
        let key = StepKey(Digest::of(key.to_string()));
        let created_by = format!("debootstrap {}", self.suite);
        imported::layer(context, key, &created_by, |root| {
            if !is_installed("mmdebstrap") {
                return Err(BaseError::MissingProgram {
                    program: "mmdebstrap",
                    remedy: "install it: apt-get install mmdebstrap",
                });
            }
            let sandbox = context.sandbox.get()?;
            let scratch = context.store.scratch()?;
            let folder = scratch.path().to_owned();
            let epoch = match context.source_date_epoch {
                Some(epoch) => epoch,
                None => self.release_date(context, &folder)?,
            };
            let archive = folder.join("root.tar");
            self.bootstrap(context, epoch, &folder, &archive)?;
            let task = Task::Extract {
                archive,
                expected: None,
                into: root.to_owned(),
                lowers: Vec::new(),
                whiteouts: false,
                epoch,
            };
            match sandbox.task(&task, context.cancel)? {
                TaskReport::Extracted(_) => {
                    // Left out above with what is in it.
                    let dev = root.join("dev");
                    std::fs::create_dir(&dev).map_err(BaseError::read(&dev))?;
                    Ok(epoch)
                }
                other => Err(other.unexpected("extract").into()),
            }
        })
    }
}

/// Debian's name for an architecture of OCI's.
fn debian_architecture(name: &str) -> String {
    match name {
        "386" => "i386",
        "arm" => "armhf",
        "ppc64le" => "ppc64el",
        name => name,
    }
    .to_owned()
}

/// Whether a program is in one of the folders where hosts keep programs.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/usr/local/bin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_release_file_is_read() {
        let text = "Origin: Debian\nDate: Sat, 17 May 2025 09:04:27 UTC\nValid-Until: x\n";
        assert_eq!(parse_release_date(text), Ok(1_747_472_667));
        assert!(parse_release_date("Origin: Debian\n").is_err());
        assert!(parse_release_date("Date: yesterday\n").is_err());
    }
}
