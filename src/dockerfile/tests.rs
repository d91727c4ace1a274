//! Translations of small Dockerfiles, and of arbitrary text.

use super::*;
use crate::store::Platform;
use crate::template::gotemplate::GoTemplateData;
use crate::template::value::Value;
use crate::template::{
    NamedText, NoServices, TemplateTexts, World, canonical::canonical_form, load_texts,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn import<'a>(text: &'a str, context: &'a Path) -> Import<'a> {
    static PLATFORM: std::sync::LazyLock<Platform> =
        std::sync::LazyLock::new(|| "linux/amd64".parse().unwrap());
    Import {
        name: "Dockerfile",
        text,
        context,
        context_name: "",
        ignored: "",
        ignored_name: ".dockerignore",
        own_files: &[],
        platform: &PLATFORM,
    }
}

/// The template, and what is said about it.
fn translated(text: &str) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for name in ["a.txt", "b.txt", "folder/c"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    match translate(&import(text, folder.path())) {
        Ok(translation) => {
            let said = translation.diagnostics.into_vec();
            let left_out = said
                .iter()
                .any(|it| it.severity == crate::diagnostic::Severity::Error);
            assert_eq!(translation.is_whole, !left_out);
            (
                translation.template,
                said.into_iter().map(|it| it.summary).collect(),
            )
        }
        Err((diagnostics, _)) => {
            let said = diagnostics.into_vec().into_iter();
            (String::new(), said.map(|it| it.summary).collect())
        }
    }
}

fn world() -> World {
    World {
        template_folder: PathBuf::from("/nowhere"),
        working_folder: PathBuf::from("/nowhere"),
        home: None,
        now: jiff::Timestamp::UNIX_EPOCH,
        random: Arc::new(|bytes| bytes.fill(0)),
        environment: BTreeMap::new(),
        services: Arc::new(NoServices),
    }
}

/// The string that an expression gives.
pub(super) fn evaluated(expression: &str) -> String {
    let value = value_of(expression, Path::new(""));
    value.as_str().expect("it is a string").to_owned()
}

fn value_of(expression: &str, folder: &Path) -> Value {
    let texts = TemplateTexts {
        templates: vec![NamedText {
            name: "x.pkr.hcl".to_owned(),
            text: format!("locals {{\n  it = {expression}\n}}\n"),
        }],
        folder: folder.to_owned(),
        ..TemplateTexts::default()
    };
    let loaded = load_texts(texts, &[], false, world()).expect("it is a template");
    let (_, value) = loaded.template.locals().next().expect("there is one local");
    value.clone()
}

/// What Go templates can refer to: nothing.
pub(super) fn nothing() -> GoTemplateData {
    GoTemplateData {
        fields: BTreeMap::new(),
        build_name: String::new(),
        build_type: String::new(),
        working_folder: String::new(),
        now: jiff::Timestamp::UNIX_EPOCH,
        random: Arc::new(|bytes| bytes.fill(0)),
    }
}

#[test]
fn instructions_become_arguments() {
    for (instructions, expected) in [
        ("RUN make", "inline = [\"make\"]"),
        ("RUN a; b", "inline_shebang = \"/bin/sh\""),
        ("RUN [\"/a\", \"b c\"]", "exec = [\"/a\", \"b c\"]"),
        (
            "RUN echo ${HOME} %{x} {{y}}",
            r#""echo $${HOME} %%{x} {{\"{{\"}}y}}""#,
        ),
        ("RUN <<EOF\nx\ny\nEOF", "inline         = [\"x\", \"y\"]"),
        (
            "RUN <<EOF\n#!/bin/ash\ny\nEOF",
            "inline = [\"#!/bin/ash\", \"y\"]",
        ),
        ("RUN cat <<EOF\n$x\nEOF", r#"["cat <<EOF", "$x", "EOF"]"#),
        ("RUN a \\\n  && b", r#"["a \\", "  && b"]"#),
        ("RUN echo 'a \\\n b'", r#"["echo 'a  b'"]"#),
        (
            "SHELL [\"/bin/bash\", \"-c\"]\nRUN x",
            r#"exec = ["/bin/bash", "-c", "x"]"#,
        ),
        ("ENV A=1\nRUN x", "env    = { A = \"1\" }"),
        ("ENV A=1 B=2\nRUN x", "env    = local.stage_0_env"),
        (
            "ENV PATH=/x:$PATH\nRUN y",
            r#""export PATH=\"/x:$PATH\"", "y""#,
        ),
        (
            "ENV PATH=/x:$PATH",
            r#"changes = ["ENV PATH=\"/x:$PATH\""]"#,
        ),
        ("ENV PATH=/x:$PATH\nRUN [\"y\", \"$z\"]", r#""exec y '$z'""#),
        ("WORKDIR /a/\nWORKDIR ./b\nRUN x", "workdir = \"/a/b\""),
        ("WORKDIR /a", "folders = [\"/a\"]"),
        ("USER app:1\nRUN x", "user   = \"app:1\""),
        ("ARG A=x\nRUN y", "env    = { A = var.A }"),
        (
            "ARG A=x\nLABEL l=${A:-z}-$A",
            r#"l = "${(var.A != "" ? var.A : "z")}-${var.A}""#,
        ),
        ("ARG A\nENV B=$A.", "env = { B = \"${var.A}.\" }"),
        (
            "ARG A=1\nARG B=$A\nLABEL l=$B",
            "B = var.B != \"\" ? var.B : var.A",
        ),
        ("COPY a.txt /b", "source      = \"${path.root}/a.txt\""),
        ("COPY folder /b", "source      = \"${path.root}/folder/\""),
        ("COPY . /b", "source      = \"${path.root}/\""),
        ("WORKDIR /w\nCOPY a.txt b.txt .", "destination = \"/w/\""),
        (
            "COPY *.txt /b/",
            r#"[for name in fileset(".", "*.txt") : "${path.root}/${name}"]"#,
        ),
        (
            "COPY --chown=5 --chmod=755 a.txt /b",
            "owner       = \"5:5\"",
        ),
        (
            "COPY --chown=5 --chmod=755 a.txt /b",
            "mode        = \"0755\"",
        ),
        (
            "ENV A=b\nCOPY <<EOF /x\n\"$A\" \\$A\nEOF",
            r#"content     = "\"b\" $A\n""#,
        ),
        ("COPY <<'EOF' /x\n$A\nEOF", "content     = \"$A\\n\""),
        ("COPY --from=b:1 /x /y", "from   = \"oci.b-1\""),
        ("CMD a $b", r#"cmd = ["/bin/sh", "-c", "a $b"]"#),
        ("ENTRYPOINT [\"a\"]", "entrypoint = [\"a\"]"),
        ("EXPOSE 80 81/udp", "ports = [\"80\", \"81/udp\"]"),
        ("LABEL \"a.b\"=\"c d\"", "labels = { \"a.b\" = \"c d\" }"),
        ("VOLUME /a /b", "volumes = [\"/a\", \"/b\"]"),
        ("STOPSIGNAL SIGINT", "stop_signal = \"SIGINT\""),
        ("MAINTAINER a b", "author = \"a b\""),
        ("ONBUILD RUN ${x}", "changes = [\"ONBUILD RUN $${x}\"]"),
        ("HEALTHCHECK --interval=90s CMD x", "interval = \"90s\""),
        ("HEALTHCHECK NONE", "test = [\"NONE\"]"),
        ("RUN --network=none x", "network = \"none\""),
        (
            "RUN --mount=type=cache,target=/c,sharing=locked x",
            "mount \"cache\" {\n      sharing = \"locked\"\n      target  = \"/c\"",
        ),
        (
            "RUN --mount=type=secret,id=s x",
            "mount \"secret\" {\n      id       = \"s\"\n      required = false",
        ),
        (
            "RUN --mount=type=tmpfs,target=/t x",
            "mount \"tmpfs\" {\n      target = \"/t\"",
        ),
        (
            "RUN --mount=target=/t,source=folder x",
            "source = \"${path.root}/folder\"",
        ),
        (
            "RUN --mount=target=/t,source=../../folder x",
            "source = \"${path.root}/folder\"",
        ),
        ("RUN --mount=type=ssh x", "required = false"),
    ] {
        let (template, said) = translated(&format!("FROM base\n{instructions}\n"));
        assert!(said.is_empty(), "{instructions}: {said:?}");
        assert!(template.contains(expected), "{instructions}:\n{template}");
        assert_eq!(canonical_form(&template), template, "{instructions}");
    }
}

#[test]
fn the_files_of_a_pattern_are_found_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["template", "template/inside", "beside"] {
        let context = folder.path().join(name);
        fs::create_dir(&context).unwrap();
        fs::write(context.join("a.txt"), "").unwrap();
        fs::write(context.join("b.txt"), "").unwrap();
    }
    let template_folder = folder.path().join("template");
    // Templates are named from the folder in which the command is run.
    let here = std::env::current_dir().unwrap();
    let up = here.components().skip(1).map(|_| Path::new(".."));
    let relative = up
        .collect::<PathBuf>()
        .join(template_folder.strip_prefix("/").unwrap());
    let absolute = folder.path().join("beside");
    for (context_name, context) in [
        ("", template_folder.clone()),
        ("inside", template_folder.join("inside")),
        ("../beside", absolute.clone()),
        (absolute.to_str().unwrap(), absolute.clone()),
    ] {
        let mut import = import("FROM a\nCOPY *.txt /b/\n", &context);
        import.context_name = context_name;
        let template = translate(&import).unwrap().template;
        let sources = template
            .lines()
            .find_map(|line| line.trim().strip_prefix("sources     = "));
        let value = value_of(sources.expect(&template), &relative);
        let files: Vec<&str> = value
            .as_elements()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(files.len(), 2, "{context_name}: {files:?}\n{template}");
        for file in files {
            assert!(here.join(file).is_file(), "{context_name}: {file}");
        }
    }
}

#[test]
fn what_is_ignored_is_none_of_the_context() {
    let folder = tempfile::tempdir().unwrap();
    let own = ["x.pkr.hcl".to_owned(), "hardtack.lock.hcl".to_owned()];
    let mut import = import("FROM a\nCOPY . /b/\n", folder.path());
    import.ignored = "*.md\n";
    import.own_files = &own;
    let template = translate(&import).unwrap().template;
    let expected = r#"exclude     = ["*.md", "x.pkr.hcl", "hardtack.lock.hcl"]"#;
    assert!(template.contains(expected), "{template}");
    import.ignored = "*.md\n[\n";
    let (diagnostics, sources) = translate(&import).unwrap_err();
    let said = diagnostics.into_vec();
    let place = said[0].labels[0].span;
    assert_eq!(sources.name(place.file), ".dockerignore");
    assert!(said[0].summary.contains("\"[\" is no pattern"), "{said:?}");
}

#[test]
fn nothing_outside_of_the_context_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context");
    fs::create_dir_all(context.join("sub")).unwrap();
    fs::create_dir(folder.path().join("outside")).unwrap();
    for name in ["context/sub/file", "outside/file", "secret"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    symlink("/etc/passwd", context.join("absolute")).unwrap();
    symlink("../secret", context.join("relative")).unwrap();
    symlink("../outside", context.join("away")).unwrap();
    symlink("away", context.join("twice")).unwrap();
    symlink("sub", context.join("folder")).unwrap();
    symlink("../sub/file", context.join("sub/link")).unwrap();
    for (instruction, is_inside) in [
        ("COPY absolute /x", false),
        ("ADD relative /x", false),
        ("COPY rel* /x/", false),
        ("COPY away /x", false),
        ("COPY twice/ /x", false),
        ("COPY away/file /x", false),
        ("COPY away/f* /x/", false),
        ("RUN --mount=target=/x,source=away y", false),
        ("ARG A=../secret\nCOPY $A /x", false),
        ("ARG A=away\nCOPY $A/file /x", false),
        ("COPY folder /x", true),
        ("COPY folder/file /x", true),
        ("COPY sub/link sub/l* /x/", true),
        ("COPY ../sub /x", true),
        ("RUN --mount=target=/x,source=folder y", true),
    ] {
        let text = format!("FROM a\n{instruction}\n");
        let translation = translate(&import(&text, &context)).unwrap();
        assert_eq!(translation.is_whole, is_inside, "{instruction}");
        let said = translation.diagnostics.into_vec();
        let is_told = said
            .iter()
            .any(|it| it.summary.contains("leads out of the context"));
        assert_eq!(is_told, !is_inside, "{instruction}: {said:?}");
    }
}

#[test]
fn a_folder_belongs_to_who_works_in_it() {
    for (instructions, owner) in [
        ("WORKDIR /w", None),
        ("USER root\nWORKDIR /w", None),
        ("USER app\nUSER 0\nWORKDIR /w", None),
        ("USER app\nWORKDIR /w", Some("\"app\"")),
        ("USER 5\nWORKDIR /w", Some("\"5:5\"")),
        ("USER 5:6\nWORKDIR /w", Some("\"5:6\"")),
        ("ARG U=app\nUSER $U\nWORKDIR /w", Some("var.U")),
    ] {
        let (template, _) = translated(&format!("FROM base\n{instructions}\n"));
        let found = template
            .lines()
            .find_map(|line| line.trim().strip_prefix("owner   = "));
        assert_eq!(found, owner, "{instructions}:\n{template}");
    }
    let (template, _) = translated("FROM a AS b\nUSER app\nFROM b AS c\nFROM c\nWORKDIR /w\n");
    assert!(template.contains("owner   = \"app\""), "{template}");
}

#[test]
fn arguments_hold_on_in_stages_that_start_from_others() {
    let text = "FROM a AS b\nARG A=1\nARG E=2\nENV E=3\nFROM b AS c\nFROM c\nRUN x\nLABEL l=$A$E\n";
    let (template, said) = translated(text);
    assert!(said.is_empty(), "{said:?}");
    assert!(template.contains("env    = { A = var.A }"), "{template}");
    assert!(template.contains("l = \"${var.A}3\""), "{template}");
}

#[test]
fn values_that_double_are_stopped() {
    for first in ["ENV A=x", "ARG B=x\nENV A=$B", "ENV A=$OF_BASE"] {
        let doubled = "ENV A=$A$A\n".repeat(34);
        let (template, said) = translated(&format!("FROM a\n{first}\n{doubled}"));
        let problem = "the values of its variables are longer than";
        let is_told = said.iter().any(|it| it.contains(problem));
        assert!(is_told, "{first}: {said:?}");
        assert!(template.len() < 4_000_000, "{first}: {}", template.len());
    }
}

#[test]
fn an_argument_is_what_it_is_declared_to_be_before() {
    for (text, expected, local) in [
        (
            "FROM a\nARG FOO\nARG BAR=\"b $FOO\"\nARG FOO=later\nLABEL l=$FOO\n",
            "variable \"FOO\" {\n  type    = string\n  default = \"\"\n}",
            true,
        ),
        (
            "FROM a\nARG FOO\nLABEL l=$FOO\nFROM b\nARG FOO=later\n",
            "l = var.FOO",
            true,
        ),
        (
            "ARG FOO=first\nFROM a:$FOO\nARG FOO\nLABEL l=$FOO\n",
            "default = \"first\"",
            false,
        ),
        (
            "FROM a\nARG TARGETARCH\nFROM b\nARG TARGETARCH=x\n",
            "variable \"TARGETARCH\"",
            false,
        ),
    ] {
        let (template, _) = translated(text);
        assert!(template.contains(expected), "{text}:\n{template}");
        assert_eq!(template.contains("locals {"), local, "{text}:\n{template}");
    }
}

#[test]
fn stages_start_where_they_say() {
    let text = "ARG V=1\nFROM a:$V AS One\nENV X=1\nWORKDIR /w\nFROM --platform=linux/arm64 one\nCOPY --from=0 /x y\nRUN $X\nFROM scratch\nCOPY a.txt x\n";
    let (template, said) = translated(text);
    assert!(said.is_empty(), "{said:?}");
    for expected in [
        "image = \"a:${var.V}\"",
        "from     = \"oci.One\"",
        "platform = \"linux/arm64\"",
        "scratch = true",
        "source      = \"/.hardtack-from/x/\"",
        "destination = \"/w/y\"",
        "destination = \"/x\"",
    ] {
        assert!(template.contains(expected), "{expected}:\n{template}");
    }
    // What the stage below has set is part of its image.
    assert!(
        !template.contains("workdir = \"/w\"\n  }\n  config"),
        "{template}"
    );
}

#[test]
fn what_is_left_out_is_told() {
    for (text, problem) in [
        ("", "no FROM"),
        ("RUN x\nFROM a\n", "in front of the first FROM"),
        ("FROM a\nADD https://x/y /z\n", "is not downloaded"),
        ("FROM a\nCOPY nothing /z\n", "there is no nothing"),
        ("FROM a\nCOPY n* /z\n", "nothing in the context matches"),
        (
            "FROM a\nCOPY a.txt z\n",
            "working directory of the base image",
        ),
        ("FROM a\nWORKDIR $HOME\n", "variable of the base image"),
        ("FROM a\nENV A=1 B=$A\n", "needs the value that A has"),
        ("FROM a\nENV A=$B\nENV B=1\n", "needs the value that B has"),
        ("FROM a\nRUN --security=insecure x\n", "is not supported"),
        (
            "FROM a\nRUN --mount=type=cache,target=/c,from=x y\n",
            "option from",
        ),
        ("FROM a\nCOPY --chmod=u+x a.txt /b\n", "permission bits"),
        ("FROM a\nCOPY --from=b /x* /b\n", "pattern of files"),
        ("FROM a\nCOPY --exclude=[ folder /b\n", "is no pattern"),
        (
            "FROM a\nARG A=x\nCOPY --exclude=$A folder /b\n",
            "is not known yet",
        ),
        ("FROM a\nNONSENSE x\n", "no instruction NONSENSE"),
        ("FROM a\nSHELL bash\n", "no list in JSON"),
        ("FROM a b c\n", "FROM IMAGE [AS NAME]"),
        ("FROM a\nLABEL x=${Y#z}\n", "form of"),
        ("FROM a\nRUN <<EOF\n", "has no end"),
    ] {
        let (template, said) = translated(text);
        assert!(
            said.iter().any(|it| it.contains(problem)),
            "{text}: {said:?}"
        );
        let is_marked = template.contains("left out") || !text.starts_with("FROM a\n");
        assert!(is_marked || template.is_empty(), "{text}:\n{template}");
    }
}

#[test]
fn nothing_of_a_dockerfile_becomes_code() {
    for text in [
        "FROM a\nNO \"}\n# x\r}\u{2028}locals {}\n",
        "FROM a${\nRUN ${x}\n",
        "FROM a AS \"}\nENV \"}{\"=x\n",
        "FROM a\nLABEL \"${file(\\\"/etc/passwd\\\")}\"=1\nENV A=\"${B:-${file('x')}}\"\n",
        "FROM a\nONBUILD %{ for x in y }\nCMD ${uuidv4()} {{ timestamp }}\n",
    ] {
        let (template, _) = translated(text);
        let lines = template
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let template: String = lines.map(|line| format!("{line}\n")).collect();
        for code in ["${file", "${uuid", "%{ for", "${x}"] {
            let plain = template
                .replace(&format!("${code}"), "")
                .replace(&format!("%{code}"), "");
            assert!(!plain.contains(code), "{text}:\n{template}");
        }
        check(&template);
    }
}

/// Fails unless a template's syntax is right.
fn check(template: &str) {
    let texts = TemplateTexts {
        templates: vec![NamedText {
            name: "x.pkr.hcl".to_owned(),
            text: template.to_owned(),
        }],
        ..TemplateTexts::default()
    };
    if let Err(error) = load_texts(texts, &[], false, world()) {
        panic!("{:?}\n{template}", error.diagnostics.into_vec());
    }
}

proptest! {
    #[test]
    fn any_text_gives_a_template_or_an_error(text in "\\PC{0,60}(\n\\PC{0,60}){0,6}") {
        let (template, _) = translated(&text);
        check(&template);
    }

    #[test]
    fn any_arguments_give_a_template(
        name in prop::sample::select(vec![
            "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
            "MAINTAINER", "ONBUILD", "RUN", "RUN --mount=type=bind,", "SHELL", "STOPSIGNAL", "USER",
            "VOLUME", "WORKDIR",
        ]),
        rest in "[a-z /$%{}\"'\\\\=,:.*?<>\\-\\[\\]#`|;&~\n\t\u{2028}é-]{0,40}",
    ) {
        let (template, _) = translated(&format!("FROM a\nARG x=y\n{name} {rest}\nRUN after\n"));
        check(&template);
    }

    #[test]
    fn a_command_comes_out_as_it_is(command in "[a-zA-Z0-9$%{}\"'\\\\`!~^*()|;& éß\u{4e2d}-]{1,40}") {
        prop_assume!(!command.trim_end().ends_with('\\') && !command.trim().is_empty());
        prop_assume!(!command.contains("<<") && !command.trim_start().starts_with(['-', '[']));
        let (template, said) = translated(&format!("FROM a\nRUN {command}\n"));
        prop_assert!(said.is_empty());
        let line = template.lines().find_map(|line| line.trim().strip_prefix("inline"));
        let expression = line.unwrap().trim_start_matches([' ', '=']);
        let expression = expression.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        if let Some(expression) = expression {
            let value = evaluated(expression);
            let rendered = crate::template::gotemplate::render(&value, &nothing()).unwrap();
            prop_assert_eq!(rendered, command.trim());
        }
    }
}
