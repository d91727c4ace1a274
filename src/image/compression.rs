//! Compressed files of unknown kind: recognised by their first bytes, read as a stream.

use std::io::{self, BufRead, BufReader, Read};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all, or in a way that is not known here.
    None,
    /// gzip (RFC 1952), one or more members.
    Gzip,
    /// Zstandard (RFC 8878), one or more frames.
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// Recognises a file by its first bytes; six are enough.
    pub fn of(start: &[u8]) -> Self {
        const SKIPPABLE_ZSTD_FRAME: [u8; 3] = [0x2a, 0x4d, 0x18];
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x50..=0x5f, rest @ ..] if rest.starts_with(&SKIPPABLE_ZSTD_FRAME) => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::None,
        }
    }

    /// The plain content of `compressed`.
    pub fn reader<'a>(self, compressed: impl Read + 'a) -> Box<dyn Read + 'a> {
        let compressed = BufReader::with_capacity(256 * 1024, compressed);
        match self {
            Self::None => Box::new(compressed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(compressed)),
            Self::Zstd => Box::new(ZstdFrames::new(compressed)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                compressed, true, XZ_MEMORY,
            )),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(compressed)),
        }
    }
}

/// Memory for one xz stream, in KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 256 * 1024;

/// A decoder for all frames of a stream; ruzstd's own one stops after the first. The frames'
/// checksums are not looked at: all that is read here is checked against a digest.
struct ZstdFrames<R> {
    decoder: ruzstd::decoding::FrameDecoder,
    compressed: R,
    inside: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(compressed: R) -> Self {
        Self {
            decoder: ruzstd::decoding::FrameDecoder::new(),
            compressed,
            inside: false,
        }
    }

    /// Reads the header of the next frame that has content; false at the end of the stream.
    fn enter(&mut self) -> io::Result<bool> {
        use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
        while !self.compressed.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.compressed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped =
                        io::copy(&mut (&mut self.compressed).take(length), &mut io::sink())?;
                    if skipped != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy;
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside {
                if !self.enter()? {
                    return Ok(0);
                }
                self.inside = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(
                        &mut self.compressed,
                        BlockDecodingStrategy::UptoBytes(buffer.len()),
                    )
                    .map_err(invalid)?;
            }
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            self.inside = false;
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// What the tool makes of `plain`, twice in a row: two members, frames or streams.
    fn compressed(tool: &str, plain: &[u8]) -> Vec<u8> {
        let mut child = Command::new(tool)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let text = plain.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&text).unwrap());
        let once = child.wait_with_output().unwrap().stdout;
        writer.join().unwrap();
        [&once[..], &once[..]].concat()
    }

    #[test]
    fn what_the_tools_compress_is_recognised_and_read() {
        let plain: Vec<u8> = (0..400_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        for (tool, kind) in [
            ("gzip", Compression::Gzip),
            ("zstd", Compression::Zstd),
            ("xz", Compression::Xz),
            ("bzip2", Compression::Bzip2),
        ] {
            let bytes = compressed(tool, &plain);
            assert_eq!(Compression::of(&bytes), kind);
            let mut read = Vec::new();
            kind.reader(&bytes[..]).read_to_end(&mut read).unwrap();
            assert!(read == [&plain[..], &plain[..]].concat(), "{tool}");
            for cut in [5, bytes.len() / 4, bytes.len() - 2] {
                let result = kind.reader(&bytes[..cut]).read_to_end(&mut Vec::new());
                assert!(result.is_err(), "{tool} cut at {cut}");
            }
        }
        assert_eq!(Compression::of(b""), Compression::None);
        assert_eq!(Compression::of(b"plain"), Compression::None);
    }

    #[test]
    fn a_skippable_frame_is_skipped() {
        let mut bytes = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        bytes.extend(compressed("zstd", b"hello"));
        let mut read = String::new();
        Compression::of(&bytes)
            .reader(&bytes[..])
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, "hellohello");
    }
}
