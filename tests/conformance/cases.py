"""Reads the case files: expressions, templates with commands, newer features, differences.

A case has a name that is its own, under which differences.txt can list it. Nothing is run here.
"""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


class CaseError(Exception):
    """A case file is wrong; the message says where."""


@dataclass
class Command:
    """One call of both programs within a template case."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    stdin: str
    only_code: bool


@dataclass
class Template:
    """Files, and the commands that are run beside them, one after the other."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)


@dataclass
class Newer:
    """An expression that Packer 1.6.6 does not know, with what its documentation promises."""

    expression: str
    expected: str | None  # None: an error
    source: str


@dataclass
class Difference:
    """A deliberate difference, and the cases that show it."""

    name: str
    documented: str
    cases: list[str] = field(default_factory=list)


def expressions(folder: Path) -> dict[str, str]:
    """All expressions, by name. A line is one; one of several lines stands between lines `<<<` and `>>>`."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.txt")):
        lines: list[str] | None = None
        for number, line in enumerate(file.read_text().split("\n"), 1):
            if lines is not None:
                if line != ">>>":
                    lines.append(line)
                    continue
                expression = "\n".join(lines)
                lines = None
            elif line == "<<<":
                lines = []
                continue
            elif not line.strip() or line.startswith("#"):
                continue
            else:
                expression = line
            name = expression_name(expression)
            if name in found:
                raise CaseError(f"{file}:{number}: there twice: {expression}")
            found[name] = expression
        if lines is not None:
            raise CaseError(f"{file}: no line >>> after the last <<<")
    return found


def expression_name(expression: str) -> str:
    """What an expression is called in differences.txt: itself on one line, ⏎ between its lines."""
    return "expression " + expression.replace("\n", "⏎")


def templates(folder: Path) -> list[Template]:
    """All template cases: `=== NAME`, `$ COMMAND` lines, and `--- FILE` before each file's text.

    Of a command behind `?` only the exit code counts.
    """
    found: list[Template] = []
    for file in sorted(folder.glob("*.txt")):
        text: list[str] | None = None
        path = ""

        def end_of_file() -> None:
            if text is not None:
                while text and not text[-1]:
                    text.pop()
                found[-1].files[path] = "\n".join([*text, ""])

        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line.startswith("=== "):
                end_of_file()
                text = None
                found.append(Template(f"{file.stem}/{line[4:].strip()}"))
            elif line.startswith("--- "):
                end_of_file()
                text, path = [], line[4:].strip()
            elif text is not None:
                text.append(line)
            elif line.startswith(("$ ", "? ")):
                found[-1].commands.append(_command(found[-1].name, line[2:], line[0] == "?"))
            elif line.strip() and not line.startswith("#"):
                raise CaseError(f"{file}:{number}: neither a command, a file nor a comment")
        end_of_file()
    names = [case.name for case in found]
    for case in found:
        if names.count(case.name) > 1:
            raise CaseError(f"{case.name}: there twice")
        if not case.commands:
            raise CaseError(f"{case.name}: no command")
    return found


def _command(case: str, line: str, only_code: bool) -> Command:
    """`NAME=VALUE… COMMAND ARGUMENT… [<<< TEXT]`, quoted as in a shell."""
    words = shlex.split(line)
    stdin = ""
    if "<<<" in words:
        at = words.index("<<<")
        stdin = "\n".join(words[at + 1 :]) + "\n"
        words = words[:at]
    environment = {}
    while words and re.match(r"[A-Z][A-Za-z0-9_]*=", words[0]):
        name, value = words.pop(0).split("=", 1)
        environment[name] = value
    return Command(f"template {case}: {line}", words, environment, stdin, only_code)


def newer(file: Path) -> list[Newer]:
    """All cases of newer.txt: `EXPRESSION => RESULT`, or `=> error`, below the `source:` line they come from."""
    found: list[Newer] = []
    source = ""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if line.startswith("source: "):
            source = line.removeprefix("source: ")
        elif line.strip() and not line.startswith("#"):
            expression, arrow, expected = line.rpartition(" => ")
            if not arrow or not source:
                raise CaseError(f"{file}:{number}: no `=> RESULT`, or no source above")
            result = None if expected == "error" else expected.replace("\\n", "\n")
            found.append(Newer(expression, result, source))
    return found


def differences(file: Path, page: str) -> list[Difference]:
    """All deliberate differences; each must be in the compatibility page, word for word."""
    found: list[Difference] = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if line.startswith("[") and line.endswith("]"):
            found.append(Difference(line[1:-1], ""))
        elif line.startswith("documented: "):
            found[-1].documented = line.removeprefix("documented: ")
            if found[-1].documented not in page:
                raise CaseError(f"{file}:{number}: not in docs/packer-compatibility.md: {found[-1].documented}")
        elif line.startswith(("expression ", "template ")):
            found[-1].cases.append(line)
        elif line.strip() and not line.startswith("#"):
            raise CaseError(f"{file}:{number}: neither a name, `documented:` nor a case")
    for difference in found:
        if not difference.documented or not difference.cases:
            raise CaseError(f"{file}: [{difference.name}] needs `documented:` and a case")
    return found
