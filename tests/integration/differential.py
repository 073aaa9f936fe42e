"""kv_proxy against redis-server: the same commands to both, replies compared byte for byte, in RESP2 and
RESP3. What is meant to be different is not compared here but listed in redis-compat.md; the few replies
that hold a time or an id are compared but for that. The commands are in proxy_differential_*.py.
"""

import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from programs import PATIENCE, Stack, free_port
from resp import Connection, decode, encode

FAR = 10 ** 6            # seconds; nothing expires while a test runs
FAR_MS = FAR * 1000
DAY = 86400              # how far apart two clocks may be when times are compared


class Redis:
    """redis-server 7.0 (or another program that takes its options) on a free port, nothing on disk."""

    def __init__(self, program="redis-server"):
        self.program = program

    def __enter__(self):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [shutil.which(self.program), "--port", str(self.port), "--bind", "127.0.0.1", "--save",
             "", "--appendonly", "no", "--databases", "1", "--dir", self.folder.name],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                Connection(self.port).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def show(data, limit=300):
    return repr(data if len(data) <= limit else data[:limit] + b"...")


class Differential(unittest.TestCase):
    """Both programs run as long as the tests of one class."""

    @classmethod
    def setUpClass(cls):
        cls.redis = cls.enterClassContext(Redis())
        cls.stack = cls.enterClassContext(Stack(workers=2, threads=2, memory=256))

    def pairs(self):
        """For each protocol: a connection to Redis and one to the proxy, to empty stores."""
        for protocol in (2, 3):
            with self.subTest(protocol=protocol), \
                    Connection(self.redis.port, protocol) as redis, \
                    Connection(self.stack.port, protocol) as proxy:
                for connection in (redis, proxy):
                    self.assertEqual(connection.call("FLUSHALL"), b"+OK\r\n")
                yield redis, proxy

    def same(self, redis, proxy, *arguments):
        expected, got = redis.call(*arguments), proxy.call(*arguments)
        self.assertEqual(got, expected, f"{show(encode(*arguments))}\nredis: {show(expected)}\n"
                                        f"proxy: {show(got)}")
        return got

    def run_lines(self, text):
        """Each line is a command, its words separated by single spaces."""
        for redis, proxy in self.pairs():
            for line in text.strip().splitlines():
                self.same(redis, proxy, *line.strip().split(" "))

    def near(self, redis, proxy, *arguments, within):
        expected, got = (decode(c.call(*arguments)) for c in (redis, proxy))
        self.assertIsInstance(got, int, arguments)
        self.assertLessEqual(abs(expected - got), within, arguments)


def main():
    if shutil.which("redis-server") is None:
        sys.exit("redis-server is needed: apt-get install redis-server")
    unittest.main(verbosity=2)
