//! A connection between hardtack, its helper and the init of a step: framed JSON over a socket,
//! with a few descriptors beside a message.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::time::Timespec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Requests name every layer of an image; nothing is near this.
const MESSAGE_LIMIT: u32 = 64 * 1024 * 1024;

/// The most descriptors beside one message: the three streams of a command.
const DESCRIPTOR_LIMIT: usize = 3;

/// One end of a connection.
pub struct Connection {
    stream: UnixStream,
}

impl Connection {
    /// Makes both ends.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self { stream: ours }, theirs.into()))
    }

    /// One end of a stream that was accepted or opened by somebody else.
    pub fn of(stream: UnixStream) -> Self {
        Self { stream }
    }

    /// Takes the end that this process was started with, as its standard input.
    pub fn inherited() -> io::Result<Self> {
        let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self {
            stream: descriptor.into(),
        })
    }

    /// Sends a message.
    pub fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let frame = frame(message)?;
        self.stream.write_all(&frame)
    }

    /// Sends a message and a descriptor.
    pub fn send_with(
        &mut self,
        message: &impl Serialize,
        descriptor: BorrowedFd<'_>,
    ) -> io::Result<()> {
        self.send_with_all(message, &[descriptor])
    }

    /// Sends a message and at most three descriptors.
    pub fn send_with_all(
        &mut self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let frame = frame(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let sent = sendmsg(
            &self.stream,
            &[IoSlice::new(&frame)],
            &mut control,
            SendFlags::empty(),
        )?;
        self.stream.write_all(&frame[sent..])
    }

    /// Receives a message; none when the other end has closed.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        Ok(self.receive_with()?.map(|(message, _)| message))
    }

    /// Receives a message and the descriptor that came with it.
    pub fn receive_with<T: DeserializeOwned>(
        &mut self,
    ) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let received = self.receive_with_all()?;
        Ok(received.map(|(message, mut descriptors)| (message, descriptors.pop())))
    }

    /// Receives a message and all descriptors that came with it.
    pub fn receive_with_all<T: DeserializeOwned>(
        &mut self,
    ) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut header = [0u8; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let flags = RecvFlags::CMSG_CLOEXEC;
            match recvmsg(
                &self.stream,
                &mut [IoSliceMut::new(&mut header)],
                &mut control,
                flags,
            ) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?.bytes,
            }
        };
        if received == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        self.stream.read_exact(&mut header[received..])?;
        let length = u32::from_le_bytes(header);
        if length > MESSAGE_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the message is too long",
            ));
        }
        let mut body = vec![0u8; length as usize];
        self.stream.read_exact(&mut body)?;
        Ok(Some((serde_json::from_slice(&body)?, descriptors)))
    }

    /// Whether there is something to receive, or the other end has gone.
    pub fn is_readable(&self) -> bool {
        let mut events = [PollFd::new(&self.stream, PollFlags::IN)];
        let now = Timespec::default();
        poll(&mut events, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Says that nothing more will be sent, which the other end takes as the end.
    pub fn hang_up(&self) {
        // It only fails when the other end has gone already.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0u8; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    #[test]
    fn messages_and_descriptors_arrive() {
        let (mut ours, theirs) = Connection::pair().unwrap();
        let mut theirs = Connection {
            stream: theirs.into(),
        };
        let mut file = tempfile::tempfile().unwrap();
        write!(file, "content").unwrap();
        ours.send(&vec!["a", "b"]).unwrap();
        ours.send_with(&7, file.as_fd()).unwrap();
        ours.send(&"x".repeat(1_000)).unwrap();
        drop(ours);

        assert_eq!(
            theirs.receive::<Vec<String>>().unwrap().unwrap(),
            ["a", "b"]
        );
        let (number, descriptor) = theirs.receive_with::<u32>().unwrap().unwrap();
        assert_eq!(number, 7);
        let mut received = std::fs::File::from(descriptor.unwrap());
        received.rewind().unwrap();
        assert_eq!(io::read_to_string(received).unwrap(), "content");
        assert_eq!(theirs.receive::<String>().unwrap().unwrap().len(), 1_000);
        assert!(theirs.receive::<u32>().unwrap().is_none());
    }
}
