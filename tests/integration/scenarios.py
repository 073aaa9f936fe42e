#!/usr/bin/python3
"""The real programs together, over the transport that RDMAKV_TRANSPORT names: shm (default), rdma
(RDMA CM) or rdma+socket (Socket mode). The same scenarios run on the host over shared memory and in the
Soft-RoCE VM over verbs, there at the address SOFTROCE_ADDRESS.

    scenarios.py [TEST...]      ends with unittest's summary and a line "N passed, N failed"
"""

import contextlib
import hashlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import redis

from programs import BIN, PATIENCE, ROOT, Program, Stack, free_port

WAY = os.environ.get("RDMAKV_TRANSPORT", "shm")
TRANSPORT = "shm" if WAY == "shm" else "rdma"
BY_SOCKET = WAY == "rdma+socket"
ADDRESS = os.environ.get("SOFTROCE_ADDRESS", "127.0.0.1") if TRANSPORT == "rdma" else "127.0.0.1"


def make_stack(**options):
    return Stack(transport=TRANSPORT, address=ADDRESS, by_socket=BY_SOCKET, **options)


def kv_client(stack, *words, input=None, options=()):
    """Runs kv_client once; returns the finished process."""
    argv = [str(BIN / "kv_client"), "-p", str(stack.server_port), "--transport", TRANSPORT,
            "-a", ADDRESS, *(["-S"] if BY_SOCKET else []), *options, *words]
    return subprocess.run(argv, input=input, capture_output=True, timeout=PATIENCE)


