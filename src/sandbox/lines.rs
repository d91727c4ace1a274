//! Lines: what commands write, cut at line ends as it comes.

use super::OutputStream;

/// A program that never ends a line must not fill the memory.
const LINE_LIMIT: usize = 64 * 1024;

/// Turns chunks of two streams into lines.
#[derive(Debug, Default)]
pub struct LineSplitter {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl LineSplitter {
    /// Takes a chunk; emits the lines that it completes.
    pub fn feed(
        &mut self,
        stream: OutputStream,
        mut bytes: &[u8],
        emit: &mut impl FnMut(OutputStream, &[u8]),
    ) {
        let pending = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            pending.extend_from_slice(&bytes[..end]);
            emit(stream, without_return(pending));
            pending.clear();
            bytes = &bytes[end + 1..];
        }
        pending.extend_from_slice(bytes);
        if pending.len() > LINE_LIMIT {
            emit(stream, pending);
            pending.clear();
        }
    }

    /// Emits what is left of both streams.
    pub fn finish(&mut self, emit: &mut impl FnMut(OutputStream, &[u8])) {
        for (stream, pending) in [
            (OutputStream::Stdout, &mut self.stdout),
            (OutputStream::Stderr, &mut self.stderr),
        ] {
            if !pending.is_empty() {
                emit(stream, without_return(pending));
                pending.clear();
            }
        }
    }
}

/// The visible part of a line that a program redraws with carriage returns.
fn without_return(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_lines_in_order() {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        let mut emit = |stream, line: &[u8]| {
            lines.push((
                stream == OutputStream::Stderr,
                String::from_utf8_lossy(line).into_owned(),
            ));
        };
        splitter.feed(OutputStream::Stdout, b"one\ntw", &mut emit);
        splitter.feed(OutputStream::Stderr, b"error\r\n", &mut emit);
        splitter.feed(OutputStream::Stdout, b"o\n10%\r20%\nrest", &mut emit);
        splitter.finish(&mut emit);
        let expected = [
            (false, "one"),
            (true, "error"),
            (false, "two"),
            (false, "20%"),
            (false, "rest"),
        ];
        assert_eq!(
            lines,
            expected.map(|(stderr, line)| (stderr, line.to_owned()))
        );
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut splitter = LineSplitter::default();
        let mut count = 0;
        for _ in 0..100 {
            splitter.feed(OutputStream::Stdout, &[b'x'; 4096], &mut |_, _| count += 1);
        }
        assert!(count >= 5, "{count}");
        assert!(splitter.stdout.len() <= 64 * 1024 + 4096);
    }
}
