//! The masker: hides secrets in texts that are shown.
//!
//! A *secret* is a value that the user marked as sensitive. It is found by its text alone, as
//! Packer does it, so what a program makes of it (another case, base64) is not recognised. Secrets
//! that a step is given are searched for in more [forms].
//!
//! Output comes line by line, so each line of a secret of several lines is a secret too. Lines of
//! fewer than four characters are hidden only where they make up a whole line, and lines without
//! letters and digits never are: hiding every `{` because a secret is written in JSON would hide
//! nothing and make all other output unreadable.

use crate::text;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands in the place of a secret, as in Packer.
pub const MASK: &str = "<sensitive>";

/// The shortest line of a longer secret that is hidden within other text.
const SHORTEST_FRAGMENT: usize = 4;

/// The shortest secret that is looked for in layers: shorter ones are everywhere.
pub const SHORTEST_SOUGHT: usize = 4;
/// The shortest secret whose encodings are looked for.
const SHORTEST_ENCODED: usize = 8;
/// The shortest line of a longer secret that counts as a key of its own.
const SHORTEST_KEY_LINE: usize = 32;
/// The shortest piece in which a long encoding is looked for; the longest is less than twice as
/// long, so that one is whole in each line of 64 and of 76 characters.
const SHORTEST_PIECE: usize = 16;

/// The forms in which a secret is looked for, sorted: its bytes without white space around them,
/// lines that are keys, and what base64 and URLs make of it, wherever in a longer text it is
/// encoded. Long base64 is looked for in pieces too, since it is written in lines. None if it is
/// too short.
pub fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let bare = secret.trim_ascii();
    let mut forms = BTreeSet::new();
    if bare.len() < SHORTEST_SOUGHT {
        return Vec::new();
    }
    forms.insert(bare.to_vec());
    let is_of_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    let public = public_parts(bare);
    let mut start = 0;
    for line in bare.split(|byte| *byte == b'\n') {
        let is_public = public.iter().any(|part| part.contains(&start));
        start += line.len() + 1;
        let line = line.trim_ascii();
        if !is_public && line.len() >= SHORTEST_KEY_LINE && line.iter().all(is_of_key) {
            forms.insert(line.to_vec());
        }
    }
    if bare.len() >= SHORTEST_ENCODED {
        // Each byte of base64 holds six bits, so what comes before decides the letters; those that
        // hold bits of what is around the secret are left out.
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let text = [&b"\0\0"[..before], bare].concat();
            let whole = text.len() % 3 == 0;
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&text).into_bytes();
                let end = encoded.len() - usize::from(!whole);
                forms.extend(encoded.get(shared..end).map(<[u8]>::to_vec));
                for piece in pieces(shared..end) {
                    // The bytes of the secret that it holds bits of.
                    let first = (piece.start * 6 / 8).saturating_sub(before);
                    let last = (piece.end * 6).div_ceil(8).saturating_sub(before);
                    if !public.iter().any(|it| it.start < last && first < it.end) {
                        forms.extend(encoded.get(piece).map(<[u8]>::to_vec));
                    }
                }
            }
        }
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let in_url: String = bare
            .iter()
            .map(|byte| match is_plain(byte) {
                true => char::from(*byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect();
        forms.insert(in_url.into_bytes());
    }
    forms.into_iter().collect()
}

/// The places of what many secrets have in common, and that tells none of them: the lines around a
/// key in PEM, and its first line, with which all keys of a kind can begin, unless it is the only
/// one.
fn public_parts(secret: &[u8]) -> Vec<Range<usize>> {
    let is_mark = |line: &[u8]| line.starts_with(b"-----");
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_first = false;
    let mut lines = secret.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let end = start + line.len();
        let is_last = lines.peek().is_none_or(|next| is_mark(next));
        if is_mark(line) || (is_first && !is_last) {
            parts.push(start..end);
        }
        is_first = line.starts_with(b"-----BEGIN ");
        start = end + 1;
    }
    parts
}

/// Nearly equal parts of a range; none if it is too short to be parted.
fn pieces(whole: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let length = whole.len();
    let count = match length / SHORTEST_PIECE {
        1 => 0,
        count => count,
    };
    let at = move |number: usize| whole.start + length * number / count;
    (0..count).map(move |number| at(number)..at(number + 1))
}

/// The texts that are secrets. Clones share them: what one adds, all know, since some secrets only
/// come to light while a build runs.
#[derive(Clone, Default)]
pub struct Secrets {
    texts: Arc<RwLock<BTreeSet<Arc<str>>>>,
}

