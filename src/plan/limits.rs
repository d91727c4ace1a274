//! The block `limits` of a provisioner: what the commands of a step may use.
//!
//! Limits decide whether there is a result, not which; so they are no part of a key.

use super::mount::size;
use crate::sandbox::Limits;
use crate::template::Arguments;

/// The fewest processes that a shell and its command need.
const FEWEST_PROCESSES: u64 = 2;
/// The fewest open files that a program with shared libraries needs.
const FEWEST_OPEN_FILES: u64 = 8;
/// Less memory than any program starts with.
const LEAST_MEMORY: u64 = 1 << 20;

/// Decodes the block; what is wrong is reported.
pub fn decode(arguments: &Arguments<'_>) -> Limits {
    let Some(block) = arguments.block("limits") else {
        return Limits::default();
    };
    let bytes = |name: &str, least: u64| {
        let text = block.optional::<String>(name)?;
        let size = size(&block, name, &text)?;
        at_least(&block, name, size, least)
    };
    let count = |name: &str, least: u64| {
        let count = block.optional::<u64>(name)?;
        at_least(&block, name, count, least)
    };
    let cpu_time = block.optional::<std::time::Duration>("cpu_time");
    if cpu_time.is_some_and(|time| time.is_zero()) {
        block.error(block.span("cpu_time"), "`cpu_time` cannot be nothing", &[]);
    }
    let limits = Limits {
        memory: bytes("memory", LEAST_MEMORY),
        processes: count("processes", FEWEST_PROCESSES),
        open_files: count("open_files", FEWEST_OPEN_FILES),
        file_size: bytes("file_size", 1),
        cpu_time,
    };
    block.finish();
    limits
}

fn at_least(block: &Arguments<'_>, name: &str, value: u64, least: u64) -> Option<u64> {
    if value >= least {
        return Some(value);
    }
    block.error(
        block.span(name),
        format!("`{name}` cannot be less than {least}"),
        &["no command could start"],
    );
    None
}
