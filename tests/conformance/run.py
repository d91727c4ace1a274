#!/usr/bin/env python3
"""Runs every case through Packer 1.6.6 and through hardtack, and compares output and exit code.

    run.py HARDTACK [TEXT]    only the cases whose name contains TEXT; then nothing is said of
                              differences that were not met

What differs must be listed in differences.txt, and what is listed must differ. README.md says how
the case files are written.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cases

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SECONDS = 60


@dataclass
class Outcome:
    """What one program made of one case: what is compared."""

    code: int
    output: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.output}".rstrip("\n")


@dataclass
class Verdict:
    """A case with what was expected and what was found."""

    name: str
    expected: Outcome
    found: Outcome

    @property
    def equal(self) -> bool:
        return self.expected == self.found


def run(binary: str, arguments: list[str], folder: Path, stdin: str, environment: dict[str, str] = {}) -> Outcome:
    """Runs a program with an environment of the test's own."""
    clean = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": str(folder.parent),
        "CHECKPOINT_DISABLE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HARDTACK_STORE": str(folder.parent / "store"),
    }
    done = subprocess.run(
        [binary, *arguments],
        cwd=folder,
        env=clean | environment,
        input=stdin.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=SECONDS,
    )
    return Outcome(done.returncode, done.stdout.decode(errors="replace"))


def wrong(outcome: Outcome) -> Outcome:
    """An error is compared by its exit code: Packer tells it on standard output, in other words."""
    return Outcome(outcome.code, "") if outcome.code != 0 else outcome


def evaluate(binary: str, expression: str, folder: Path) -> Outcome:
    """What `console` makes of an expression; one of several lines is put into a template first."""
    if "\n" not in expression:
        arguments = ["console", "context"]
        return wrong(run(binary, arguments, folder, expression + "\n"))
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        Path(name, "several-lines.pkr.hcl").write_text("locals {\n  it = " + expression + "\n}\n")
        return wrong(run(binary, ["console", "several-lines.pkr.hcl"], Path(name), "local.it\n"))


def compare_expression(hardtack: str, folder: Path, name: str, expression: str) -> list[Verdict]:
    return [Verdict(name, evaluate("packer", expression, folder), evaluate(hardtack, expression, folder))]


def compare_newer(hardtack: str, folder: Path, case: cases.Newer) -> list[Verdict]:
    """What the documentation says against hardtack. What Packer 1.6.6 answers too does not belong there."""
    name = cases.expression_name(case.expression)
    expected = Outcome(1, "") if case.expected is None else Outcome(0, case.expected + "\n")
    if case.expected is not None and evaluate("packer", case.expression, folder) == expected:
        raise cases.CaseError(f"newer.txt: Packer 1.6.6 knows this too, so it belongs to the expressions: {name}")
    return [Verdict(f"{name} ({case.source})", expected, evaluate(hardtack, case.expression, folder))]


def compare_template(hardtack: str, folder: Path, case: cases.Template) -> list[Verdict]:
    """Runs the commands of a case in a folder for each program, which begin with the same files."""
    outcomes: dict[str, list[Outcome]] = {}
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        for tool, binary in (("packer", "packer"), ("hardtack", hardtack)):
            outcomes[tool] = []
            # Both folders have the same name, as far as it can be seen in sizes.
            work = Path(name, tool[0] + "-work")
            work.mkdir()
            for path, text in case.files.items():
                (work / path).parent.mkdir(parents=True, exist_ok=True)
                (work / path).write_text(text)
            for command in case.commands:
                before = files_of(work)
                outcome = run(binary, command.arguments, work, command.stdin, command.environment)
                changed = [
                    f"--- {path}\n{text}" for path, text in files_of(work).items() if before.get(path) != text
                ]
                outcomes[tool].append(comparable(command, outcome, work, "\n".join(changed)))
    return [
        Verdict(command.name, expected, found)
        for command, expected, found in zip(case.commands, outcomes["packer"], outcomes["hardtack"])
    ]


def comparable(command: cases.Command, outcome: Outcome, work: Path, made: str) -> Outcome:
    """What of a command is promised to be alike; the rest is wording."""
    kind = next((word for word in command.arguments if not word.startswith("-")), "")
    is_machine_readable = any(word.endswith("-machine-readable") for word in command.arguments)
    if command.only_code or kind == "validate":
        return Outcome(outcome.code, "")
    if kind == "build":
        output = machine_lines(outcome.output) if is_machine_readable else ""
        return Outcome(outcome.code, normal(output + made, work))
    if is_machine_readable:
        return wrong(Outcome(outcome.code, normal(outcome.output, work)))
    if kind == "fmt":
        return Outcome(outcome.code, (outcome.output if outcome.code in (0, 3) else "") + made)
    return wrong(Outcome(outcome.code, outcome.output.replace(str(work), "WORK")))