impl Secrets {
    /// Adds a text; one that is empty or white space is no secret.
    pub fn add(&self, text: &str) {
        if !text.trim().is_empty() && !self.read(|texts| texts.contains(text)) {
            let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
            texts.insert(Arc::from(text));
        }
    }

    /// Adds what a step is given, with the forms of it that can be told from other text.
    pub fn add_bytes(&self, secret: &[u8]) {
        self.add(&String::from_utf8_lossy(secret));
        for form in forms(secret) {
            self.add(&String::from_utf8_lossy(&form));
        }
    }

    /// The texts at this moment, sorted.
    pub fn texts(&self) -> Vec<Arc<str>> {
        self.read(|texts| texts.iter().cloned().collect())
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeSet<Arc<str>>) -> T) -> T {
        look(&self.texts.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: AsRef<str>> FromIterator<S> for Secrets {
    fn from_iter<T: IntoIterator<Item = S>>(texts: T) -> Self {
        let secrets = Self::default();
        texts
            .into_iter()
            .for_each(|text| secrets.add(text.as_ref()));
        secrets
    }
}

/// How many there are; the texts are shown nowhere.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({})", self.read(BTreeSet::len))
    }
}

/// Replaces secrets by [`MASK`], also those that are added later. The default masker knows none.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    secrets: Secrets,
    patterns: Arc<RwLock<Arc<Patterns>>>,
}

/// What is looked for, made of the first `known` secrets that there were.
#[derive(Debug, Default)]
struct Patterns {
    known: usize,
    search: Search,
    whole_lines: BTreeSet<String>,
}

#[derive(Debug, Default)]
enum Search {
    /// There are no secrets.
    #[default]
    Nothing,
    /// These texts are secrets.
    Texts(AhoCorasick),
    /// The secrets are too long to be looked for, so nothing may be shown.
    Everything,
}

impl Masker {
    /// Makes a masker for texts that are known now; those that are empty or white space are no
    /// secrets.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        Self::of(&secrets.into_iter().collect())
    }

    /// Makes a masker for `secrets` and all that is added to them.
    pub fn of(secrets: &Secrets) -> Self {
        Self {
            secrets: secrets.clone(),
            patterns: Arc::default(),
        }
    }

    /// Returns `text` without secrets. Where secrets overlap, all that they cover is hidden. A
    /// secret that is split by control characters is hidden too; only then is the text returned
    /// [neutral](text::neutralise).
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let patterns = self.patterns();
        let masked = patterns.hide(text);
        if matches!(patterns.search, Search::Nothing) {
            return masked;
        }
        if let Cow::Owned(neutral) = text::neutralise(&masked)
            && let Cow::Owned(hidden) = patterns.hide(&neutral)
        {
            return Cow::Owned(hidden);
        }
        masked
    }

    /// Returns `text` without secrets and [neutral](text::neutralise), as a terminal may get it.
    pub fn mask_neutral<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.mask(text) {
            Cow::Borrowed(masked) => text::neutralise(masked),
            Cow::Owned(masked) => Cow::Owned(text::neutralise(&masked).into_owned()),
        }
    }

    /// The patterns for all secrets that there are now.
    fn patterns(&self) -> Arc<Patterns> {
        let current = Arc::clone(&self.patterns.read().unwrap_or_else(PoisonError::into_inner));
        // Secrets are only ever added.
        if current.known == self.secrets.read(BTreeSet::len) {
            return current;
        }
        let made = Arc::new(Patterns::new(&self.secrets.texts()));
        let mut patterns = self
            .patterns
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if patterns.known < made.known {
            *patterns = Arc::clone(&made);
        }
        made
    }
}

impl Patterns {
    fn new(secrets: &[Arc<str>]) -> Self {
        let mut texts = BTreeSet::new();
        let mut whole_lines = BTreeSet::new();
        for secret in secrets {
            texts.insert(secret.to_string());
            if secret.contains(['\n', '\r']) {
                for line in secret.split(['\n', '\r']).map(str::trim) {
                    if !line.contains(char::is_alphanumeric) {
                        continue;
                    }
                    if line.chars().count() < SHORTEST_FRAGMENT {
                        whole_lines.insert(line.to_owned());
                    } else {
                        texts.insert(line.to_owned());
                    }
                }
            }
        }
        let search = if texts.is_empty() {
            Search::Nothing
        } else {
            AhoCorasickBuilder::new()
                .match_kind(MatchKind::Standard)
                .build(&texts)
                .map_or(Search::Everything, Search::Texts)
        };
        Self {
            known: secrets.len(),
            search,
            whole_lines,
        }
    }

    fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let masked = match &self.search {
            Search::Nothing => return Cow::Borrowed(text),
            Search::Everything => return Cow::Borrowed(MASK),
            Search::Texts(texts) if texts.is_match(text) => {
                Cow::Owned(replace(text, &covered(texts, text)))
            }
            Search::Texts(_) => Cow::Borrowed(text),
        };
        let is_secret = |line: &str| self.whole_lines.contains(line.trim());
        if self.whole_lines.is_empty() || !masked.split('\n').any(is_secret) {
            return masked;
        }
        let lines: Vec<Cow<'_, str>> = masked
            .split('\n')
            .map(|line| match is_secret(line) {
                true => Cow::Owned(line.replacen(line.trim(), MASK, 1)),
                false => Cow::Borrowed(line),
            })
            .collect();
        Cow::Owned(lines.join("\n"))
    }
}

/// Returns the places of `text` that secrets cover, in order and apart from each other.
fn covered(texts: &AhoCorasick, text: &str) -> Vec<Range<usize>> {
    let mut covered: Vec<Range<usize>> = Vec::new();
    // Matches come in the order of their ends.
    for found in texts.find_overlapping_iter(text) {
        let mut range = found.range();
        while let Some(last) = covered.pop_if(|last| last.end > range.start) {
            range.start = range.start.min(last.start);
        }
        covered.push(range);
    }
    covered
}

