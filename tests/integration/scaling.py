#!/usr/bin/env python3
"""What more threads, and more connections, cost: no lock is taken on the way of a GET or SET, and an idle connection
takes little memory.

    LOCK_COUNTER=...so RDMAKV_BIN=... scaling.py
"""

import os
import pathlib
import re
import resource
import struct
import tempfile
import unittest

from programs import BIN, Program, Stack, free_port, memory_factor
from resp import Connection, encode

LOCK_COUNTER = os.environ.get("LOCK_COUNTER")


class Counted:
    """Environment that has a program's locks counted, and the count so far."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(8))

    @property
    def environment(self):
        return {"LD_PRELOAD": LOCK_COUNTER, "LOCK_COUNTER_FILE": str(self.path)}

    @property
    def count(self):
        return struct.unpack("=Q", self.path.read_bytes())[0]


@unittest.skipUnless(LOCK_COUNTER, "LOCK_COUNTER names no library (a build with sanitizers has none)")
class Locks(unittest.TestCase):
    """Several threads and several workers under load: GETs and SETs take no lock, neither side's. (With the slow log
    on, a command that was slow takes one.)"""

    def test_gets_and_sets_take_none(self):
        for threads, workers in ((1, 1), (2, 2), (4, 4)):
            with self.subTest(threads=threads, workers=workers):
                self.expect_no_locks(threads, workers)

    def expect_no_locks(self, threads, workers):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server_locks, proxy_locks = (Counted(pathlib.Path(folder.name) / name) for name in ("server", "proxy"))
        port, server_port = free_port(), free_port()
        server = Program([BIN / "kv_server", "--port", server_port, "--memory", 256, "--workers", workers, "--transport",
                          "shm"], env=server_locks.environment)
        self.addCleanup(server.stop)
        proxy = Program([BIN / "kv_proxy", "--port", port, "--server", f"shm:{server_port}", "--threads", threads,
                         "--slowlog-log-slower-than", -1], env=proxy_locks.environment)
        self.addCleanup(proxy.stop)
        self.assertGreater(server_locks.count, 0, "the counter does not count")
        self.assertGreater(proxy_locks.count, 0, "the counter does not count")
        # Every thread of the proxy has some of these with near certainty, and connects to every worker.
        connections = [Connection(port) for _ in range(8 * threads)]
        for connection in connections:
            self.addCleanup(connection.close)
        self.load(connections, 5)
        before = server_locks.count, proxy_locks.count
        commands = self.load(connections, 30)
        self.assertEqual((server_locks.count - before[0], proxy_locks.count - before[1]), (0, 0),
                         f"in {commands} commands")

    @staticmethod
    def load(connections, rounds):
        keys = [f"key:{i}" for i in range(64)]
        gets = b"".join(encode("GET", key) for key in keys)
        sets = b"".join(encode("SET", key, "v" * 64) for key in keys)
        mixed = b"".join(encode("SET", key, "w" * 64) + encode("GET", key) for key in keys[:32])
        for _ in range(rounds):
            for batch in (sets, gets, mixed, encode("SET", "a", "1"), encode("GET", "a")):
                count = batch.count(b"*")
                for connection in connections:
                    connection.send(batch)
                for connection in connections:
                    for _ in range(count):
                        connection.reply()
        return rounds * len(connections) * (3 * 64 + 2)


def memory_of(program):
    """Resident bytes."""
    text = pathlib.Path(f"/proc/{program.pid}/smaps_rollup").read_text()
    return 1024 * int(re.search(r"^Rss: +(\d+) kB", text, re.M).group(1))


@unittest.skipUnless(memory_factor() == 1, "sanitizers keep what was freed")
class IdleConnections(unittest.TestCase):
    MOST = 10_000
    BYTES = 20_000  # the most that one may take of the proxy's memory

    def test_take_little_memory(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        count = min(self.MOST, limit - 500)
        with Stack(workers=1, threads=2, proxy_options=("--maxclients", count + 100)) as stack:
            warm = self.open(stack.port, 50)
            before = memory_of(stack.proxy)
            idle = []
            for first in range(0, count, 100):
                idle += self.open(stack.port, min(100, count - first))
            each = (memory_of(stack.proxy) - before) / count
            print(f"{count} idle connections: {each:.0f} bytes of the proxy's memory each")
            self.assertIn(f"connected_clients:{count + 50}".encode(), warm[0].call("INFO", "clients"))
            for connection in warm + idle:
                connection.close()
        self.assertLess(each, self.BYTES)

    @staticmethod
    def open(port, count):
        """Connections that have done something: small commands, a pipeline, a value of some size."""
        connections = [Connection(port) for _ in range(count)]
        batch = encode("SET", "large", "v" * 10_000) + encode("GET", "large") + encode("SET", "a", "b") * 16 + encode(
            "GET", "a") * 16
        for connection in connections:
            connection.send(batch)
        for connection in connections:
            for _ in range(34):
                connection.reply()
        return connections


if __name__ == "__main__":
    unittest.main(verbosity=2)