def pattern(size, seed):
    """`size` bytes that differ everywhere and from seed to seed."""
    block = b"".join(hashlib.sha256(b"%d/%d" % (seed, i)).digest() for i in range(512))
    return (block * (size // len(block) + 1))[:size]


def lone_server(*options, by=()):
    return Program([*by, BIN / "kv_server", "--port", "0", "--memory", "64", "--workers", "1", "--transport", TRANSPORT,
                    *options])


def policies(program):
    """The scheduling policy of each of its threads."""
    return [os.sched_getscheduler(int(task.name)) for task in pathlib.Path(f"/proc/{program.pid}/task").iterdir()]


def eventually(check):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return check()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class OneStack(unittest.TestCase):
    """Scenarios that share a running server and proxy."""

    @classmethod
    def setUpClass(cls):
        cls.stack = make_stack(memory=512)
        cls.stack.__enter__()
        cls.redis = redis.Redis(port=cls.stack.port, socket_timeout=PATIENCE)

    @classmethod
    def tearDownClass(cls):
        cls.redis.close()
        cls.stack.__exit__(None)

    def test_says_on_which_transport_it_runs(self):
        self.assertIn(TRANSPORT, self.stack.server.output)
        self.assertIn(TRANSPORT, self.stack.proxy.output)

    def test_the_server_is_batch_work_where_the_device_is_emulated(self):
        # These tests meet no other device.
        emulated = TRANSPORT != "shm"
        self.assertEqual(set(policies(self.stack.server)), {os.SCHED_BATCH if emulated else os.SCHED_OTHER})
        self.assertIn("scheduling: " + ("SCHED_BATCH, the device is emulated" if emulated else "as started\n"),
                      self.stack.server.output)

    def test_info_counts_what_all_threads_sent_to_the_servers(self):
        """Connections are spread over the proxy's threads; whichever answers tells of all of them."""
        self.redis.set("counted", "x")
        connections = [redis.Redis(port=self.stack.port, socket_timeout=PATIENCE) for _ in range(8)]
        before = self.redis.info("backends")
        for connection in connections:
            for _ in range(20):
                self.assertEqual(connection.get("counted"), b"x")
        for connection in connections:
            after = connection.info("backends")
            counted = {name: after[name] - before[name] for name in after if name in before
                       and isinstance(after[name], int)}
            self.assertGreaterEqual(counted["backend_operations"], 160)
            verbs = sum(counted["backend_" + kind] for kind in ("sends", "writes", "reads", "atomics"))
            self.assertGreaterEqual(verbs, 1)
            answered = sum(counted["backend_" + way] for way in (
                "requests", "get_cached", "get_forwarded", "get_indexed"))
            self.assertGreaterEqual(answered, 160)
            if TRANSPORT != "shm":  # there a READ is a load, which waits for nobody
                self.assertGreaterEqual(counted["backend_round_trips"], 160)
            connection.close()
        self.assertIn("backend_detour_torn", after)
        self.assertEqual(set(after["backend_per_operation"]),
                         {"work_requests", "doorbells", "completions", "round_trips"})

    def test_values_of_all_sizes_through_the_proxy(self):
        for size in (0, 1, 63, 64, 4095, 4096, 4097, 65535, 65536, 200_000, 262_144, 262_145,
                     1 << 20, (1 << 20) + 1, 16 << 20, 64 << 20):
            value = pattern(size, size)
            self.assertTrue(self.redis.set("size", value))
            self.assertTrue(self.redis.get("size") == value, f"{size} bytes differ")
        self.redis.delete("size")

    def test_values_written_by_one_road_are_read_by_the_other(self):
        for size in (1, 5000, 300_000):
            value = pattern(size, 7)
            put = kv_client(self.stack, "put", "road", "-", input=value)
            self.assertEqual(put.returncode, 0, put.stderr)
            self.assertTrue(self.redis.get("road") == value)
            self.redis.set("road", value[::-1])
            got = kv_client(self.stack, "--raw", "get", "road")
            self.assertTrue(got.stdout == value[::-1], got.stderr)

    def test_keys_to_64_kb(self):
        for size in (1, 250, 4000, 5000, 65535, 65536):
            key = pattern(size, 3)
            self.redis.set(key, b"v%d" % size)
            self.assertEqual(self.redis.get(key), b"v%d" % size)
            self.assertEqual(self.redis.delete(key), 1)
        with self.assertRaises(redis.ResponseError):
            self.redis.set(b"k" * 65537, b"v")
        self.assertTrue(self.redis.ping())

    def test_cas_by_version(self):
        cas = lambda *words: self.redis.execute_command("CAS", *words)  # noqa: E731
        self.redis.delete("cas")
        self.assertEqual(cas("cas", 5, "x"), [0, 0])
        won, version = cas("cas", 0, "first")
        self.assertEqual(won, 1)
        self.assertEqual(cas("cas", version, "second"), [1, version + 1])
        self.assertEqual(cas("cas", version, "third"), [0, version + 1])
        self.assertEqual(self.redis.execute_command("GETV", "cas"), [b"second", version + 1])
        self.assertEqual(cas("cas", version + 1, pattern(100_000, 1)), [1, version + 2])
        lost = kv_client(self.stack, "cas", "cas", str(version), "no")
        self.assertEqual(lost.returncode, 1)
        self.assertIn(str(version + 2), (lost.stdout + lost.stderr).decode())

    def test_a_pipeline_keeps_order_and_mixes_sizes(self):
        values = [pattern((i * 977) % 9000, i) for i in range(200)]
        with self.redis.pipeline(transaction=False) as pipe:
            for i, value in enumerate(values):
                pipe.set(b"pipe%d" % (i % 7), value).get(b"pipe%d" % (i % 7))
            replies = pipe.execute()
        self.assertTrue(replies[1::2] == values)

    def test_expiry(self):
        self.redis.set("short", "x", px=1)
        eventually(lambda: self.assertIsNone(self.redis.get("short")))
        self.redis.set("long", "x", ex=1000)
        self.assertGreater(self.redis.ttl("long"), 900)

    def test_kv_client_one_shot_and_pipe(self):
        self.assertEqual(kv_client(self.stack, "put", "mykey", "myvalue").returncode, 0)
        got = kv_client(self.stack, "get", "mykey")
        self.assertEqual(got.returncode, 0)
        self.assertIn(b"myvalue", got.stdout)
        self.assertEqual(kv_client(self.stack, "del", "mykey").returncode, 0)
        self.assertEqual(kv_client(self.stack, "get", "mykey").returncode, 1)
        piped = kv_client(self.stack, input=b"put a 1\nget a\ndel a\n")
        self.assertEqual(piped.returncode, 0, piped.stderr)

    def test_bench_reports(self):
        bench = kv_client(self.stack, "bench", "200")
        self.assertEqual(bench.returncode, 0, bench.stderr)
        for word in (b"p50", b"p99", b"put", b"get", b"cas"):
            self.assertIn(word, bench.stdout.lower())

    def test_redis_cli(self):
        cli = ["redis-cli", "-p", str(self.stack.port)]
        out = subprocess.run([*cli, "-3", "set", "cli", "yes"], capture_output=True, text=True,
                             timeout=PATIENCE).stdout
        self.assertEqual(out.strip(), "OK")
        out = subprocess.run([*cli, "get", "cli"], capture_output=True, text=True,
                             timeout=PATIENCE).stdout
        self.assertEqual(out.strip(), "yes")

    def test_no_such_server(self):
        nobody = Stack(transport=TRANSPORT, address=ADDRESS, by_socket=BY_SOCKET)
        result = kv_client(nobody, "get", "a", options=("--timeout", "3000"))
        self.assertEqual(result.returncode, 3)
        self.assertIn(str(nobody.server_port), result.stderr.decode())

    def test_port_in_use(self):
        argv = [str(BIN / "kv_server"), "-p", str(self.stack.server_port), "-m", "64",
                "--transport", TRANSPORT, *(["-S"] if BY_SOCKET else [])]
        if TRANSPORT == "rdma":
            argv += ["-a", ADDRESS]
        result = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(self.stack.server_port), result.stderr + result.stdout)


class OwnStack(unittest.TestCase):
    """Scenarios that stop, kill or fill what they started."""

    def test_server_restart_under_a_running_proxy(self):
        with make_stack() as stack:
            client = redis.Redis(port=stack.port, socket_timeout=PATIENCE)
            client.set("a", "before")
            stack.server.stop(signal.SIGKILL)
            with self.assertRaises(redis.ResponseError):
                client.get("a")
            self.assertTrue(client.ping())  # the proxy itself is well
            stack.start_server()
            eventually(lambda: client.set("a", "after"))
            self.assertEqual(client.get("a"), b"after")
            client.close()

    def test_a_killed_proxy_releases_everything_at_the_server(self):
        with make_stack() as stack:
            client = redis.Redis(port=stack.port, socket_timeout=PATIENCE)
            client.set("big", pattern(8 << 20, 1))
            # Leave a GET of a large value and an upload half done, then kill the proxy.
            reader = socket.create_connection(("127.0.0.1", stack.port))
            reader.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n")
            reader.recv(1000)
            writer = socket.create_connection(("127.0.0.1", stack.port))
            writer.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$8388608\r\n" + b"x" * 1_000_000)
            stack.proxy.stop(signal.SIGKILL)
            reader.close(), writer.close(), client.close()
            stack.start_proxy()
            client = redis.Redis(port=stack.port, socket_timeout=PATIENCE)
            # Nothing is held any more: the pool takes as much as before, again and again.
            for i in range(10):
                eventually(lambda: client.set("big", pattern(40 << 20, i)))
            self.assertIsNone(client.get("half"))
            client.close()

    def slow_readers(self, stack, count):
        """Clients that have read the beginning of a large value `big`, and not more."""
        readers = []
        for _ in range(count):
            reader = socket.create_connection(("127.0.0.1", stack.port), PATIENCE)
            self.addCleanup(reader.close)
            reader.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n*1\r\n$4\r\nPING\r\n")
            readers.append((reader, reader.recv(1000)))
        return readers

    @staticmethod
    def rest_of(reader, received, most):
        """Until `most` bytes have come, or the proxy has closed the connection."""
        pieces = [received]
        try:
            while most > (missing := sum(map(len, pieces))) and (more := reader.recv(most - missing)):
                pieces.append(more)
        except ConnectionResetError:
            pass
        return b"".join(pieces)

    @contextlib.contextmanager
    def read_slowly(self):
        """A value that some clients have begun to read: the programs, a client, the readers, and what each is to get."""
        value = pattern(16 << 20, 1)
        whole = b"$%d\r\n%s\r\n+PONG\r\n" % (len(value), value)
        with make_stack(memory=128, workers=1) as stack, \
                redis.Redis(port=stack.port, socket_timeout=PATIENCE) as client:
            client.set("big", value)
            yield stack, client, self.slow_readers(stack, 4), whole

    def test_a_value_that_is_being_written_to_a_client_stays_as_it_was(self):
        with self.read_slowly() as (_, client, readers, whole):
            client.set("big", "small")
            client.flushall()
            for round in range(3):
                with self.assertRaises(redis.ResponseError):
                    for i in range(1000):
                        client.set("full%d" % i, pattern(1 << 20, 100 * round + i))
                client.flushall()
            for reader, received in readers:
                self.assertTrue(self.rest_of(reader, received, len(whole)) == whole)
            # Given back, all of it.
            self.assertTrue(eventually(lambda: client.set("large", pattern(80 << 20, 2))))

    def test_a_server_that_is_killed_while_clients_read_a_value(self):
        with self.read_slowly() as (stack, client, readers, whole):
            stack.server.stop(signal.SIGKILL)
            stack.start_server()
            eventually(lambda: client.set("big", pattern(16 << 20, 2)))
            for reader, received in readers:
                data = self.rest_of(reader, received, len(whole))
                self.assertLess(len(data), len(whole) - len(b"\r\n+PONG\r\n"))
                self.assertTrue(whole.startswith(data), "bytes of another value")
            self.assertTrue(client.get("big") == pattern(16 << 20, 2))

    def test_pool_full_keeps_what_is_stored(self):
        with make_stack(memory=64, workers=1) as stack:
            client = redis.Redis(port=stack.port, socket_timeout=PATIENCE)
            stored = 0
            with self.assertRaises(redis.ResponseError) as full:
                while True:
                    client.set("full%d" % stored, pattern(1 << 20, stored))
                    stored += 1
            self.assertIn("OOM", str(full.exception))
            self.assertGreater(stored, 20)
            for i in range(stored):
                self.assertTrue(client.get("full%d" % i) == pattern(1 << 20, i))
            with self.assertRaises(redis.ResponseError):
                client.set("huge", b"x" * (200 << 20))
            client.flushall()
            self.assertTrue(eventually(lambda: client.set("again", pattern(20 << 20, 1))))
            client.close()

    def test_shared_secret(self):
        with tempfile.NamedTemporaryFile("w") as right, tempfile.NamedTemporaryFile("w") as wrong:
            right.write("sesame\n"), wrong.write("guess\n")
            right.flush(), wrong.flush()
            options = ("--secret-file", right.name)
            with make_stack(server_options=options, proxy_options=options) as stack:
                client = redis.Redis(port=stack.port, socket_timeout=PATIENCE)
                self.assertTrue(client.set("a", "b"))
                client.close()
                none = kv_client(stack, "get", "a")
                self.assertEqual(none.returncode, 3)
                self.assertIn("secret", none.stderr.decode())
                bad = kv_client(stack, "get", "a", options=("--secret-file", wrong.name))
                self.assertEqual(bad.returncode, 3)
                self.assertIn("secret", bad.stderr.decode())
                good = kv_client(stack, "get", "a", options=("--secret-file", right.name))
                self.assertEqual(good.returncode, 0, good.stderr)

    def test_clean_shutdown_on_sigterm(self):
        stack = make_stack()
        with stack:
            client = redis.Redis(port=stack.port, socket_timeout=PATIENCE)
            client.set("a", "b")
            client.close()
        # __exit__ has checked that both ended with status 0.

    def test_batch_scheduling_when_told_so(self):
        server = lone_server("--batch-scheduling", "yes")
        # The main thread and the worker's at least: a transport may have one that is older.
        self.assertGreaterEqual(policies(server).count(os.SCHED_BATCH), 2)
        self.assertEqual(server.stop(), 0)
        server = lone_server("--batch-scheduling", "no")
        self.assertEqual(set(policies(server)), {os.SCHED_OTHER})
        self.assertEqual(server.stop(), 0)

    def test_a_policy_of_its_own_is_left_alone(self):
        server = lone_server("--batch-scheduling", "yes", by=["chrt", "--idle", "0"])
        self.assertEqual(set(policies(server)), {os.SCHED_IDLE})
        self.assertIn("scheduling: as started, under a policy of its own", server.output)
        self.assertEqual(server.stop(), 0)

    def test_the_proxy_starts_before_the_server(self):
        stack = make_stack()
        try:
            stack.start_proxy()
            client = redis.Redis(port=stack.port, socket_timeout=PATIENCE)
            with self.assertRaises(redis.ResponseError):
                client.get("a")
            stack.start_server()
            self.assertTrue(eventually(lambda: client.set("a", "b")))
            client.close()
        finally:
            stack.stop()

    def mget_of_cached_keys(self, path):
        """What an MGET of 16 keys whose locations are known costs, as a function of the counter's name."""
        with make_stack(workers=1, threads=1, proxy_options=["--get-path", path]) as stack, \
                redis.Redis(port=stack.port) as client:
            keys = [f"key:{i}" for i in range(16)]
            values = [f"value {i}".encode() for i in range(16)]
            client.mset(dict(zip(keys, values)))
            client.mget(keys)  # now the locations are known
            earlier, before = client.info("backends"), client.info("backends")
            self.assertEqual(client.mget(keys), values)
            after = client.info("backends")

            def cost(name):
                """Less what INFO itself costs, which asks the servers how full they are."""
                name = "backend_" + name
                return (after[name] - before[name]) - (before[name] - earlier[name])

            return cost

    def test_mget_of_cached_keys_is_one_doorbell(self):
        cost = self.mget_of_cached_keys("onesided")
        self.assertEqual(cost("reads"), 16)
        self.assertEqual(cost("sends") + cost("writes") + cost("messages_received"), 0)
        self.assertEqual(cost("doorbells"), 1)
        self.assertEqual(cost("completions"), 1)

    def test_mget_of_cached_keys_by_itself(self):
        """Where READs are emulated, too, as here, one request and one reply take less."""
        cost = self.mget_of_cached_keys("auto")
        requests = 1 if TRANSPORT == "rdma" else 0
        self.assertEqual(cost("reads"), 0 if requests else 16)
        self.assertEqual(cost("sends"), requests)
        self.assertEqual(cost("messages_received"), requests)
        self.assertEqual(cost("doorbells"), 1)


class CommandLine(unittest.TestCase):
    """What the programs say to bad options."""

    def run_program(self, name, *words):
        return subprocess.run([str(BIN / name), *words], capture_output=True, text=True,
                              timeout=PATIENCE)

    def test_help_and_version(self):
        for name in ("kv_server", "kv_proxy", "kv_client"):
            self.assertEqual(self.run_program(name, "--help").returncode, 0)
            version = self.run_program(name, "--version")
            self.assertEqual(version.returncode, 0)
            self.assertRegex(version.stdout, r"\d+\.\d+\.\d+")

    def test_bad_options_are_named(self):
        for name, *words in (("kv_server", "--nonsense"), ("kv_server", "--port", "99999"),
                             ("kv_server", "--memory", "lots"), ("kv_server", "--workers", "0"),
                             ("kv_server", "--transport", "pigeon"), ("kv_server", "--batch-scheduling", "maybe"),
                             ("kv_proxy", "--nonsense"),
                             ("kv_proxy", "--server", "nowhere"), ("kv_proxy", "--port", "-1"),
                             ("kv_client", "--nonsense"), ("kv_client", "frobnicate")):
            result = self.run_program(name, *words)
            self.assertNotEqual(result.returncode, 0, (name, words))
            self.assertIn(words[-1].lstrip("-"), result.stderr + result.stdout, (name, words))

    def test_no_such_device(self):
        result = self.run_program("kv_server", "-p", str(free_port()), "-m", "64", "-d", "mlx5_77")
        self.assertEqual(result.returncode, 1)
        self.assertIn("mlx5_77", result.stderr + result.stdout)

    @unittest.skipUnless(TRANSPORT == "shm", "where there is no device")
    def test_another_host_is_not_looked_for_in_this_ones_memory(self):
        for server in ("192.0.2.1:7000", "shm:192.0.2.1:7000"):
            result = self.run_program("kv_proxy", "-p", "0", "--server", server)
            self.assertEqual(result.returncode, 1)
            self.assertIn("192.0.2.1 is not an address of its own", result.stderr)

    def test_more_memory_than_the_machine_has(self):
        more = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 2 >> 20
        result = self.run_program("kv_server", "-p", "0", "--transport", TRANSPORT, "--workers", "1",
                                  "-m", str(more))
        self.assertEqual(result.returncode, 1)
        self.assertIn("memory are available", result.stderr)

    def test_memory_of_the_index(self):
        for share, wanted in (("5 %", "'5 %' is neither a percentage"), ("0", "not more than 0"),
                              ("100%", "all of the memory"), ("0.001", "at least 4 KB"),
                              ("60%", "at most half")):
            result = self.run_program("kv_server", "-p", "0", "--transport", TRANSPORT, "-m", "64",
                                      "--workers", "1", "--index-memory", share)
            self.assertEqual(result.returncode, 1, share)
            self.assertIn("--index-memory", result.stderr)
            self.assertIn(wanted, result.stderr)
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(f"port=0\nmemory=64\nworkers=2\ntransport=\"{TRANSPORT}\"\nindex-memory=\"12.5%\"\n")
            file.flush()
            server = Program([BIN / "kv_server", "--config", file.name])
            self.assertIn("index: 8.0 MB, room for 1027604 keys", server.output)
            self.assertEqual(server.stop(), 0)

    def test_a_configuration_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            port = free_port()
            file.write(f"port={port}\nmemory=64\nworkers=1\ntransport=\"shm\"\n")
            file.flush()
            server = Program([BIN / "kv_server", "--config", file.name])
            self.assertIn(str(port), server.output)
            self.assertEqual(server.stop(), 0)

    def test_an_unknown_name_in_a_configuration_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("port=0\nmemroy=64\n")
            file.flush()
            for words in (["kv_server"], ["kv_proxy", "--server", "shm:1"]):
                result = self.run_program(*words, "--config", file.name)
                self.assertNotEqual(result.returncode, 0, words)
                self.assertIn("memroy", result.stderr + result.stdout, words)

    def test_the_configuration_page_has_every_option(self):
        page = (ROOT / "docs" / "configuration.md").read_text()
        for name in ("kv_server", "kv_proxy"):
            section = page.split(f"\n## {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
            rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
            described = set(re.findall(r"`(--?[\w-]+)`", " ".join(rows)))
            text = self.run_program(name, "--help").stdout.split("\nParameters of Redis:")[0]
            words = re.findall(r"^  (-\S+)", text, re.MULTILINE)
            known = set(",".join(words).split(",")) - {"-h"}
            known = {option.split(":")[0] for option in known}
            self.assertEqual(described, known, name)


def main():
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{WAY}: {result.testsRun - failed - len(result.skipped)} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
