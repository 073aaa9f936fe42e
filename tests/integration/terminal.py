#!/usr/bin/python3
"""Drives an interactive program on a terminal of its own (a pty), as a person would.

    with Terminal(["redis-cli"]) as terminal:
        terminal.type("get a\r")
        terminal.expect("hello")

As a program: terminal.py PROMPT 'TYPE THIS' 'EXPECT THIS' [...] -- COMMAND...
Nothing is typed before the prompt is there: line editors drop what came before they were ready.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = float(os.environ.get("RDMAKV_TEST_PATIENCE", "120"))  # only ends a hang
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    def __init__(self, argv, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # A terminal of no size makes line editors ask it where its cursor is.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 40, 160, 0, 0))
            os.execvpe(argv[0], [str(word) for word in argv],
                       {**os.environ, "TERM": "xterm", **(env or {})})
        self.seen = b""
        self.status = None

    def __enter__(self):
        return self

    def type(self, text):
        """Types once the program edits lines itself: a prompt may be there a moment before that, and what
        is typed in between is the terminal's own to interpret, or lost."""
        deadline = time.monotonic() + PATIENCE
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > deadline:
                raise AssertionError("the program never began to edit a line")
            time.sleep(0.005)
        os.write(self.fd, text.encode())

    def expect(self, text):
        """Waits until `text` has been printed, and drops everything up to it."""
        deadline = time.monotonic() + PATIENCE
        wanted = text.encode()
        while wanted not in self.seen:
            if time.monotonic() > deadline or not self._read(deadline):
                raise AssertionError(f"expected {text!r}, saw {self.seen[-2000:]!r}")
        self.seen = self.seen[self.seen.index(wanted) + len(wanted):]

    def _read(self, deadline):
        ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
        try:
            data = os.read(self.fd, 65536) if ready else b""
        except OSError:  # the other side of the pty is closed
            data = b""
        self.seen = ESCAPES.sub(b"", self.seen + data)
        return bool(data)

    def wait(self):
        """Reads to the end and returns the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"the program did not end, it said {self.seen[-2000:]!r}")
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def __exit__(self, *_):
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        os.close(self.fd)


def main():
    words = sys.argv[1:]
    split = words.index("--")
    steps, argv = words[:split], words[split + 1:]
    with Terminal(argv) as terminal:
        for typed, expected in zip(steps[1::2], steps[2::2]):
            terminal.expect(steps[0])
            terminal.type(typed.encode().decode("unicode_escape"))
            terminal.expect(expected)


if __name__ == "__main__":
    main()