def machine_lines(output: str) -> str:
    """The lines in an order of their own, since builds side by side speak in any order: those of one build together."""

    def build(line: str) -> tuple[str, str]:
        _, target, *rest = [*line.split(",", 2), "", ""]
        named = re.search(r"(?:==> |--> |    |Build ')(\w+\.[\w.]+)[:']", rest[0])
        return target, named[1] if named else ""

    return "".join(sorted(output.splitlines(keepends=True), key=build))


def files_of(work: Path) -> dict[str, str]:
    """All files with their texts."""
    return {
        str(path.relative_to(work)): path.read_bytes().decode(errors="backslashreplace")
        for path in sorted(work.rglob("*"))
        if path.is_file()
    }


def normal(text: str, work: Path) -> str:
    """Text without what differs between any two runs: times, random names, the folder."""
    text = text.replace(str(work), "WORK")
    text = re.sub(r"(?m)^\d+,", "TIME,", text)
    text = re.sub(r"(after) [0-9.]+ ?[a-zµ]+( [0-9.]+ [a-z]+)*", r"\1 TIME", text)
    text = re.sub(r"/\S*/packer-shell\w+", "SCRIPT", text)
    text = re.sub(r'"build_time": \d+', '"build_time": TIME', text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    return text


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    hardtack = str(Path(sys.argv[1]).resolve())
    wanted = sys.argv[2] if len(sys.argv) == 3 else ""
    page = (REPOSITORY / "docs/packer-compatibility.md").read_text()
    listed = {
        case: difference.name
        for difference in cases.differences(HERE / "differences.txt", page)
        for case in difference.cases
    }
    jobs = []
    expressions = cases.expressions(HERE / "expressions")
    for name, expression in expressions.items():
        jobs.append((name, compare_expression, (name, expression)))
    for template in cases.templates(HERE / "templates"):
        jobs.append((" ".join([template.name] + [c.name for c in template.commands]), compare_template, (template,)))
    newer = cases.newer(HERE / "newer.txt")
    for case in newer:
        jobs.append((case.expression, compare_newer, (case,)))
    documented = (REPOSITORY / "docs/templates.md").read_text()
    check_functions(documented, [*expressions.values(), *(case.expression for case in newer)])
    jobs = [job for job in jobs if wanted in job[0]]
    with tempfile.TemporaryDirectory(prefix="conformance.") as name:
        folder = Path(name, "work")
        shutil.copytree(HERE / "context", folder / "context")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            futures = [pool.submit(job[1], hardtack, folder, *job[2]) for job in jobs]
            verdicts = [verdict for future in futures for verdict in future.result()]
    return report(verdicts, listed, is_whole=not wanted)


def check_functions(documented: str, texts: list[str]) -> None:
    """Every function that the documentation lists has three cases at least.

    `env` is none of the console: it works in defaults of variables alone.
    """
    table = documented.split("## Functions")[1].split("\n\n")[1]
    for name in set(re.findall(r"`(\w+)`", table)) - {"env"}:
        found = sum(re.search(rf"\b{name}\(", text) is not None for text in texts)
        if found < 3:
            raise cases.CaseError(f"the function {name} has {found} cases instead of three or more")


def report(verdicts: list[Verdict], listed: dict[str, str], is_whole: bool) -> int:
    """Prints what is wrong, then the deliberate differences, and returns the exit code."""
    failures = 0
    met: dict[str, int] = {}
    for verdict in verdicts:
        difference = listed.get(verdict.name)
        if verdict.equal and difference:
            failures += 1
            print(f"NO DIFFERENCE, though [{difference}] lists it: {verdict.name}\n")
        elif not verdict.equal and not difference:
            failures += 1
            print(f"DIFFERENT: {verdict.name}\nexpected: {verdict.expected}\nfound: {verdict.found}\n")
        elif difference:
            met[difference] = met.get(difference, 0) + 1
    if is_whole:
        for case in listed.keys() - {verdict.name for verdict in verdicts}:
            failures += 1
            print(f"NO CASE, though [{listed[case]}] lists it: {case}\n")
    equal = sum(verdict.equal for verdict in verdicts)
    print(f"{len(verdicts)} comparisons: {equal} alike, {sum(met.values())} deliberate differences, {failures} failures")
    for name, count in sorted(met.items()):
        print(f"  {name}: {count}")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except cases.CaseError as error:
        sys.exit(str(error))
