#!/usr/bin/env python3
"""Writes seeds for the fuzz targets into CORPUS/TARGET, taken from the repository's own templates
and unit tests: whole templates, and the strings of the tests as expressions. CORPUS/words gets
the words of the languages."""

import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent
repository = here.parent
corpus = pathlib.Path(sys.argv[1])


def write(target, texts):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(sorted(set(texts))):
        (folder / f"seed-{number:04}").write_text(text, encoding="utf-8")


def strings(folder):
    """The string literals of the Rust files of a folder."""
    for path in sorted((repository / folder).rglob("*.rs")):
        text = path.read_text(encoding="utf-8")
        for raw in re.findall(r'r#"(.*?)"#', text, re.DOTALL):
            yield raw
        for quoted in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text):
            yield quoted.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")


templates = [
    path.read_text(encoding="utf-8")
    for folder in ("templates", "fixtures", "tests", "docs")
    for path in sorted((repository / folder).rglob("*.pkr.hcl"))
]
blocks = [text for text in strings("src/template/tests") if "{" in text]
blocks += [text for text in strings("src/template/syntax") if "=" in text]
write("parse", templates + blocks)
write("template", templates + blocks)
expressions = [text for text in strings("src/template/evaluate") if len(text) > 2]
expressions += [text for text in strings("src/template/functions") if "(" in text]
write("evaluate", expressions)
write("gotemplate", (text for text in strings("src/template/gotemplate") if "{{" in text))
json = [text for text in strings("src/template") if text.startswith(("{", "["))]
write("json", json + ['{"variable": {"a": {"default": "${1}"}}, "locals": [{"b": "${var.a}"}]}'])

WORDS = r"""
variable locals local source build provisioner post-processor dynamic content for_each packer data
hardtack default type sensitive validation condition error_message sources only except var. local.
path.root for in if else endif endfor null true false ${ %{ ~} $${ <<E\x0a <<-E\x0a E => ... [*] .* &&
|| == != <= >= string number bool list( map( object({ optional( any tuple([ {{ }} {{end}} {{if
{{range {{with {{define |printf \x0a 1e1000 %*d
"""
functions = re.findall(r'Function::new\(\s*"(\w+)"', "".join(
    path.read_text(encoding="utf-8")
    for path in sorted((repository / "src/template/functions").glob("*.rs"))
))
words = WORDS.split() + [name + "(" for name in functions]
(corpus / "words").write_text("".join(f'"{word}"\n' for word in words), encoding="utf-8")
