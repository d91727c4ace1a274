#!/usr/bin/env python3
"""Runs the same work with hardtack, BuildKit and buildah, and prints medians and ratios.

    benches/compare.py [--rounds N] [--tools hardtack,buildkit,buildah] [--only CASE]… [--hardtack BINARY]

Run it as root on a machine prepared by tests/setup.sh, with target/release/hardtack built, and with
nothing else to do. The tools take turns within each round, in an order that goes round, and what
one wrote is on the disk before the next begins: else each would pay for the one before it.
Each has its own storage below a temporary folder, which the base image is put into beforehand.
BuildKit is the one in a dockerd of this script alone.

Cases:
  steps      30 trivial steps on BusyBox, nothing from the cache; the time is that of one step
  unchanged  a build of 4 steps on a Debian of about 190 MB, everything from the cache
  cold       140 MB of new files in a step and 27 MB copied, nothing from the cache, written out:
             an OCI layout with gzip; BuildKit writes a docker archive without compression

Times are medians, with the fastest and the slowest behind them. Peak memory is that of the largest
single process: of the commands and what they start for hardtack and buildah, of dockerd alone for
BuildKit, without its client, containerd and runc. It is no sum.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
STEPS = 30
DEBIAN_PACKAGES = "perl,curl"
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/root"}


class Measured:
    def __init__(self, seconds, peak):
        self.seconds, self.peak = seconds, peak


def run(command, **options):
    """Runs a command that must succeed; its output is shown only if it does not."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in command)} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def measure(commands, log, environment):
    """Wall-clock seconds of commands one after the other, and the largest process among them."""
    begin, peak = time.monotonic(), 0
    for command in commands:
        with open(log, "wb") as output:
            process = subprocess.Popen([str(word) for word in command], stdout=output,
                                       stderr=output, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            text = pathlib.Path(log).read_text(errors="replace")
            sys.exit(f"{' '.join(str(word) for word in command)} failed:\n{text[-3000:]}")
        peak = max(peak, usage.ru_maxrss)
    return Measured(time.monotonic() - begin, peak)


class Work:
    """The inputs: templates and Dockerfiles that say the same."""

    def __init__(self, folder):
        self.folder = folder
        self.busybox = REPOSITORY / "fixtures" / "busybox"
        self.debian = folder / "debian"
        self.contexts = {}
        for case in ("steps", "unchanged", "cold"):
            context = folder / case
            context.mkdir()
            self.contexts[case] = context

    def prepare(self):
        tar = self.folder / "debian.tar"
        print("making the Debian base…", file=sys.stderr)
        run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEBIAN_PACKAGES}", "bookworm", tar])
        self.debian_tar = tar
        size = tar.stat().st_size
        print(f"the Debian base has {size / 1e6:.0f} MB", file=sys.stderr)
        self.write("steps", self.busybox, "busybox", [f"echo {n} > /step-{n}" for n in range(STEPS)])
        self.write("unchanged", self.debian, "debian", [f"echo {n} > /step-{n}" for n in range(4)])

        files = self.folder / "cold" / "files"
        files.mkdir()
        numbers = random.Random(1)
        for number in range(27):
            # Half of it can be compressed, as in programs.
            (files / str(number)).write_bytes(numbers.randbytes(500_000) + bytes(500_000))
        fill = ("mkdir /data; for n in $(seq 140); do head -c 500000 /dev/urandom > /data/$n; "
                "head -c 500000 /dev/zero >> /data/$n; done")
        self.write("cold", self.debian, "debian", [fill], copied=files, out=self.folder / "out-layout")

    def write(self, case, layout, image, commands, copied=None, out=None):
        context = self.contexts[case]
        dockerfile = [f"FROM localhost/{image}:base"]
        template = [f'source "oci" "base" {{\n  layout = "{layout}"\n}}',
                    f'build {{\n  name    = "{case}"\n  sources = ["source.oci.base"]']
        for command in commands:
            dockerfile.append(f"RUN {command}")
            text = command.replace("\\", "\\\\").replace('"', '\\"')
            template.append(f'  provisioner "shell" {{\n    inline = ["{text}"]\n  }}')
        if copied:
            dockerfile.append("COPY files /files")
            template.append(f'  provisioner "file" {{\n    source      = "{copied}"\n'
                            '    destination = "/"\n  }')
        if out:
            template.append(f'  post-processor "oci-layout" {{\n    path      = "{out}"\n'
                            '    reference = "x"\n  }')
        template.append("}")
        (context / "Dockerfile").write_text("\n".join(dockerfile) + "\n")
        (context / f"{case}.pkr.hcl").write_text("\n".join(template) + "\n")


