//! Gzip whose bytes do not depend on how many threads made them.
//!
//! The input is cut into *members* of 1 MiB, each compressed on its own (RFC 1952, 2.2: a file is
//! a series of members; every reader takes them as one stream). One thread or many, the same
//! members come out, at a cost of 0.2 % in size. The encoder, zlib-rs, gives the same bytes on
//! every processor: its vector code only compares and slides faster, it chooses no other matches.
//! Its version is pinned by `Cargo.lock`; the golden test here fails if a new one compresses
//! differently.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Bytes of input in one member. Part of the format: another value is another digest.
const MEMBER: usize = 1 << 20;

/// Part of the format, too.
const LEVEL: u32 = 6;

/// Deflate, no name, no time, no extra flags, operating system "unknown" (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// More threads than this gain nothing: reading and hashing the input take over as the limit.
const MOST_THREADS: usize = 64;

/// Compresses what is written to it and writes the result to `out`.
///
/// Memory is bounded by about 4 MiB a thread. [`GzipWriter::finish`] must be called; a writer
/// that is dropped leaves an incomplete output.
pub struct GzipWriter<W: Write> {
    out: W,
    input: Vec<u8>,
    members: u64,
    workers: Workers,
    /// Members being compressed, in the order of the input.
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
}

struct Workers {
    /// None once the workers are told to stop.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    input: Vec<u8>,
    result: SyncSender<io::Result<Vec<u8>>>,
}

impl<W: Write> GzipWriter<W> {
    /// Begins with `threads` threads (at least one is used) beside the caller's.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn new(out: W, threads: usize) -> io::Result<Self> {
        Ok(Self {
            out,
            input: Vec::with_capacity(MEMBER),
            members: 0,
            workers: Workers::start(threads.clamp(1, MOST_THREADS))?,
            pending: VecDeque::new(),
        })
    }

    /// Compresses what is left and returns the inner writer, not flushed.
    ///
    /// # Errors
    ///
    /// If the inner writer fails.
    pub fn finish(mut self) -> io::Result<W> {
        // An empty input still needs one member to be a gzip file.
        if !self.input.is_empty() || self.members == 0 {
            self.submit()?;
        }
        while !self.pending.is_empty() {
            self.write_oldest()?;
        }
        Ok(self.out)
    }

    fn submit(&mut self) -> io::Result<()> {
        let most_pending = self.workers.threads.len() + 1;
        while self.pending.len() >= most_pending {
            self.write_oldest()?;
        }
        let input = std::mem::replace(&mut self.input, Vec::with_capacity(MEMBER));
        self.members += 1;
        self.pending.push_back(self.workers.compress(input)?);
        Ok(())
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        match self.pending.pop_front() {
            Some(result) => {
                let member = result.recv().map_err(|_| worker_lost())??;
                self.out.write_all(&member)
            }
            None => Ok(()),
        }
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.input.len() == MEMBER {
            self.submit()?;
        }
        let length = bytes.len().min(MEMBER - self.input.len());
        self.input.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// Does nothing: flushing in the middle would make the output depend on when it was called.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Workers {
    fn start(count: usize) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let mut workers = Self {
            jobs: Some(jobs),
            threads: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            let started = std::thread::Builder::new()
                .name("compress".to_owned())
                .spawn(move || work(&queue));
            match started {
                Ok(thread) => workers.threads.push(thread),
                // A host that gives fewer threads only makes it slower.
                Err(_) if !workers.threads.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(workers)
    }

    fn compress(&self, input: Vec<u8>) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
        let (result, receiver) = sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or_else(worker_lost)?;
        jobs.send(Job { input, result })
            .map_err(|_| worker_lost())?;
        Ok(receiver)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            // A worker that panicked has already failed the member it was working on.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    let mut encoder = Compress::new(Compression::new(LEVEL), false);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        let member = compress_member(&mut encoder, &job.input);
        // The writer was dropped: nobody wants the result.
        let _ = job.result.send(member);
    }
}

fn compress_member(encoder: &mut Compress, input: &[u8]) -> io::Result<Vec<u8>> {
    encoder.reset();
    // Room for input that does not compress at all, so that one call is enough: the result of
    // deflate may depend on how much room it had in between.
    let mut member = Vec::with_capacity(input.len() + input.len() / 1_000 + 1_024);
    member.extend_from_slice(&HEADER);
    match encoder.compress_vec(input, &mut member, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => {}
        Ok(status) => {
            let problem = format!("the encoder stopped early ({status:?})");
            return Err(io::Error::other(problem));
        }
        Err(error) => return Err(error.into()),
    }
    let mut checksum = Crc::new();
    checksum.update(input);
    member.extend_from_slice(&checksum.sum().to_le_bytes());
    // The length field is modulo 2^32; a member is far shorter.
    member.extend_from_slice(&(input.len() as u32).to_le_bytes());
    Ok(member)
}

fn worker_lost() -> io::Error {
    io::Error::other("a compression thread has ended early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use std::io::Read;

    fn compress(input: &[u8], threads: usize, step: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), threads).unwrap();
        for chunk in input.chunks(step) {
            writer.write_all(chunk).unwrap();
        }
        writer.finish().unwrap()
    }

    /// Neither random nor trivial: compresses to about half.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let word = format!("{} {:x}\n", state >> 60, state >> 33);
            bytes.extend_from_slice(word.as_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn the_bytes_depend_on_neither_threads_nor_write_sizes() {
        let input = sample(3 * MEMBER + 12_345);
        let expected = compress(&input, 1, input.len());
        for (threads, step) in [(1, 1_000), (2, 4_096), (7, MEMBER + 1), (0, 512)] {
            assert!(
                compress(&input, threads, step) == expected,
                "{threads} {step}"
            );
        }
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&expected[..])
            .read_to_end(&mut back)
            .unwrap();
        assert!(back == input);
    }

    #[test]
    fn the_bytes_are_those_of_this_version_of_the_format() {
        for (length, digest) in [
            (
                0,
                "ac73670af3abed54ac6fb4695131f4099be9fbe39d6076c5d0264a6bbdae9d83",
            ),
            (
                MEMBER,
                "8ec2159a2959929a836751c934c623860b2476e66afcfd823f79b2f15e6da8eb",
            ),
            (
                MEMBER + 1,
                "28f9c97d65aaf8f2fc9dc00fd35d8a6d08e123f7760dc88b71ca655b6b66a391",
            ),
        ] {
            let digest_now = Digest::of(compress(&sample(length), 2, 65_536)).to_string();
            assert_eq!(digest_now, format!("sha256:{digest}"), "{length}");
        }
    }

    #[test]
    fn what_does_not_compress_still_fits() {
        let mut state = 7u64;
        let noise: Vec<u8> = (0..MEMBER)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        assert!(compress(&noise, 1, MEMBER).len() > MEMBER);
    }

    #[test]
    fn a_failing_output_is_an_error_and_ends_the_threads() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = GzipWriter::new(Full, 2).unwrap();
        let written = writer.write_all(&sample(8 * MEMBER));
        let error = written.err().or_else(|| writer.finish().err());
        assert_eq!(error.unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
