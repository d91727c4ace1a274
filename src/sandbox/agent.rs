//! The ssh agent of the user, as a step sees it.
//!
//! A step may be root in a user namespace, or a user that the host does not know, and an agent
//! serves its owner alone. So it is the supervisor that speaks to the agent, for whoever connects
//! inside. It passes on what lists keys and what signs (draft-ietf-sshm-ssh-agent); a step can
//! neither add keys nor remove or lock them.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// Requests that are passed on: to list keys, to sign, and extensions, which bind a signature to a
/// connection.
const ALLOWED: [u8; 3] = [11, 13, 27];
/// The answer to all others.
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];
/// The longest message, as in OpenSSH.
const MESSAGE_LIMIT: u32 = 256 * 1024;
/// How many may be connected at once.
const CONNECTION_LIMIT: usize = 64;

/// A listener in a root, and the agent's socket that it stands for.
pub type Forwarding = (UnixListener, PathBuf);

/// Gets ready to forward: whoever connects to a listener that is sent is forwarded until this
/// process ends. To be called before the process gets a process namespace for its children, with
/// which no thread can be started any more.
pub fn forwarder() -> io::Result<Sender<Forwarding>> {
    let (sender, receiver) = channel::<Forwarding>();
    let wait = move || {
        for (listener, socket) in receiver {
            // Without a thread, who connects waits until the step ends.
            let _ = thread::Builder::new().spawn(move || accept(&listener, &socket));
        }
    };
    thread::Builder::new().spawn(wait)?;
    Ok(sender)
}

fn accept(listener: &UnixListener, socket: &Path) {
    let count = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        let Ok(client) = client else {
            // No descriptor is free at the moment.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        if count.load(Ordering::SeqCst) >= CONNECTION_LIMIT {
            continue;
        }
        count.fetch_add(1, Ordering::SeqCst);
        let (socket, held) = (socket.to_owned(), Arc::clone(&count));
        let serve = move || {
            // Whatever goes wrong, the client sees the end of the connection.
            let _ = serve(client, &socket);
            held.fetch_sub(1, Ordering::SeqCst);
        };
        if thread::Builder::new().spawn(serve).is_err() {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Serves one client until it leaves.
fn serve(mut client: UnixStream, socket: &Path) -> io::Result<()> {
    let mut agent = UnixStream::connect(socket)?;
    while let Some(request) = read_message(&mut client)? {
        let is_allowed = request.get(4).is_some_and(|kind| ALLOWED.contains(kind));
        if !is_allowed {
            client.write_all(&FAILURE)?;
            continue;
        }
        agent.write_all(&request)?;
        let answer = read_message(&mut agent)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        client.write_all(&answer)?;
    }
    Ok(())
}

/// Reads a message with its length; none at the end of the stream.
fn read_message(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 4];
    match stream.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes(header);
    if length > MESSAGE_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = header.to_vec();
    stream.take(length.into()).read_to_end(&mut message)?;
    match message.len() == length as usize + header.len() {
        true => Ok(Some(message)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_can_be_used_but_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let agent = UnixListener::bind(&path).unwrap();
        // An agent that answers each request with itself.
        thread::spawn(move || {
            for client in agent.incoming() {
                let mut client = client.unwrap();
                while let Ok(Some(message)) = read_message(&mut client) {
                    client.write_all(&message).unwrap();
                }
            }
        });
        let inside = folder.path().join("inside");
        let forwarding = (UnixListener::bind(&inside).unwrap(), path);
        forwarder().unwrap().send(forwarding).unwrap();
        let mut client = UnixStream::connect(&inside).unwrap();
        for (kind, is_allowed) in [(11, true), (13, true), (27, true), (17, false), (19, false)] {
            let request = [0, 0, 0, 3, kind, 7, 7];
            client.write_all(&request).unwrap();
            let answer = read_message(&mut client).unwrap().unwrap();
            let expected = if is_allowed { &request[..] } else { &FAILURE };
            assert_eq!(answer, expected, "{kind}");
        }
        client.write_all(&[0xff; 8]).unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap_or(0), 0);
    }
}
