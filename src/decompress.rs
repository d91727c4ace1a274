//! Decompression: reads an archive whatever it is compressed with: gzip, zstd, xz, bzip2 or not at all.
//!
//! The first bytes decide, not a media type or a file name. All formats may consist of several
//! members or frames one after the other; anything else after the last one is an error, as is an
//! end that comes too early. How much may come out is for the reader of the output to limit (see
//! `ExtractLimits`): no decoder here holds more than its window in memory, at most 128 MiB.

use bzip2::read::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::io::{self, BufRead, BufReader, Read};

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz file format.
    Xz,
    /// bzip2.
    Bzip2,
}

/// The largest dictionary of an .xz stream, in KiB: more than `xz -9` uses (64 MiB).
const XZ_MEMORY_KIB: u32 = 192 * 1024;

const BUFFER: usize = 128 * 1024;

impl Compression {
    /// Recognises the format of a file that begins with `start`; six bytes are enough.
    pub fn of(start: &[u8]) -> Self {
        const SKIPPABLE_ZSTD_FRAME: &[u8] = &[0x2a, 0x4d, 0x18];
        if start.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
            || (start.first().is_some_and(|byte| byte & 0xf0 == 0x50)
                && start.get(1..4) == Some(SKIPPABLE_ZSTD_FRAME))
        {
            Self::Zstd
        } else if start.starts_with(b"\xfd7zXZ\0") {
            Self::Xz
        } else if start.starts_with(b"BZh") && start.get(3).is_some_and(u8::is_ascii_digit) {
            Self::Bzip2
        } else {
            Self::None
        }
    }

    /// The plain content of `compressed`, which begins where the file does.
    pub fn reader<'a>(self, compressed: impl Read + Send + 'a) -> Box<dyn Read + Send + 'a> {
        let compressed = BufReader::with_capacity(BUFFER, compressed);
        match self {
            Self::None => Box::new(compressed),
            Self::Gzip => Box::new(MultiGzDecoder::new(compressed)),
            Self::Zstd => Box::new(ZstdReader::new(compressed)),
            Self::Xz => Box::new(XzReader::new_mem_limit(compressed, true, XZ_MEMORY_KIB)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(compressed)),
        }
    }
}

/// Returns a reader of what `input` holds, decompressed, and how it was compressed.
///
/// # Errors
///
/// If the first bytes cannot be read. What is wrong with the compressed data itself is reported
/// when it is read.
pub fn decompress<'a>(
    input: impl Read + Send + 'a,
) -> io::Result<(Box<dyn Read + Send + 'a>, Compression)> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut start = Vec::with_capacity(6);
    input.by_ref().take(6).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let reader = compression.reader(io::Cursor::new(start).chain(input));
    Ok((reader, compression))
}

/// Decodes all frames of a zstd file, one after the other, and skips the skippable ones.
struct ZstdReader<R> {
    input: R,
    decoder: FrameDecoder,
    state: ZstdState,
}

#[derive(PartialEq, Eq)]
enum ZstdState {
    BetweenFrames,
    InFrame,
    Failed,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            decoder: FrameDecoder::new(),
            state: ZstdState::BetweenFrames,
        }
    }

    /// Begins the next frame; returns false at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(
                        &mut self.input.by_ref().take(length.into()),
                        &mut io::sink(),
                    )?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }

    fn read_frames(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.state == ZstdState::BetweenFrames {
                if !self.next_frame()? {
                    return Ok(0);
                }
                self.state = ZstdState::InFrame;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(
                        &mut self.input,
                        ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1),
                    )
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            self.state = ZstdState::BetweenFrames;
        }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.state == ZstdState::Failed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let result = self.read_frames(buffer);
        if result.is_err() {
            self.state = ZstdState::Failed;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// Compresses `input` with the tool of the system; none if it is not installed.
    fn with_tool(tool: &str, input: &[u8]) -> Option<Vec<u8>> {
        let mut child = Command::new(tool)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input).unwrap());
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success());
        Some(output.stdout)
    }

    fn read_all(input: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        decompress(input)?.0.read_to_end(&mut output)?;
        Ok(output)
    }

    #[test]
    fn every_format_is_read_to_its_end_and_no_further() {
        let text = (0..60_000).map(|n| format!("{n}\n")).collect::<String>();
        let mut tried = 0;
        for (tool, compression) in [
            ("gzip", Compression::Gzip),
            ("zstd", Compression::Zstd),
            ("xz", Compression::Xz),
            ("bzip2", Compression::Bzip2),
        ] {
            let Some(packed) = with_tool(tool, text.as_bytes()) else {
                eprintln!("{tool} is not installed");
                continue;
            };
            tried += 1;
            assert_eq!(Compression::of(&packed), compression);
            assert_eq!(read_all(&packed).unwrap(), text.as_bytes(), "{tool}");
            let twice = [&packed[..], &packed].concat();
            assert_eq!(
                read_all(&twice).unwrap(),
                [&text[..], &text].concat().as_bytes()
            );
            for cut in [packed.len() - 1, packed.len() / 2, 7] {
                assert!(read_all(&packed[..cut]).is_err(), "{tool} cut at {cut}");
            }
            let cut_in_second = &twice[..packed.len() + 3];
            assert!(read_all(cut_in_second).is_err(), "{tool}");
            for garbage in [&b"garbage, and not too short"[..], &[0; 512], b"x"] {
                // Zeros between and after streams are part of the .xz format.
                if tool == "xz" && garbage.starts_with(&[0]) {
                    continue;
                }
                let trailed = [&packed[..], garbage].concat();
                assert!(
                    read_all(&trailed).is_err(),
                    "{tool}, {} bytes more",
                    garbage.len()
                );
            }
            let mut flipped = packed.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 0x55;
            assert!(read_all(&flipped).map_or(true, |out| out != text.as_bytes()));
        }
        assert!(tried > 0);
    }

    #[test]
    fn short_and_plain_inputs_pass_through() {
        for input in [&b""[..], b"a", b"\x1f", b"BZ", b"plain text"] {
            assert_eq!(Compression::of(input), Compression::None);
            assert_eq!(read_all(input).unwrap(), input);
        }
    }

    #[test]
    fn skippable_zstd_frames_are_skipped() {
        let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        assert_eq!(read_all(&skippable).unwrap(), b"");
        assert!(read_all(&skippable[..9]).is_err());
    }
}
