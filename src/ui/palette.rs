//! The palette: the few colours of messages, or none.
//!
//! Colour only repeats what the words say; every message is complete without it.

/// What a piece of text is, from which its colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It went well.
    Good,
    /// It failed.
    Bad,
    /// It needs attention.
    Warning,
    /// It helps.
    Hint,
    /// It matters less than what is around it.
    Faint,
    /// It matters more than what is around it.
    Strong,
}

/// Colours texts for a terminal, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    color: bool,
}

impl Palette {
    /// Makes a palette that colours only if `color` is set.
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    /// Returns `text` in the colour of `tone` (ECMA-48, "Select Graphic Rendition").
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Warning => "1;33",
            Tone::Hint => "1;36",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_added_only_where_it_is_wanted() {
        assert_eq!(Palette::new(false).paint(Tone::Bad, "error"), "error");
        assert_eq!(
            Palette::new(true).paint(Tone::Good, "ok"),
            "\x1b[32mok\x1b[0m"
        );
    }
}
