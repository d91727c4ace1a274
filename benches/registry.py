#!/usr/bin/env python3
"""Runs the same work on one registry with hardtack, docker, podman and skopeo; prints medians and ratios.

    benches/registry.py [--rounds N] [--only CASE]… [--hardtack BINARY]

Run it as root on a machine prepared by tests/setup.sh, with target/release/hardtack built, and with
nothing else to do. The registry is a docker-registry of this script alone on the loopback. The tools
take turns within each round, in an order that goes round.

Cases:
  pull      a Debian of about 190 MB in one layer: pulled, checked and unpacked into empty storage;
            skopeo is followed by umoci, since it does not unpack
  change    the last line of a build of 4 steps on that Debian has changed: built and pushed
  again     what was just pushed is built and pushed again
  cold      140 MB of new files in a step and 27 MB copied, nothing from the cache: built and pushed

docker builds with BuildKit, podman with buildah's code and --layers.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from compare import DEBIAN_PACKAGES, ENVIRONMENT, BuildKit, duration, measure, run

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


class Registry:
    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        settings = folder / "registry.yml"
        settings.write_text(f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n"
                            f"    rootdirectory: {folder / 'registry'}\nhttp:\n  addr: {self.host}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", settings],
                                        stdout=open(folder / "registry.log", "wb"), stderr=subprocess.STDOUT)
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/").read()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("docker-registry does not start")


class Work:
    """The base in the registry, and the same builds as templates and Dockerfiles."""

    def __init__(self, folder, registry):
        self.folder, self.registry = folder, registry
        self.base = f"{registry.host}/base:v1"

    def prepare(self):
        print("making the Debian base…", file=sys.stderr)
        tar, layout, bundle = self.folder / "debian.tar", self.folder / "debian", self.folder / "bundle"
        run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEBIAN_PACKAGES}", "bookworm", tar])
        run(["umoci", "init", "--layout", layout])
        run(["umoci", "new", "--image", f"{layout}:base"])
        run(["umoci", "unpack", "--image", f"{layout}:base", bundle])
        run(["tar", "--extract", "--numeric-owner", "--file", tar, "--directory", bundle / "rootfs",
             "--exclude=./dev/*"])
        run(["umoci", "repack", "--image", f"{layout}:base", bundle])
        run(["umoci", "config", "--image", f"{layout}:base", "--os", "linux", "--architecture", "amd64",
             "--config.env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "--config.cmd", "/bin/sh"])
        shutil.rmtree(bundle)
        run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:base", f"docker://{self.base}"])
        files = self.folder / "cold-context" / "files"
        files.mkdir(parents=True)
        numbers = random.Random(1)
        for number in range(27):
            # Half of it can be compressed, as in programs.
            (files / str(number)).write_bytes(numbers.randbytes(500_000) + bytes(500_000))

    def write(self, case, tool, number):
        """Writes what the tool builds in this round, and gives its folder and the image's name."""
        context = self.folder / f"{case}-{tool}"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir()
        if case == "cold":
            commands = ["mkdir /data; for n in $(seq 140); do head -c 500000 /dev/urandom > /data/$n; "
                        "head -c 500000 /dev/zero >> /data/$n; done"]
            copied = self.folder / "cold-context" / "files"
        else:
            commands = [f"echo {step} > /step-{step}" for step in range(3)] + [f"echo {tool} {number} > /last"]
            copied = None
        name = f"{self.registry.host}/{case}-{tool}"
        dockerfile = [f"FROM {self.base}"]
        template = [f'source "oci" "base" {{\n  image = "{self.base}"\n}}',
                    f'build {{\n  name    = "{case}"\n  sources = ["source.oci.base"]']
        for command in commands:
            dockerfile.append(f"RUN {command}")
            text = command.replace("\\", "\\\\").replace('"', '\\"')
            template.append(f'  provisioner "shell" {{\n    inline = ["{text}"]\n  }}')
        if copied:
            run(["cp", "-al", copied, context / "files"])
            dockerfile.append("COPY files /files")
            template.append(f'  provisioner "file" {{\n    source      = "{context}/files"\n'
                            '    destination = "/"\n  }')
        template.append(f'  post-processor "oci-push" {{\n    repository = "{name}"\n    tags       = ["v1"]\n  }}\n}}')
        (context / "Dockerfile").write_text("\n".join(dockerfile) + "\n")
        (context / f"{case}.pkr.hcl").write_text("\n".join(template) + "\n")
        return context, f"{name}:v1"


class Hardtack:
    name = "hardtack"
    builds = True

    def __init__(self, work, binary):
        self.work, self.binary = work, binary
        self.store = work.folder / "hardtack-store"

    def prepare(self):
        pass

    def forget(self):
        shutil.rmtree(self.store, ignore_errors=True)

    def pull(self):
        return [[self.binary, "pull", "--unpack", "--store", self.store, self.work.base]]

    def build(self, context, name, no_cache):
        return [[self.binary, "build", "--store", self.store, "--progress", "quiet", context]
                + (["--no-cache"] if no_cache else [])]

    def environment(self):
        return ENVIRONMENT

    def finish(self):
        pass


