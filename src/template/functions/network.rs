//! Functions on IP networks: `cidrhost`, `cidrnetmask`, `cidrsubnet`, `cidrsubnets`.
//!
//! An address is a number of 32 or 128 bits; nothing here talks to a network.

use super::signature::{Arguments, Function, Kind, Parameter};
use super::{FunctionContext, FunctionError};
use crate::template::value::{Type, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most bits by which one call may extend a prefix, as in Packer.
const MAX_EXTENSION: i64 = 32;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("cidrhost", Kind::String, cidrhost).parameters(&[
        Parameter::new("prefix", Kind::String),
        Parameter::new("hostnum", Kind::Number),
    ]),
    Function::new("cidrnetmask", Kind::String, cidrnetmask)
        .parameters(&[Parameter::new("prefix", Kind::String)]),
    Function::new("cidrsubnet", Kind::String, cidrsubnet).parameters(&[
        Parameter::new("prefix", Kind::String),
        Parameter::new("newbits", Kind::Number),
        Parameter::new("netnum", Kind::Number),
    ]),
    Function::new("cidrsubnets", Kind::StringList, cidrsubnets)
        .parameters(&[Parameter::new("prefix", Kind::String)])
        .variadic(Parameter::new("newbits", Kind::Number)),
];

/// A network: `first` has no bit set beyond `prefix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: u128,
    prefix: u32,
    width: u32,
}

fn cidrhost(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let number = i128::from(arguments.whole_number(1)?);
    let network = network_argument(arguments)?;
    let host_bits = network.width - network.prefix;
    // From the end when negative: -1 is the last address.
    let distance = if number < 0 { -(number + 1) } else { number }.unsigned_abs();
    if distance > low_bits(host_bits) {
        return Err(FunctionError::new(format!(
            "prefix of {} does not accommodate a host numbered {number}",
            network.prefix
        )));
    }
    let host = if number < 0 {
        low_bits(host_bits) - distance
    } else {
        distance
    };
    Ok(Value::string(
        address_of(network.first | host, network.width).to_string(),
    ))
}

fn cidrnetmask(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let network = network_argument(arguments)?;
    let mask = mask(network.prefix, network.width);
    Ok(Value::string(address_of(mask, network.width).to_string()))
}

fn cidrsubnet(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let extension = arguments.whole_number(1)?;
    let number = arguments.whole_number(2)?;
    let network = network_argument(arguments)?;
    if extension > MAX_EXTENSION {
        return Err(FunctionError::at(
            1,
            format!("may not extend prefix by more than {MAX_EXTENSION} bits"),
        ));
    }
    let Ok(extension) = u32::try_from(extension) else {
        return Err(FunctionError::at(1, "must not be negative"));
    };
    let prefix = network.prefix + extension;
    if prefix > network.width {
        return Err(FunctionError::new(format!(
            "insufficient address space to extend prefix of {} by {extension}",
            network.prefix
        )));
    }
    let number = match u128::try_from(number) {
        Ok(number) if number <= low_bits(extension) => number,
        _ => {
            return Err(FunctionError::new(format!(
                "prefix extension of {extension} does not accommodate a subnet numbered {number}"
            )));
        }
    };
    let offset = number.checked_shl(network.width - prefix).unwrap_or(0);
    let subnet = Network {
        first: network.first | offset,
        prefix,
        width: network.width,
    };
    Ok(Value::string(subnet.text()))
}

fn cidrsubnets(
    arguments: &Arguments<'_>,
    _context: &FunctionContext<'_>,
) -> Result<Value, FunctionError> {
    let network = network_argument(arguments)?;
    let last = network.first | low_bits(network.width - network.prefix);
    let mut subnets: Vec<Value> = Vec::with_capacity(arguments.len());
    // The first address that no subnet has taken yet; none when the whole address space is used up.
    let mut free = Some(network.first);
    let mut previous = network;
    for index in 1..arguments.len() {
        let extension = arguments.whole_number(index)?;
        if extension < 1 {
            return Err(FunctionError::at(
                index,
                "must extend prefix by at least one bit",
            ));
        }
        if extension > MAX_EXTENSION {
            return Err(FunctionError::at(
                index,
                format!("may not extend prefix by more than {MAX_EXTENSION} bits"),
            ));
        }
        let prefix = network.prefix + u32::try_from(extension).unwrap_or(u32::MAX);
        if prefix > network.width {
            let protocol = if network.width == 32 { "IPv4" } else { "IPv6" };
            return Err(FunctionError::at(
                index,
                format!(
                    "would extend prefix to {prefix} bits, which is too long for an {protocol} address"
                ),
            ));
        }
        let host = low_bits(network.width - prefix);
        let first = free
            .and_then(|free| free.checked_add(host))
            .map(|first| first & !host)
            .filter(|first| *first <= last);
        let Some(first) = first else {
            return Err(FunctionError::at(
                index,
                format!(
                    "not enough remaining address space for a subnet with a prefix of {prefix} bits after {}",
                    previous.text()
                ),
            ));
        };
        previous = Network {
            first,
            prefix,
            width: network.width,
        };
        free = (first | host).checked_add(1);
        subnets.push(Value::string(previous.text()));
    }
    Ok(Value::list(Type::String, subnets))
}

