//! Ports: what listens in the network of a root, by what the kernel lists there.

use super::Expected;
use super::decode::one;
use crate::sandbox::{OpenRoot, SandboxError};
use crate::template::Arguments;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::time::Duration;

/// How long a service may take until it listens, unless a test says so.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// The kernel's lists are read no further than this.
const LIST_LIMIT: u64 = 16 << 20;

/// A port that something is expected to listen at.
#[derive(Clone, Debug, Serialize)]
pub struct PortCheck {
    /// Which one.
    pub port: Expected<Port>,
    /// How long to wait for it.
    pub within: Duration,
}

/// A port of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port {
    protocol: Protocol,
    number: u16,
}

/// The protocols that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(formatter, "port {}/{protocol}", self.number)
    }
}

impl PortCheck {
    /// Takes a `port` block.
    pub fn decode(arguments: &Arguments<'_>) -> Option<Self> {
        let place = arguments.label_span(0);
        let label = arguments.label(0).unwrap_or_default();
        let protocol = one(arguments, "protocol", |text: String| match text.as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            other => Err(format!("{other:?} is neither \"tcp\" nor \"udp\"")),
        });
        let within = arguments.optional("within").unwrap_or(DEFAULT_PATIENCE);
        let is_number = label.bytes().all(|byte| byte.is_ascii_digit());
        let number = label.parse().ok().filter(|it| *it > 0 && is_number);
        let Some(number) = number else {
            arguments.error(
                place,
                format!("{label:?} is not a port"),
                &["write a number from 1 to 65535: port \"8080\" { … }"],
            );
            return None;
        };
        let protocol = protocol.map_or(Protocol::Tcp, |it| it.value);
        Some(Self {
            port: Expected::new(Port { protocol, number }, place),
            within,
        })
    }
}

/// All ports of a root that something listens at.
pub fn open_ports(root: &OpenRoot) -> Result<BTreeSet<Port>, SandboxError> {
    let mut ports = BTreeSet::new();
    for (protocol, list) in [
        (Protocol::Tcp, "/proc/net/tcp"),
        (Protocol::Tcp, "/proc/net/tcp6"),
        (Protocol::Udp, "/proc/net/udp"),
        (Protocol::Udp, "/proc/net/udp6"),
    ] {
        // Without IPv6 there is no such list.
        let Some(file) = root.read(list)? else {
            continue;
        };
        let mut text = Vec::new();
        let read = file.take(LIST_LIMIT).read_to_end(&mut text);
        read.map_err(|error| SandboxError::Work(format!("read {list}: {error}")))?;
        let numbers = listed(&String::from_utf8_lossy(&text), protocol);
        ports.extend(numbers.into_iter().map(|number| Port { protocol, number }));
    }
    Ok(ports)
}

/// The local ports of the sockets that wait for others (Linux,
/// Documentation/networking/proc_net_tcp.rst).
fn listed(text: &str, protocol: Protocol) -> Vec<u16> {
    let waits = match protocol {
        // TCP_LISTEN
        Protocol::Tcp => "0A",
        // A socket without a peer is TCP_CLOSE.
        Protocol::Udp => "07",
    };
    let of_line = |line: &str| {
        let mut fields = line.split_whitespace();
        let (_, digits) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let port = u16::from_str_radix(digits, 16).ok()?;
        (state == waits).then_some(port)
    };
    text.lines().skip(1).filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_wait_for_others_count() {
        let head =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
        let tcp = format!(
            "{head}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n   \
             1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0\n"
        );
        assert_eq!(listed(&tcp, Protocol::Tcp), [8080]);
        let tcp6 = format!(
            "{head}   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0\n"
        );
        assert_eq!(listed(&tcp6, Protocol::Tcp), [80]);
        let udp = format!(
            "{head}  77: 00000000:0035 00000000:0000 07 0\n  78: 00000000:0036 0100007F:0001 01 0\n"
        );
        assert_eq!(listed(&udp, Protocol::Udp), [53]);
        assert_eq!(listed("", Protocol::Tcp), [0_u16; 0]);
        assert_eq!(listed("head\nnonsense\n", Protocol::Tcp), [0_u16; 0]);
    }
}