class Docker:
    name = "docker"
    builds = True

    def __init__(self, work):
        self.work = work
        self.daemon = BuildKit(work)
        self.client = self.daemon.client

    def prepare(self):
        self.daemon.prepare_daemon()

    def forget(self):
        run(self.client + ["system", "prune", "--all", "--force"])

    def pull(self):
        return [self.client + ["pull", "--quiet", self.work.base]]

    def build(self, context, name, no_cache):
        build = self.client + ["build", "--quiet", "--network", "none", "--tag", name, context]
        return [build + (["--no-cache"] if no_cache else []), self.client + ["push", "--quiet", name]]

    def environment(self):
        return {**ENVIRONMENT, "DOCKER_BUILDKIT": "1"}

    def finish(self):
        self.daemon.finish()


class Podman:
    name = "podman"
    builds = True

    def __init__(self, work):
        self.work = work
        storage = ["--root", work.folder / "podman", "--runroot", work.folder / "podman-run"]
        self.client = ["podman"] + storage
        self.buildah = ["buildah"] + storage

    def prepare(self):
        pass

    def forget(self):
        run(self.client + ["system", "prune", "--all", "--force"])

    def pull(self):
        return [self.client + ["pull", "--quiet", "--tls-verify=false", self.work.base]]

    def build(self, context, name, no_cache):
        build = self.buildah + ["build", "--quiet", "--layers", "--isolation", "chroot", "--network", "host",
                                "--tls-verify=false", "--tag", name]
        return [build + (["--no-cache"] if no_cache else []) + [context],
                self.buildah + ["push", "--quiet", "--tls-verify=false", name]]

    def environment(self):
        return ENVIRONMENT

    def finish(self):
        pass


class Skopeo:
    name = "skopeo + umoci"
    builds = False

    def __init__(self, work):
        self.work = work
        self.layout, self.bundle = work.folder / "skopeo-layout", work.folder / "skopeo-bundle"

    def prepare(self):
        pass

    def forget(self):
        shutil.rmtree(self.layout, ignore_errors=True)
        shutil.rmtree(self.bundle, ignore_errors=True)

    def pull(self):
        return [["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{self.work.base}",
                 f"oci:{self.layout}:base"],
                ["umoci", "unpack", "--image", f"{self.layout}:base", self.bundle]]

    def environment(self):
        return ENVIRONMENT

    def finish(self):
        pass


def turn(work, tool, case, number):
    """One measurement."""
    log = work.folder / "log"
    if case == "pull":
        tool.forget()
        os.sync()
        return measure(tool.pull(), log, tool.environment())
    # In the round before, the same tool built with another last line; `again` repeats that of now.
    context, name = work.write("change" if case == "again" else case, tool.name, number)
    commands = tool.build(context, name, case == "cold")
    if case == "again" or number == 0:
        measure(commands, log, tool.environment())
    os.sync()
    return measure(commands, log, tool.environment())


def table(results, cases, tools):
    for case in cases:
        taking_part = [tool for tool in tools if (case, tool.name) in results]
        print(f"\n| {case} | median | fastest to slowest | hardtack / this |\n|---|---|---|---|")
        own = statistics.median(item.seconds for item in results[case, taking_part[0].name])
        for tool in taking_part:
            seconds = [item.seconds for item in results[case, tool.name]]
            median = statistics.median(seconds)
            print(f"| {tool.name} | {duration(median)} | {duration(min(seconds))} to {duration(max(seconds))} "
                  f"| {own / median:.2f} |")


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    cases = ["pull", "change", "again", "cold"]
    parser.add_argument("--only", action="append", choices=cases)
    parser.add_argument("--hardtack", default=REPOSITORY / "target" / "release" / "hardtack", type=pathlib.Path)
    arguments = parser.parse_args()
    if os.getuid() != 0:
        sys.exit("dockerd and podman need root here")
    cases = arguments.only or cases
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"the machine is busy (load {busy:.1f}): the times will say little", file=sys.stderr)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hardtack-bench.", dir="/var/tmp"))
    registry = Registry(folder)
    work = Work(folder, registry)
    tools = [Hardtack(work, arguments.hardtack.resolve()), Docker(work), Podman(work), Skopeo(work)]
    try:
        work.prepare()
        for tool in tools:
            tool.prepare()
        results = {}
        for case in cases:
            taking_part = [tool for tool in tools if case == "pull" or tool.builds]
            # The first turn fills caches, and counts for nobody.
            for number in range(arguments.rounds + 1):
                first = number % len(taking_part)
                for tool in taking_part[first:] + taking_part[:first]:
                    measured = turn(work, tool, case, number)
                    print(f"{case} {number} {tool.name}: {measured.seconds:.3f} s", file=sys.stderr)
                    if number > 0:
                        results.setdefault((case, tool.name), []).append(measured)
        table(results, cases, tools)
    finally:
        for tool in tools:
            tool.finish()
        registry.process.send_signal(signal.SIGTERM)
        registry.process.wait()
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            mounted = line.split()[4]
            if mounted.startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