class Hardtack:
    name = "hardtack"

    def __init__(self, work, binary):
        self.work, self.binary = work, binary
        self.store = work.folder / "hardtack-store"

    def prepare(self):
        pass

    def commands(self, case):
        command = [self.binary, "build", "--store", self.store, "--progress", "quiet"]
        if case != "unchanged":
            command.append("--no-cache")
        shutil.rmtree(self.work.folder / "out-layout", ignore_errors=True)
        return [command + [self.work.contexts[case]]]

    def measure(self, case):
        return measure(self.commands(case), self.work.folder / "log", ENVIRONMENT)

    def finish(self):
        pass


class BuildKit:
    name = "BuildKit"

    def __init__(self, work):
        self.work, self.process = work, None
        self.client = ["/usr/bin/docker", "--host", f"unix://{work.folder}/docker.sock"]

    def prepare(self):
        folder = self.work.folder
        self.prepare_daemon()
        run(self.client + ["load", "--input", folder / "busybox.tar"])
        run(self.client + ["load", "--input", folder / "debian-image.tar"])

    def prepare_daemon(self):
        folder = self.work.folder
        (folder / "docker.json").write_text("{}")
        self.process = subprocess.Popen(
            ["dockerd", "--data-root", folder / "docker", "--exec-root", folder / "docker-run",
             "--pidfile", folder / "docker.pid", "--host", f"unix://{folder}/docker.sock",
             "--iptables=false", "--ip6tables=false", "--bridge=none",
             "--config-file", folder / "docker.json"],
            stdout=open(folder / "dockerd.log", "wb"), stderr=subprocess.STDOUT)
        for _ in range(150):
            if subprocess.run(self.client + ["version"], capture_output=True).returncode == 0:
                break
            time.sleep(0.2)
        else:
            sys.exit((folder / "dockerd.log").read_text()[-3000:])

    def measure(self, case):
        command = self.client + ["build", "--quiet", "--network", "none", "--tag", f"bench-{case}"]
        if case != "unchanged":
            command.append("--no-cache")
        commands = [command + [self.work.contexts[case]]]
        self.reset_peak()
        if case == "cold":
            archive = self.work.folder / "out-docker.tar"
            archive.unlink(missing_ok=True)
            commands.append(self.client + ["save", "--output", archive, f"bench-{case}"])
        measured = measure(commands, self.work.folder / "log", {**ENVIRONMENT, "DOCKER_BUILDKIT": "1"})
        # The work is done by the daemon.
        measured.peak = self.daemon_peak()
        return measured

    def reset_peak(self):
        """Forgets the daemon's peak, which is else that of loading the base images (proc(5))."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def daemon_peak(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return 0

    def finish(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


class Buildah:
    name = "buildah"

    def __init__(self, work):
        self.work = work
        self.client = ["buildah", "--root", work.folder / "buildah", "--runroot", work.folder / "buildah-run"]

    def prepare(self):
        for archive in ("busybox.tar", "debian-image.tar"):
            run(self.client + ["pull", f"docker-archive:{self.work.folder / archive}"])

    def measure(self, case):
        command = self.client + ["build", "--quiet", "--layers", "--isolation", "chroot",
                                 "--network", "host", "--pull-never", "--tag", f"bench-{case}"]
        if case != "unchanged":
            command.append("--no-cache")
        commands = [command + [self.work.contexts[case]]]
        if case == "cold":
            layout = self.work.folder / "out-buildah"
            shutil.rmtree(layout, ignore_errors=True)
            commands.append(self.client + ["push", "--quiet", f"bench-{case}", f"oci:{layout}:x"])
        return measure(commands, self.work.folder / "log", ENVIRONMENT)

    def finish(self):
        pass


def prepare_images(work):
    """The Debian tar as an image layout, and both bases as archives with the name that FROM uses."""
    run(["umoci", "init", "--layout", work.debian])
    run(["umoci", "new", "--image", f"{work.debian}:base"])
    bundle = work.folder / "bundle"
    run(["umoci", "unpack", "--image", f"{work.debian}:base", bundle])
    run(["tar", "--extract", "--numeric-owner", "--file", work.debian_tar, "--directory", bundle / "rootfs",
         "--exclude=./dev/*"])
    run(["umoci", "repack", "--image", f"{work.debian}:base", bundle])
    run(["umoci", "config", "--image", f"{work.debian}:base", "--os", "linux", "--architecture", "amd64",
         "--config.env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "--config.cmd", "/bin/sh"])
    run(["umoci", "gc", "--layout", work.debian])
    for source, archive, name in ((f"{work.busybox}:busybox", "busybox.tar", "busybox"),
                                  (f"{work.debian}:base", "debian-image.tar", "debian")):
        run(["skopeo", "copy", "--quiet", f"oci:{source}",
             f"docker-archive:{work.folder / archive}:localhost/{name}:base"])


def duration(seconds):
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def table(results, cases, tools):
    print("| case | " + " | ".join(tool.name for tool in tools) + " | "
          + " | ".join(f"{tools[0].name} / {tool.name}" for tool in tools[1:]) + " |")
    print("|---" * (2 * len(tools)) + "|")
    for case in cases:
        medians, cells = [], []
        for tool in tools:
            seconds = [item.seconds / (STEPS if case == "steps" else 1) for item in results[case, tool.name]]
            medians.append(statistics.median(seconds))
            cells.append(f"{duration(medians[-1])} ({duration(min(seconds))} to {duration(max(seconds))})")
        ratios = [f"{medians[0] / value:.2f}" for value in medians[1:]]
        print(f"| {case} | " + " | ".join(cells + ratios) + " |")
        peaks = [max(item.peak for item in results[case, tool.name]) for tool in tools]
        ratios = [f"{peaks[0] / value:.2f}" for value in peaks[1:]]
        print(f"| {case}, peak memory | " + " | ".join([f"{peak / 1024:.0f} MiB" for peak in peaks] + ratios) + " |")


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tools", default="hardtack,buildkit,buildah")
    parser.add_argument("--only", action="append", choices=["steps", "unchanged", "cold"])
    parser.add_argument("--hardtack", default=REPOSITORY / "target" / "release" / "hardtack", type=pathlib.Path)
    arguments = parser.parse_args()
    if os.getuid() != 0:
        sys.exit("dockerd and buildah need root here")
    cases = arguments.only or ["steps", "unchanged", "cold"]

    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"the machine is busy (load {busy:.1f}): the times will say little", file=sys.stderr)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hardtack-bench.", dir="/var/tmp"))
    work = Work(folder)
    known = {"hardtack": lambda: Hardtack(work, arguments.hardtack.resolve()),
             "buildkit": lambda: BuildKit(work), "buildah": lambda: Buildah(work)}
    tools = [known[name]() for name in arguments.tools.split(",")]
    try:
        work.prepare()
        prepare_images(work)
        for tool in tools:
            tool.prepare()
        results = {}
        for case in cases:
            # The first turn fills caches, and counts for nobody.
            for number in range(arguments.rounds + 1):
                first = number % len(tools)
                for tool in tools[first:] + tools[:first]:
                    os.sync()
                    measured = tool.measure(case)
                    print(f"{case} {number} {tool.name}: {measured.seconds:.3f} s", file=sys.stderr)
                    if number > 0:
                        results.setdefault((case, tool.name), []).append(measured)
        table(results, cases, tools)
    finally:
        for tool in tools:
            tool.finish()
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            mounted = line.split()[4]
            if mounted.startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
