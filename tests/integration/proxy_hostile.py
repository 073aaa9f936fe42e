#!/usr/bin/python3
"""Bad Redis clients against kv_proxy: whatever they do, it ends in a clear error for them, and the others
do not notice. Also what happens when the server or the port is not there."""

import os
import pathlib
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from programs import BIN, PATIENCE, Stack, memory_factor
from resp import Connection, decode, encode

SEED = int(os.environ.get("RDMAKV_SEED", "1"))
# What a client that never reads may cost: what is lent to it and what of small values is under way
# (output-pause-bytes each), the two pieces of a streamed value, and the rest of the process's growth.
MB_PER_SILENT_CLIENT = 1 + 1 + 0.5 + 0.5
IDLE_CLIENTS = 10_000
KB_PER_IDLE_CLIENT = 4


def memory_kb(pid):
    """Resident memory that is the process's own."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])


def eventually(check):
    deadline = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError("did not become true: " + check.__doc__)
        time.sleep(0.05)


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(workers=2, threads=2, memory=256).__enter__()
        cls.addClassCleanup(cls.stack.__exit__, None, None, None)

    def setUp(self):
        with self.client() as client:
            self.assertEqual(client.call("FLUSHALL"), b"+OK\r\n")

    def tearDown(self):
        """After everything that was done here the proxy serves as before and holds nobody."""
        with self.client() as client:
            self.assertEqual(client.call("SET", "alive", "yes"), b"+OK\r\n")
            self.assertEqual(client.call("GET", "alive"), b"$3\r\nyes\r\n")
            self.wait_alone(client)

    def wait_alone(self, client):
        def alone():
            """every other client is gone"""
            return b"connected_clients:1\r\n" in client.call("INFO", "clients")

        eventually(alone)

    def client(self, protocol=2):
        return Connection(self.stack.port, protocol)

    def test_malformed_input_is_told_and_closed(self):
        for data in (b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n", b"*1\r\n$999999999999\r\n", b"*x\r\n",
                     b"*1\r\nfoo\r\n", b"*99999999999999\r\n", b"SET 'a\r\n", b"A" * 100_000):
            with self.client() as client:
                client.send(data)
                self.assertRegex(client.rest(), rb"^-ERR Protocol error: ", data[:40])

    def test_random_bytes(self):
        generator = random.Random(SEED)
        good = encode("SET", "a", "b") + encode("GET", "a") + encode("SET", "big", "x" * 6000)
        for _ in range(300):
            data = bytearray(good * 3)
            for _ in range(generator.randint(1, 8)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            with self.client() as client:
                try:
                    client.send(bytes(data))
                    client.socket.shutdown(socket.SHUT_WR)
                    client.rest()
                except OSError:
                    pass

    def test_clients_that_leave_in_the_middle(self):
        with self.client() as client:
            client.call("SET", "large", b"v" * (8 << 20))
        whole = [encode("SET", "k", b"x" * size) for size in (100, 5000, 100_000, 3 << 20)]
        generator = random.Random(SEED)
        for _ in range(40):
            for data in [*whole, encode("GET", "large") * 5, encode("MGET", *["large"] * 20)]:
                with self.client() as client:
                    client.send(data[:generator.randrange(1, len(data) + 1)])
                    if generator.random() < 0.5:  # by a reset
                        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                 struct.pack("ii", 1, 0))

    def test_a_client_that_never_reads(self):
        with self.client() as client:
            client.call("SET", "a", b"v" * 60_000)
            client.call("SET", "large", b"v" * (16 << 20))
        before = memory_kb(self.stack.proxy.pid)
        silent = [self.client() for _ in range(20)]
        for i, client in enumerate(silent):
            # Whatever came before: half of them have been told nothing but small values so far.
            if i % 2 == 0:
                client.send(encode("GET", "none") * 2000)
                for _ in range(2000):
                    self.assertEqual(client.reply(), b"$-1\r\n")
            self.send_what_is_taken(client, encode("GET", "large" if i % 4 == 0 else "a") * 2000)
        with self.client() as other:
            for size in (10, 5_000, 60_000, 2 << 20):
                value = b"w" * size
                self.assertEqual(other.call("SET", "b", value), b"+OK\r\n")
                self.assertEqual(other.call("GET", "b"), b"$%d\r\n%s\r\n" % (size, value))
        grown = memory_kb(self.stack.proxy.pid) - before
        self.assertLess(grown, 20 * MB_PER_SILENT_CLIENT * 1024 * memory_factor(),
                        "unread replies are bounded")
        for client in silent:
            client.close()

    def send_what_is_taken(self, client, data):
        client.socket.setblocking(False)
        try:
            while data:
                data = data[client.socket.send(data):]
        except BlockingIOError:
            pass

    LARGE_KEYS = 16  # in every partition

    def set_large_values(self, size):
        with self.client() as client:
            for i in range(self.LARGE_KEYS):
                self.assertEqual(client.call("SET", f"large{i}", b"%02d" % i * (size // 2)), b"+OK\r\n")

    def expect_large(self, client, size, i):
        self.assertEqual(client.reply(), b"$%d\r\n%s\r\n" % (size, b"%02d" % i * (size // 2)))

    def test_many_clients_that_pipeline_large_values(self):
        size = 70_000  # more than is lent of so many
        self.set_large_values(size)
        clients = [self.client() for _ in range(30)]
        commands = b"".join(encode("GET", f"large{i % self.LARGE_KEYS}") for i in range(256))
        for client in clients:
            client.send(commands)
        for client in clients:  # one after the other: the others do not read meanwhile
            for i in range(256):
                self.expect_large(client, size, i % self.LARGE_KEYS)
            client.close()

    def test_clients_that_never_read_and_one_that_does(self):
        size = 1_200_000  # more than is lent ever
        self.set_large_values(size)
        commands = b"".join(encode("GET", f"large{i % self.LARGE_KEYS}") for i in range(256))
        many = encode("MGET", *[f"large{i % self.LARGE_KEYS}" for i in range(128)])
        silent = [self.client() for _ in range(40)]
        for i, client in enumerate(silent):
            self.send_what_is_taken(client, many * 2 if i % 4 == 0 else commands)
        for _ in range(4):  # in both threads, most probably
            with self.client() as other:
                for i in range(self.LARGE_KEYS):
                    other.send(encode("GET", f"large{i}"))
                    self.expect_large(other, size, i)
                other.send(encode("MGET", *[f"large{i}" for i in range(self.LARGE_KEYS)]))
                self.assertEqual(other.read(5), b"*16\r\n")
                for i in range(self.LARGE_KEYS):
                    self.expect_large(other, size, i)
        for client in silent:
            client.close()

    def test_a_value_that_comes_in_pieces_is_read_when_it_is_there(self):
        def reads(client):
            return int(re.search(rb"total_reads_processed:(\d+)", client.call("INFO", "stats"))[1])

        value = bytes(range(256)) * 1024
        with self.client() as client, self.client() as other:
            before = reads(other)
            data = encode("SET", "pieces", value) + encode("STRLEN", "pieces")
            # Its first piece tells how much there is to come. Of each the proxy could have read before it answers.
            pieces = [data[:2000], *(data[at:at + 16384] for at in range(2000, len(data), 16384))]
            for piece in pieces:
                client.send(piece)
                other.call("PING")
            self.assertEqual(client.reply(), b"+OK\r\n")
            self.assertEqual(client.reply(), b":262144\r\n")
            self.assertLess(reads(other) - before - len(pieces), 6)
            self.assertEqual(client.call("GET", "pieces"), b"$262144\r\n%s\r\n" % value)

    def test_clients_that_stall_in_the_middle_of_a_value(self):
        stalled = []
        for i in range(100):
            client = self.client()
            client.send(encode("SET", f"s{i}", b"x" * 250_000)[:100_000])
            stalled.append(client)
        with self.client() as other:
            value = b"w" * 250_000
            self.assertEqual(other.call("SET", "b", value), b"+OK\r\n")
            self.assertEqual(other.call("GET", "b"), b"$250000\r\n%s\r\n" % value)
        for i, client in enumerate(stalled):
            client.send(encode("SET", f"s{i}", b"x" * 250_000)[100_000:])
            self.assertEqual(client.reply(), b"+OK\r\n")
            client.close()

    def test_a_query_beyond_the_limit(self):
        with self.client() as client:
            client.call("CONFIG", "SET", "client-query-buffer-limit", "1mb")
            try:
                with self.client() as big:
                    big.send(b"*2\r\n$4\r\nECHO\r\n$2000000\r\n")
                    self.assertEqual(big.rest(), b"")
            finally:
                client.call("CONFIG", "SET", "client-query-buffer-limit", "64mb")

    def test_maxclients(self):
        with self.client() as client:
            self.wait_alone(client)  # setUp's client counts until its thread has seen it go
            client.call("CONFIG", "SET", "maxclients", "3")
            try:
                with self.client() as second, self.client() as third:
                    # A connection counts once its thread has accepted it, which a reply shows.
                    for counted in (second, third):
                        self.assertEqual(counted.call("PING"), b"+PONG\r\n")
                    with self.client() as fourth:
                        self.assertEqual(fourth.rest(), b"-ERR max number of clients reached\r\n")
            finally:
                client.call("CONFIG", "SET", "maxclients", "10000")

    def test_ten_thousand_idle_clients(self):
        # A proxy of its own: memory that earlier tests left free would hide what these clients cost.
        with Stack(workers=1, threads=2) as stack:
            self.idle_clients(stack)

    def idle_clients(self, stack):
        wanted = IDLE_CLIENTS
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 500, max(hard, wanted + 500)))
        except (ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            wanted = min(wanted, hard - 500)
        with Connection(stack.port) as client:
            client.call("SET", "warm", "up")
            possible = int(decode(client.call("CONFIG", "GET", "maxclients"))[1]) - 10
        wanted = min(wanted, possible)
        if wanted < IDLE_CLIENTS - 10:
            print(f"only {wanted} idle clients: the limit of open files allows no more", flush=True)
        before = memory_kb(stack.proxy.pid)
        clients = []
        try:
            for i in range(wanted):
                clients.append(socket.create_connection(("127.0.0.1", stack.port), PATIENCE))
                clients[-1].sendall(encode("SET", f"k{i}", "v"))
            for one in clients:
                self.assertEqual(one.recv(100), b"+OK\r\n")
            with Connection(stack.port) as other:
                self.assertEqual(other.call("GET", "k17"), b"$1\r\nv\r\n")

                def frugal():
                    """an idle client costs little memory"""
                    return memory_kb(stack.proxy.pid) - before < wanted * KB_PER_IDLE_CLIENT * memory_factor()

                eventually(frugal)
            grown = memory_kb(stack.proxy.pid) - before
            print(f"{wanted} idle clients: {grown / wanted:.2f} KB each", flush=True)
        finally:
            for one in clients:
                one.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "proxy.sock")
            with Stack(proxy_options=["--unix-socket", path, "--unix-socket-mode", "600"]) as stack:
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                for _ in range(5):
                    with socket.socket(socket.AF_UNIX) as client:
                        client.connect(path)
                        client.sendall(b"PING\r\n")
                        self.assertEqual(client.recv(100), b"+PONG\r\n")
                self.assertEqual(stack.proxy.stop(), 0)
                self.assertFalse(os.path.exists(path), "the socket is taken away again")


class Starting(unittest.TestCase):
    def start_and_fail(self, *options):
        done = subprocess.run([BIN / "kv_proxy", *map(str, options)], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, 1, done)
        return done.stderr

    def test_bad_options(self):
        self.assertIn("--server is required", self.start_and_fail())
        self.assertIn("nonsense", self.start_and_fail("--server", "nonsense"))
        self.assertIn("one transport", self.start_and_fail("--server", "shm:1", "--server", "rdma:h:2"))
        self.assertIn("--port", self.start_and_fail("--server", "shm:1", "--port", "70000"))
        self.assertIn("secret", self.start_and_fail("--server", "shm:1", "--secret-file", "/nosuch-secret"))
        self.assertIn("not-an-address", self.start_and_fail("--server", "shm:1", "-p", "0", "-a", "not-an-address"))

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = self.start_and_fail("--server", "shm:1", "--port", port)
            self.assertIn(f"cannot listen on 127.0.0.1:{port}: Address already in use", text)

    def test_a_second_proxy_on_the_same_port(self):
        with Stack() as stack:
            self.assertIn("Address already in use",
                          self.start_and_fail("--server", stack.target, "--port", stack.port))

    def test_no_server_yet_and_gone_again(self):
        stack = Stack()
        try:
            stack.start_proxy()
            with Connection(stack.port) as client:
                self.assertEqual(client.call("PING"), b"+PONG\r\n")
                self.assertRegex(client.call("GET", "a"), rb"^-ERR server .* is not reachable")
                stack.start_server()

                def served():
                    """commands work once the server is up"""
                    return client.call("SET", "a", "1") == b"+OK\r\n"

                eventually(served)
                stack.server.stop(signal.SIGKILL)

                def told():
                    """commands fail clearly once the server is gone"""
                    return client.call("GET", "a").startswith(b"-ERR server ")

                eventually(told)
                stack.start_server()
                eventually(served)
        finally:
            for program in (stack.proxy, stack.server):
                if program is not None:
                    program.stop()

    def test_signals_end_it_cleanly(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            with Stack() as stack:
                with Connection(stack.port) as client:
                    client.send(encode("SET", "a", b"x" * (1 << 20))[:-100])
                    self.assertEqual(stack.proxy.stop(sig), 0, stack.proxy.output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