fn network_argument(arguments: &Arguments<'_>) -> Result<Network, FunctionError> {
    let text = arguments.string(0)?;
    Network::parse(text)
        .ok_or_else(|| FunctionError::at(0, format!("invalid CIDR expression: {text:?}, expected an address and a prefix length such as \"10.0.0.0/8\"")))
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/')?;
        let (bits, width) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= width)?;
        Some(Network {
            first: bits & mask(prefix, width),
            prefix,
            width,
        })
    }

    fn text(&self) -> String {
        let address = address_of(self.first, self.width);
        // An IPv4 address within IPv6 is shown as IPv4, and its prefix with it.
        let prefix = match address {
            IpAddr::V4(_) if self.width == 128 => self.prefix.saturating_sub(96),
            _ => self.prefix,
        };
        format!("{address}/{prefix}")
    }
}

fn address_of(bits: u128, width: u32) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if width == 32 => IpAddr::V4(Ipv4Addr::from(bits)),
        _ => Ipv6Addr::from(bits).to_canonical(),
    }
}

fn low_bits(count: u32) -> u128 {
    1_u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

fn mask(prefix: u32, width: u32) -> u128 {
    low_bits(width) & !low_bits(width - prefix)
}

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) const CASES: &str = r#"
cidrhost("10.12.112.0/20", 16) = "10.12.112.16"
cidrhost("10.12.112.0/20", 268) = "10.12.113.12"
cidrhost("10.12.112.0/20", -1) = "10.12.127.255"
cidrhost("10.12.112.0/20", -4096) = "10.12.112.0"
cidrhost("10.12.112.0/20", 4096) = error: prefix of 20 does not accommodate a host numbered 4096
cidrhost("10.12.112.0/20", -4097) = error: does not accommodate
cidrhost("10.12.112.77/20", "2") = "10.12.112.2"
cidrhost("fd00:fd12:3456:7890:00a2::/72", 34) = "fd00:fd12:3456:7890::22"
cidrhost("::/0", 5) = "::5"
cidrhost("10.0.0.1/32", 0) = "10.0.0.1"
cidrhost("10.0.0.1/32", 1) = error: does not accommodate
cidrhost("10.0.0.0/33", 1) = error: invalid CIDR expression
cidrhost("10.0.0.0", 1) = error: invalid CIDR expression
cidrhost("10.0.0/8", 1) = error: invalid CIDR expression
cidrhost("10.0.0.0/+8", 1) = error: invalid CIDR expression
cidrhost("10.0.0.0/8", 1.5) = error: whole number
cidrnetmask("172.16.0.0/12") = "255.240.0.0"
cidrnetmask("0.0.0.0/0") = "0.0.0.0"
cidrnetmask("10.0.0.0/32") = "255.255.255.255"
cidrnetmask("fd00::/20") = "ffff:f000::"
cidrsubnet("172.16.0.0/12", 4, 2) = "172.18.0.0/16"
cidrsubnet("10.1.2.0/24", 4, 15) = "10.1.2.240/28"
cidrsubnet("fd00:fd12:3456:7890::/56", 16, 162) = "fd00:fd12:3456:7800:a200::/72"
cidrsubnet("10.0.0.0/8", 4, 16) = error: prefix extension of 4 does not accommodate a subnet numbered 16
cidrsubnet("10.0.0.0/30", 4, 1) = error: insufficient address space to extend prefix of 30 by 4
cidrsubnet("fd00::/16", 33, 1) = error: may not extend prefix by more than 32 bits
cidrsubnet("10.0.0.0/8", 0, 0) = "10.0.0.0/8"
cidrsubnet("10.0.0.0/8", -1, 0) = ~ error: must not be negative
cidrsubnets("10.1.0.0/16", 4, 4, 8, 4) = ["10.1.0.0/20","10.1.16.0/20","10.1.32.0/24","10.1.48.0/20"]
cidrsubnets("fd00:fd12:3456:7890::/56", 16, 16, 16, 32) = ["fd00:fd12:3456:7800::/72","fd00:fd12:3456:7800:100::/72","fd00:fd12:3456:7800:200::/72","fd00:fd12:3456:7800:300::/88"]
cidrsubnets("10.0.0.0/8") = []
cidrsubnets("10.0.0.0/8", 1, 1, 1) = error: not enough remaining address space
cidrsubnets("10.0.0.0/8", 0) = error: must extend prefix by at least one bit
cidrsubnets("10.0.0.0/30", 3) = error: too long for an IPv4 address
cidrsubnets("255.255.255.254/31", 1, 1) = ["255.255.255.254/32","255.255.255.255/32"]
"#;
}
