//! Challenges: how a registry says that it wants to know who asks (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// More parameters than any challenge has.
const PARAMETERS_LIMIT: usize = 64;

/// One way to say who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Its scheme, in small letters: `basic`, `bearer`.
    pub(super) scheme: String,
    /// Its parameters, by name in small letters.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Challenge {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Reads the challenges of a `WWW-Authenticate` header. What is not understood is left out.
    pub(super) fn parse(header: &str) -> Vec<Challenge> {
        let mut challenges: Vec<Challenge> = Vec::new();
        let mut rest = header.trim_start_matches([' ', '\t', ',']);
        let mut parameters = 0;
        while !rest.is_empty() && parameters < PARAMETERS_LIMIT {
            parameters += 1;
            let (token, after) = take_token(rest);
            if token.is_empty() {
                // No token begins here: go on behind the next comma.
                rest = rest.split_once(',').map_or("", |(_, rest)| rest);
            } else if let Some(value) = after.trim_start().strip_prefix('=') {
                let (value, after) = take_value(value.trim_start());
                if let Some(challenge) = challenges.last_mut() {
                    challenge
                        .parameters
                        .entry(token.to_ascii_lowercase())
                        .or_insert(value);
                }
                rest = after;
            } else {
                challenges.push(Challenge {
                    scheme: token.to_ascii_lowercase(),
                    parameters: BTreeMap::new(),
                });
                rest = after;
            }
            rest = rest.trim_start_matches([' ', '\t', ',']);
        }
        challenges
    }
}

fn take_token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A quoted text or a token, which may have the characters of an address for tolerance's sake.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_their_parameters() {
        let show = |header: &str| {
            let challenges = Challenge::parse(header);
            let show = |it: &Challenge| format!("{} {:?}", it.scheme, it.parameters);
            challenges.iter().map(show).collect::<Vec<_>>().join("; ")
        };
        for (header, expected) in [
            (
                r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push""#,
                r#"bearer {"realm": "https://a.example/token", "scope": "repository:a/b:pull,push", "service": "r.example"}"#,
            ),
            (
                r#"Basic realm="a, \"b\"" , Bearer realm = "x",error=invalid_token"#,
                r#"basic {"realm": "a, \"b\""}; bearer {"error": "invalid_token", "realm": "x"}"#,
            ),
            ("Negotiate", "negotiate {}"),
            (
                "Negotiate, BASIC Realm=x",
                r#"negotiate {}; basic {"realm": "x"}"#,
            ),
            (
                "Bearer realm=https://a.example/t?x=1,service=s",
                r#"bearer {"realm": "https://a.example/t?x=1", "service": "s"}"#,
            ),
            (
                "Bearer realm=\"never ends",
                r#"bearer {"realm": "never ends"}"#,
            ),
            ("Bearer realm=\"a\\", r#"bearer {"realm": "a"}"#),
            ("realm=\"x\"", ""),
            ("", ""),
            (",,, ", ""),
            ("\"a\", Basic", "basic {}"),
            ("é Basic, Basic é=1", "basic {}"),
        ] {
            assert_eq!(show(header), expected, "{header}");
        }
        assert!(Challenge::parse(&"a=1,".repeat(100_000)).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(header in "[a-zA-Z=\", \\\\é]{0,60}|.{0,40}") {
            for challenge in Challenge::parse(&header) {
                proptest::prop_assert!(!challenge.scheme.is_empty());
            }
        }
    }
}
