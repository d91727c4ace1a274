//! The level of isolation as typed: an empty `HARDTACK_ISOLATION` says nothing.

use crate::sandbox::Confinement;
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};
use std::ffi::OsStr;

/// Reads one of the levels, or the default from nothing.
#[derive(Clone, Debug)]
pub struct LevelParser;

impl TypedValueParser for LevelParser {
    type Value = Confinement;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Confinement, Error> {
        if value.is_empty() {
            return Ok(Confinement::default());
        }
        EnumValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values: Vec<PossibleValue> = EnumValueParser::<Confinement>::new()
            .possible_values()?
            .collect();
        Some(Box::new(values.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_the_default() {
        let level = |text: &str| {
            let read = LevelParser.parse_ref(&Command::new("x"), None, OsStr::new(text));
            read.ok()
        };
        assert_eq!(level(""), Some(Confinement::SharedProcesses));
        assert_eq!(level("full"), Some(Confinement::Full));
        assert_eq!(level("chroot"), Some(Confinement::Chroot));
        assert_eq!(level("none"), None);
    }
}
