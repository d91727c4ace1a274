//! The `hardtack` binary: a sandbox helper if it was started as one, else the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    hardtack::sandbox::dispatch();
    hardtack::cli::main(std::env::args_os())
}
