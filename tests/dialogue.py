"""Runs a command on a terminal and holds a dialogue with it: dialogue.py SCRIPT CODE COMMAND…

Each line of SCRIPT is `< TEXT`, which waits until TEXT is shown, or `> TEXT`, which types TEXT and
Enter, or `^C`. The command must end with the exit code CODE.
"""

import os
import pty
import select
import sys
import time

script, expected, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
shown = b""


def wait_for(text):
    global shown
    end = time.time() + 30
    while text not in shown and time.time() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
    if text not in shown:
        sys.exit(f"{text!r} is not in {shown!r}")
    shown = shown.split(text, 1)[1]


for line in open(script, encoding="utf-8").read().splitlines():
    if line.startswith("< "):
        wait_for(line[2:].encode())
    elif line.startswith("> "):
        os.write(terminal, line[2:].encode() + b"\n")
    elif line == "^C":
        # Whoever is to get it must have begun to wait.
        time.sleep(0.5)
        os.write(terminal, b"\x03")
    else:
        sys.exit(f"not a line of a dialogue: {line!r}")
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if code != expected:
    sys.exit(f"it ended with {code}, not {expected}, and showed {shown!r}")
