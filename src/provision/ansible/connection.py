# Connection plugin of Ansible: runs tasks in the root of a hardtack step.
#
# Copyright: the hardtack authors.
# SPDX-License-Identifier: GPL-3.0-or-later
# This file imports Ansible, and so is under Ansible's licence; see LICENSES/. hardtack itself neither
# imports it nor is imported by it: it writes it to a temporary folder for as long as a playbook
# runs, and the two speak over a socket.

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
name: hardtack
short_description: Run tasks in the root of a hardtack step
description:
  - Asks the first process of the root, over a socket, to run each command.
  - It needs neither a server nor keys, and leaves nothing in the root.
author: the hardtack authors
version_added: "2.12"
extends_documentation_fragment:
  - connection_pipelining
options:
  remote_user:
    description: The user of the root that commands run as.
    ini:
      - section: defaults
        key: remote_user
    env:
      - name: ANSIBLE_REMOTE_USER
    vars:
      - name: ansible_user
    cli:
      - name: user
    keyword:
      - name: remote_user
  root:
    description: A file that says where the root's socket is, and how commands start there.
    type: path
    required: true
    env:
      - name: HARDTACK_ANSIBLE_ROOT
    vars:
      - name: hardtack_ansible_root
"""

import array
import json
import os
import re
import selectors
import shlex
import socket
import struct

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

display = Display()

CHUNK = 64 * 1024
# What stands before a command of another user; Ansible puts a shell around it.
BECOME = re.compile(r"^(?:\S+ -c ')?: hardtack-become=([A-Za-z0-9_.$-]+); ")
NAME = re.compile(r"^[A-Za-z0-9_.$-]+$")
# The ways to become another user for which the root can do without a program, with the flags that
# they have where nobody asks for others.
DIRECT = {"sudo": ("", "-H -S -n"), "su": ("",)}
MISSING = re.compile(r"(python[0-9.]*|sudo|su): (?:command )?not found|(?:python[0-9.]*): No such file", re.I)


class Connection(ConnectionBase):
    """A root of hardtack; there is one, whatever hosts are called."""

    transport = "hardtack"
    has_pipelining = True

    def _connect(self):
        if not self._connected:
            with open(self.get_option("root"), encoding="utf-8") as file:
                self._root = json.load(file)
            self._connected = True
        return self

    def set_become_plugin(self, plugin):
        super(Connection, self).set_become_plugin(plugin)
        flags = DIRECT.get(getattr(plugin, "name", None))
        if flags is None:
            return
        build = plugin.build_become_command

        def named(cmd, shell):
            # The root starts a command as whoever it is told: sudo and su need not be there.
            user = plugin.get_option("become_user") or "root"
            given = (plugin.get_option("become_flags") or "").strip()
            if not cmd or given not in flags or not NAME.match(user):
                return build(cmd, shell)
            return ": hardtack-become=%s; %s" % (user, cmd)

        plugin.build_become_command = named

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super(Connection, self).exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        cmd = to_native(cmd, errors="surrogate_or_strict")
        become = BECOME.match(cmd)
        user = become.group(1) if become else None
        display.vvv("EXEC as %s: %s" % (user or "the login user", cmd), host=self._name())
        out = []
        code, err = self._run(["/bin/sh", "-c", cmd], user, in_data or b"", out.append)
        if code == 127:
            self._note_missing(err + b"".join(out))
        return code, b"".join(out), err

    def put_file(self, in_path, out_path):
        super(Connection, self).put_file(in_path, out_path)
        self._connect()
        path = to_bytes(in_path, errors="surrogate_or_strict")
        if not os.path.exists(path):
            raise AnsibleFileNotFound("there is no file %s to copy" % to_native(in_path))
        display.vvv("PUT %s TO %s" % (in_path, out_path), host=self._name())
        with open(path, "rb") as file:
            code, err = self._run(
                ["/bin/sh", "-c", "cat > " + shlex.quote(out_path)], None, file, lambda data: None
            )
        if code != 0:
            raise AnsibleConnectionFailure("cannot write %s: %s" % (out_path, to_native(err)))

    def fetch_file(self, in_path, out_path):
        super(Connection, self).fetch_file(in_path, out_path)
        self._connect()
        display.vvv("FETCH %s TO %s" % (in_path, out_path), host=self._name())
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as file:
            code, err = self._run(["cat", "--", in_path], None, b"", file.write)
        if code != 0:
            raise AnsibleConnectionFailure("cannot read %s: %s" % (in_path, to_native(err)))

    def reset(self):
        self._connected = False

    def close(self):
        self._connected = False

    def _name(self):
        return getattr(self._play_context, "remote_addr", None)

    def _user(self):
        """The login user, with the group that the image may have given."""
        given = self.get_option("remote_user")
        if not given or given == self._root["login"]:
            return self._root["user"]
        return given

    def _run(self, argv, user, source, sink):
        """Runs a command; `source` is bytes or an open file. Gives exit code and errors."""
        order = {
            "run": {
                "argv": argv,
                "env": self._root["env"],
                "user": user if user is not None else self._user(),
                "workdir": self._root["workdir"],
            }
        }
        body = to_bytes(json.dumps(order))
        message = struct.pack("<I", len(body)) + body
        pipes = [os.pipe() for dummy in range(3)]
        ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        line = None
        try:
            try:
                line = self._order(message, theirs)
            finally:
                for descriptor in theirs:
                    os.close(descriptor)
            self._receive(line)
            return self._exchange(line, ours, source, sink)
        finally:
            if line is not None:
                # The root kills the command if it still runs.
                line.close()
            for descriptor in ours:
                if descriptor is not None:
                    os.close(descriptor)

    def _order(self, message, descriptors):
        """Gives an order, with descriptors beside it; gives the line on which answers come."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(self._root["socket"])
            # Not send_fds(), which Python 3.8 lacks.
            rest = message[line.sendmsg([message], rights) :]
            # A short command may have ended by now, and nobody be there for an empty rest.
            if rest:
                line.sendall(rest)
        except OSError as error:
            line.close()
            raise AnsibleConnectionFailure("the step's root is gone: %s" % to_native(error))
        return line

    def _exchange(self, line, ours, source, sink):
        """Moves data until the command has ended. Closes what it puts out of `ours`."""
        errors = []
        if isinstance(source, bytes):
            waiting, source = memoryview(source), None
        else:
            waiting = memoryview(b"")
        code = None
        with selectors.DefaultSelector() as selector:
            for descriptor in ours:
                os.set_blocking(descriptor, False)
            selector.register(ours[0], selectors.EVENT_WRITE)
            selector.register(ours[1], selectors.EVENT_READ)
            selector.register(ours[2], selectors.EVENT_READ)
            selector.register(line, selectors.EVENT_READ)

            def leave(index):
                selector.unregister(ours[index])
                os.close(ours[index])
                ours[index] = None

            while code is None:
                for key, dummy in selector.select():
                    if key.fileobj is line:
                        code = self._receive(line)["ended"]["code"]
                    elif key.fd == ours[0]:
                        if not waiting and source is not None:
                            waiting = memoryview(source.read(CHUNK))
                        if not waiting:
                            leave(0)
                            continue
                        try:
                            waiting = waiting[os.write(key.fd, waiting[:CHUNK]) :]
                        except BlockingIOError:
                            pass
                        except BrokenPipeError:
                            leave(0)
                    else:
                        index = ours.index(key.fd)
                        data = os.read(key.fd, CHUNK)
                        if not data:
                            leave(index)
                        else:
                            (sink if index == 1 else errors.append)(data)
        # What it has written before its end; a daemon may keep the streams open for ever.
        for index, take in ((1, sink), (2, errors.append)):
            while ours[index] is not None:
                try:
                    data = os.read(ours[index], CHUNK)
                except BlockingIOError:
                    break
                if not data:
                    break
                take(data)
        return code, b"".join(errors)

    def _receive(self, line):
        """An answer of the root."""
        header = self._bytes(line, 4)
        answer = json.loads(self._bytes(line, struct.unpack("<I", header)[0]))
        if isinstance(answer, dict) and "failed" in answer:
            raise AnsibleConnectionFailure(to_native(answer["failed"]))
        return answer

    def _bytes(self, line, length):
        data = b""
        while len(data) < length:
            part = line.recv(length - len(data))
            if not part:
                raise AnsibleConnectionFailure("the step's root is gone")
            data += part
        return data

    def _note_missing(self, text):
        """Tells hardtack what was not there, for its own message."""
        text = to_native(text, errors="surrogate_or_replace")
        found = MISSING.search(text)
        if found or text.startswith("/bin/sh: No such file"):
            name = (found.group(1) or "python") if found else "sh"
            with open(self._root["missing"], "a", encoding="utf-8") as file:
                file.write("python\n" if name.lower().startswith("python") else name + "\n")
