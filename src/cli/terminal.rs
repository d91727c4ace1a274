//! The terminal, asked for what nobody else may see.

use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal as _, Stdin, Write as _};

/// The longest answer, in bytes.
const LONGEST: usize = 64 * 1024;

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// A line.
    Answer(String),
    /// There is no terminal.
    Nobody,
    /// The question was left by Control-C or the end of the input.
    Refused,
}

/// Asks on the terminal and reads a line that is not shown.
pub fn ask_secret(question: &str) -> Asked {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Asked::Nobody;
    }
    let Some(hidden) = Hidden::begin(&stdin) else {
        return Asked::Nobody;
    };
    let mut stderr = io::stderr();
    // Whoever does not see the question can still answer it.
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let answer = read(&stdin);
    drop(hidden);
    let _ = writeln!(stderr);
    answer
}

fn read(stdin: &Stdin) -> Asked {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        match rustix::io::read(stdin, &mut byte) {
            Ok(1..) => {}
            Err(Errno::INTR) => continue,
            Ok(0) | Err(_) => return Asked::Refused,
        }
        match byte[0] {
            b'\n' | b'\r' => return Asked::Answer(String::from_utf8_lossy(&line).into_owned()),
            // Control-C, Control-D: with no line editing by the terminal they are bytes like others.
            3 => return Asked::Refused,
            4 if line.is_empty() => return Asked::Refused,
            // Backspace takes away a whole character.
            8 | 127 => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Control-U
            21 => line.clear(),
            byte if line.len() < LONGEST => line.push(byte),
            _ => {}
        }
    }
}

/// The terminal while it shows nothing of what is typed, and sends no signals, so that nothing
/// ends the process before the terminal is as it was.
struct Hidden<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn begin(stdin: &'a Stdin) -> Option<Self> {
        let before = tcgetattr(stdin).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(stdin, OptionalActions::Flush, &hidden).ok()?;
        Some(Self { stdin, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // There is nothing else to try.
        let _ = tcsetattr(self.stdin, OptionalActions::Flush, &self.before);
    }
}
