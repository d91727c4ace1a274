//! Changes of an image's configuration as lines of a Dockerfile, which `docker import --change` and
//! Packer's options take. Variables in them are not expanded.

use crate::image::ConfigChanges;

/// Adds what one line says to `changes`; an error says what is wrong with it.
pub fn apply(line: &str, changes: &mut ConfigChanges) -> Result<(), String> {
    let line = line.trim();
    let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let instruction = instruction.to_ascii_uppercase();
    if rest.is_empty() && !matches!(instruction.as_str(), "CMD" | "ENTRYPOINT") {
        return Err("it has no argument".to_owned());
    }
    match instruction.as_str() {
        "CMD" => changes.cmd = Some(command(rest)),
        "ENTRYPOINT" => changes.entrypoint = Some(command(rest)),
        "ENV" => changes.env.extend(pairs(rest)?),
        "LABEL" => changes.labels.extend(pairs(rest)?),
        "EXPOSE" => changes.ports.extend(words(rest)?),
        "VOLUME" => changes.volumes.extend(match list(rest) {
            Some(list) => list,
            None => words(rest)?,
        }),
        "USER" => changes.user = Some(rest.to_owned()),
        "WORKDIR" => changes.workdir = Some(rest.to_owned()),
        "STOPSIGNAL" => changes.stop_signal = Some(rest.to_owned()),
        other => return Err(format!("{other} is not supported")),
    }
    Ok(())
}

/// A command: a JSON list, or a line for the shell.
fn command(text: &str) -> Vec<String> {
    match list(text) {
        Some(list) => list,
        None if text.is_empty() => Vec::new(),
        None => ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
    }
}

fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `NAME=value …`, or `NAME value` as in old Dockerfiles.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text
            .split_once(char::is_whitespace)
            .ok_or("it has a name without a value")?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let split = |word: String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{word:?} is not NAME=VALUE")),
    };
    words(text)?.into_iter().map(split).collect()
}

/// Words, with quotes and backslashes as a shell has them.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let escaped = characters.next().ok_or("it ends in a backslash")?;
                let word = word.get_or_insert_default();
                // Inside quotes only these mean something else than themselves.
                if quote.is_some() && !matches!(escaped, '"' | '\\' | '$') {
                    word.push('\\');
                }
                word.push(escaped);
            }
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Result<ConfigChanges, String> {
        let mut changes = ConfigChanges::default();
        for line in lines {
            apply(line, &mut changes)?;
        }
        Ok(changes)
    }

    #[test]
    fn lines_mean_what_they_mean_in_a_dockerfile() {
        let changes = of(&[
            r#"ENTRYPOINT ["/bin/x", "a b"]"#,
            "cmd echo $HOME",
            r#"ENV A=1 B="two words" C='$x' D=a\ b"#,
            "ENV E the rest",
            "LABEL k=v",
            "EXPOSE 80 53/udp",
            r#"VOLUME ["/a b", "/c"]"#,
            "VOLUME /d /e",
            "USER  nobody:nogroup ",
            "WORKDIR /srv",
            "STOPSIGNAL SIGINT",
        ])
        .unwrap();
        let strings = |list: &[&str]| list.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        assert_eq!(changes.entrypoint, Some(strings(&["/bin/x", "a b"])));
        assert_eq!(changes.cmd, Some(strings(&["/bin/sh", "-c", "echo $HOME"])));
        let env = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$x"),
            ("D", "a b"),
            ("E", "the rest"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(changes.env, env);
        assert_eq!(changes.labels["k"], "v");
        assert_eq!(changes.ports, ["80", "53/udp"]);
        assert_eq!(changes.volumes, ["/a b", "/c", "/d", "/e"]);
        assert_eq!(changes.user.as_deref(), Some("nobody:nogroup"));
        assert_eq!(changes.workdir.as_deref(), Some("/srv"));
        assert_eq!(changes.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(of(&["CMD"]).unwrap().cmd, Some(Vec::new()));
    }

    #[test]
    fn what_cannot_be_applied_is_told() {
        for line in [
            "",
            "ENV",
            "ENV A",
            "ENV A=1 B",
            "ENV =1",
            "ENV A=\"1",
            "EXPOSE a\\",
            "ONBUILD RUN x",
            "RUN x",
            "USER",
        ] {
            assert!(of(&[line]).is_err(), "{line:?}");
        }
    }
}
