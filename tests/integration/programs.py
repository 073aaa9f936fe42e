"""Starts the project's programs for a test, on free ports, and ends them whatever happens.

    with Stack(workers=2) as stack:
        talk_to(stack.port)

Only the standard library. The folder of the programs comes from RDMAKV_BIN (default: build/bin).
"""

import errno
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("RDMAKV_BIN", ROOT / "build" / "bin"))
# Only ends a hang; nothing measures time. Generous because sanitizers and loaded machines are slow.
PATIENCE = float(os.environ.get("RDMAKV_TEST_PATIENCE", "120"))


def memory_factor():
    """Sanitizers keep memory of their own beside each byte of the program, and round sizes up."""
    program = (BIN / "kv_proxy").read_bytes()
    return 3 if b"__asan_init" in program or b"__tsan_init" in program else 1


# Below the ports that kernel and shared memory give out by themselves, and below those of redis-tcl.
PORTS = range(10000, 15000)
_leases = []


def free_port():
    """A port for one program of this process, to listen on by TCP or by shared memory.

    Tests run side by side, and a port that is free now may be taken before the program has it. So
    a port is leased for the life of this process, by a name among abstract Unix sockets.
    """
    while True:
        port = random.choice(PORTS)
        lease = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lease.bind(f"\0rdmakv-test-port-{port}")
            with socket.socket() as tcp, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as shm:
                tcp.bind(("", port))
                shm.bind(f"\0rdmakv/{port}")  # what a kv_server listens on
        except OSError as taken:
            lease.close()
            if taken.errno != errno.EADDRINUSE:
                raise
            continue
        _leases.append(lease)
        return port


class Program:
    """A child process whose output is collected and which says "ready" when it is."""

    def __init__(self, argv, wait_for=r"\bready\b", env=None):
        self.argv = [str(word) for word in argv]
        self.name = pathlib.Path(self.argv[0]).name
        self.lines = []
        self._ready = threading.Event()
        self._pattern = re.compile(wait_for)
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env={**os.environ, **(env or {})})
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        if not self._ready.wait(PATIENCE) or not self._seen_ready:
            self.stop()
            raise RuntimeError(f"{self.name} did not become ready:\n{self.output}")

    _seen_ready = False

    def _collect(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if self._pattern.search(line):
                self._seen_ready = True
                self._ready.set()
        self._ready.set()

    @property
    def output(self):
        return "".join(self.lines)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def stop(self, sig=signal.SIGTERM):
        """Ends the program and returns its exit status."""
        if self.running():
            self.process.send_signal(sig)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError(f"{self.name} ignored signal {sig}:\n{self.output}") from None
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        return self.process.returncode


class Stack:
    """A kv_server and a kv_proxy joined by shared memory (or what `transport` says)."""

    def __init__(self, workers=2, threads=2, memory=256, server_options=(), proxy_options=(),
                 transport="shm", address="127.0.0.1", by_socket=False, server_port=None, port=None):
        self.workers, self.threads, self.memory = workers, threads, memory
        self.server_options, self.proxy_options = list(server_options), list(proxy_options)
        self.transport, self.address, self.by_socket = transport, address, by_socket
        self.server_port = server_port or free_port()
        self.port = port or free_port()
        self.server = self.proxy = None

    @property
    def target(self):
        if self.transport == "shm":
            return f"shm:{self.server_port}"
        mode = "rdma+socket" if self.by_socket else "rdma"
        return f"{mode}:{self.address}:{self.server_port}"

    def start_server(self):
        argv = [BIN / "kv_server", "--port", self.server_port, "--memory", self.memory,
                "--workers", self.workers, "--transport", self.transport, *self.server_options]
        if self.transport != "shm":
            argv += ["--address", self.address]
        if self.by_socket:
            argv += ["--socket"]
        self.server = Program(argv)

    def start_proxy(self):
        self.proxy = Program([BIN / "kv_proxy", "--port", self.port, "--server", self.target,
                              "--threads", self.threads, *self.proxy_options])

    def __enter__(self):
        try:
            self.start_server()
            self.start_proxy()
        except Exception:
            self.stop()
            raise
        return self

    def stop(self):
        statuses = [program.stop() for program in (self.proxy, self.server) if program]
        self.proxy = self.server = None
        return statuses

    def __exit__(self, kind, *_):
        programs = [program for program in (self.proxy, self.server) if program]
        statuses = self.stop()
        if kind is None and any(statuses):
            raise RuntimeError("a program did not end cleanly: " + "\n".join(
                f"{program.name} exit {program.process.returncode}\n{program.output}"
                for program in programs))