fn replace(text: &str, places: &[Range<usize>]) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut shown = 0;
    for place in places {
        replaced.push_str(&text[shown..place.start]);
        replaced.push_str(MASK);
        shown = place.end;
    }
    replaced.push_str(&text[shown..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "-----BEGIN KEY-----\nMIIEvQ\nAB\n=\n-----END KEY-----\n";
    const JSON: &str = "{\r\n  \"token\": \"t0p\"\r\n}\r\n";

    #[test]
    fn a_secret_is_found_in_what_others_make_of_it() {
        let secret = b"pa ss/w0rd+42\n";
        let is_found = |text: &str| {
            forms(secret)
                .iter()
                .any(|form| text.contains(std::str::from_utf8(form).unwrap()))
        };
        assert!(is_found("x=pa ss/w0rd+42;"));
        assert!(is_found("https://u:pa%20ss%2Fw0rd%2B42@host/"));
        for before in ["", "u", "u:", "us:"] {
            for after in ["", "\n", "xy"] {
                let text = format!("{before}pa ss/w0rd+42{after}");
                assert!(
                    is_found(&base64::prelude::BASE64_STANDARD.encode(&text)),
                    "{text:?}"
                );
            }
        }
        assert!(!is_found(
            &base64::prelude::BASE64_STANDARD.encode("pa ss/w0rX+42")
        ));
        assert_eq!(forms(b"abc\n"), [b""; 0]);
        assert_eq!(forms(b" abcd\n"), [b"abcd"]);
        let key = format!("-----BEGIN-----\n{}\nAB==\n", "k".repeat(40));
        assert!(forms(key.as_bytes()).contains(&vec![b'k'; 40]));
        assert!(!forms(key.as_bytes()).contains(&b"AB==".to_vec()));
    }

    #[test]
    fn base64_is_found_wherever_its_lines_break() {
        for length in [26, 40, 57, 90, 400] {
            let secret: Vec<u8> = (0..length).map(|it| b'!' + (it * 37 % 90) as u8).collect();
            let forms = forms(&secret);
            let secrets = Secrets::default();
            secrets.add_bytes(&secret);
            let masker = Masker::of(&secrets);
            for before in 0..76 {
                let text = [vec![b' '; before], secret.clone()].concat();
                let encoded = base64::prelude::BASE64_STANDARD.encode(&text);
                for width in [64, 76] {
                    let is_found = encoded.as_bytes().chunks(width).any(|line| {
                        let holds = |form: &Vec<u8>| line.windows(form.len()).any(|it| it == form);
                        forms.iter().any(holds)
                    });
                    assert!(is_found, "{length} {before} {width}");
                }
            }
            let encoded = base64::prelude::BASE64_STANDARD_NO_PAD.encode(&secret);
            let masked = masker.mask(&encoded).into_owned();
            assert!(masked.len() <= MASK.len() + 1, "{masked}");
            // What is left of a broken one is less than a piece on either side of a break.
            let (first, second) = encoded.split_at(encoded.len() / 2 + 3);
            for line in [first, second] {
                let left = masker.mask(line).replace(MASK, "").len();
                assert!(left < 2 * SHORTEST_PIECE, "{left} of {line}");
            }
        }
    }

    #[test]
    fn what_all_keys_have_in_common_is_not_looked_for() {
        let first = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW";
        let key = |body: &str| {
            format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{first}\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"
            )
        };
        let (mine, other) = (key(&"mIne".repeat(12)), key(&"0ther".repeat(10)));
        let is_in = |text: &str| {
            forms(mine.as_bytes())
                .iter()
                .any(|form| text.contains(std::str::from_utf8(form).unwrap()))
        };
        let encoded = |text: &str| base64::prelude::BASE64_STANDARD.encode(text);
        assert!(is_in(&mine) && is_in(&encoded(&mine)));
        assert!(is_in(&encoded(&mine)[170..]));
        assert!(!is_in(&other) && !is_in(&encoded(&other)));
        let only = format!("-----BEGIN PRIVATE KEY-----\n{first}\n-----END PRIVATE KEY-----\n");
        assert!(forms(only.as_bytes()).contains(&first.as_bytes().to_vec()));
    }

    #[test]
    fn secrets_are_hidden() {
        let cases: &[(&[&str], &str, &str)] = &[
            (&[], "text", "text"),
            (&[""], "text", "text"),
            (&[" ", "\n"], "a b\nc", "a b\nc"),
            (&["hunter2"], "password=hunter2;", "password=<sensitive>;"),
            (&["hunter2"], "hunter2hunter2", "<sensitive><sensitive>"),
            (&["hunter2"], "Hunter2 hunter", "Hunter2 hunter"),
            (
                &["pass", "password"],
                "password pass",
                "<sensitive> <sensitive>",
            ),
            (&["password", "pass"], "password1", "<sensitive>1"),
            (&["abc", "bcd"], "xabcdx", "x<sensitive>x"),
            (&["b", "abc"], "abcb", "<sensitive><sensitive>"),
            (&["s"], "yes", "ye<sensitive>"),
            (&["ключ"], "мой ключ!", "мой <sensitive>!"),
            (&["a\"b\\c"], "say a\"b\\c", "say <sensitive>"),
            // A file's content, with the line feed at its end.
            (&["hunter2\n"], "got hunter2", "got <sensitive>"),
            // A secret of several lines, whole and line by line.
            (&[KEY], KEY, "<sensitive>"),
            (&[KEY], "  -----BEGIN KEY-----", "  <sensitive>"),
            (&[KEY], "key MIIEvQ read", "key <sensitive> read"),
            (&[KEY], "  AB", "  <sensitive>"),
            (
                &[KEY],
                "    MIIEvQ\n    AB\n    =",
                "    <sensitive>\n    <sensitive>\n    =",
            ),
            (&[KEY], "ABC AB", "ABC AB"),
            (&[JSON], "{", "{"),
            (&[JSON], "  \"token\": \"t0p\",", "  <sensitive>,"),
        ];
        for (secrets, text, expected) in cases {
            let masked = Masker::new(*secrets).mask(text).into_owned();
            assert_eq!(masked, *expected, "{secrets:?} in {text:?}");
        }
    }

    #[test]
    fn secrets_that_are_added_later_are_hidden_too() {
        let secrets = Secrets::default();
        let masker = Masker::of(&secrets);
        let clone = masker.clone();
        assert_eq!(masker.mask("a hunter2"), "a hunter2");
        secrets.clone().add("hunter2");
        assert_eq!(masker.mask("a hunter2 b0b"), "a <sensitive> b0b");
        secrets.add("b0b");
        assert_eq!(clone.mask("a hunter2 b0b"), "a <sensitive> <sensitive>");
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    }

    #[test]
    fn text_without_secrets_is_not_copied() {
        let masker = Masker::new([KEY, "hunter2"]);
        assert!(matches!(masker.mask("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_secret_is_found_behind_control_characters() {
        let masker = Masker::new(["hunter2"]);
        assert_eq!(masker.mask("hun\x1b[0mter2"), MASK);
        assert_eq!(masker.mask("\x1b[1mbold\0"), "\x1b[1mbold\0");
        assert_eq!(masker.mask_neutral("\x1b[1mhunter2"), MASK);
        assert!(matches!(masker.mask_neutral("plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_of_a_secret_is_left(
            secrets in proptest::collection::vec("[abc]{1,4}", 1..4),
            text in "[abcd]{0,20}",
        ) {
            let masked = Masker::new(&secrets).mask(&text).replace(MASK, "|");
            for secret in &secrets {
                prop_assert!(!masked.contains(secret), "{secret} in {masked}");
            }
        }

        #[test]
        fn what_no_secret_covers_stays(text in "[a-f]{0,20}") {
            prop_assert_eq!(Masker::new(["xyz"]).mask(&text), text.as_str());
        }
    }
}
