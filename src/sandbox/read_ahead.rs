//! Reading ahead: a stream is decompressed and hashed on a thread of its own while what came of it
//! is still being worked on.

use crate::digest::{DiffId, Hasher};
use std::io::{self, Read, Write as _};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// How much is handed over at once.
const PIECE: usize = 256 * 1024;
/// How many pieces may wait: enough for a folder full of small files.
const WAITING: usize = 16;

/// Does `work` with all that can be read from `stream`; gives what came of it, and the digest of
/// what was read. The digest covers the whole stream only if `work` read it to its end.
pub(super) fn hashed<R: Read + Send, T>(
    mut stream: R,
    work: impl FnOnce(&mut Pieces) -> T,
) -> (T, DiffId) {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        let reader = scope.spawn(move || {
            let mut hasher = Hasher::new(io::sink());
            loop {
                let piece = read_piece(&mut stream);
                if let Ok(piece) = &piece {
                    // Nothing is written, so nothing can fail.
                    let _ = hasher.write_all(piece);
                }
                let is_last = !matches!(&piece, Ok(piece) if !piece.is_empty());
                // Whoever has stopped to read has an error of its own.
                if sender.send(piece).is_err() || is_last {
                    return DiffId(hasher.finish().0);
                }
            }
        });
        let mut pieces = Pieces {
            receiver,
            piece: Vec::new(),
            position: 0,
            is_at_end: false,
        };
        let result = work(&mut pieces);
        drop(pieces);
        let digest = match reader.join() {
            Ok(digest) => digest,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        (result, digest)
    })
}

/// Reads until the piece is full or the stream ends.
fn read_piece(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    stream.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// What has been read ahead.
pub(super) struct Pieces {
    receiver: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    position: usize,
    is_at_end: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.piece.len() && !self.is_at_end {
            self.piece = self
                .receiver
                .recv()
                .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
            self.position = 0;
            self.is_at_end = self.piece.is_empty();
        }
        let rest = self.piece.get(self.position..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.position += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn all_is_read_and_hashed() {
        for length in [0, 1, PIECE - 1, PIECE, 3 * PIECE + 5] {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let (read, digest) = hashed(&bytes[..], |pieces| {
                let mut read = Vec::new();
                pieces.read_to_end(&mut read).map(|_| read)
            });
            assert_eq!(read.unwrap(), bytes);
            assert_eq!(digest, DiffId(Digest::of(&bytes)));
        }
    }

    #[test]
    fn errors_come_through_and_work_may_stop_early() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let (result, _) = hashed(Broken, |pieces| pieces.read(&mut [0; 10]));
        assert_eq!(result.unwrap_err().to_string(), "broken");
        let endless = io::repeat(1);
        let (result, _) = hashed(endless, |pieces| pieces.read(&mut [0; 10]));
        assert_eq!(result.unwrap(), 10);
    }
}
