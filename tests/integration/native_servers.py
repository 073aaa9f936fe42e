#!/usr/bin/python3
"""Native clients of three kv_servers: they find keys where the proxy puts them; a server that is killed fails
its own keys only, by name, and the same client finds them when it is back.
"""

import random
import re
import subprocess
import tempfile
import time
import unittest

from programs import BIN, PATIENCE
from resp import decode
from several_servers import KEYS, RECOVERY, Servers, fill, pipeline

LINES = BIN.parent / "tests" / "c_api_lines"


class Lines:
    """A program that answers each line by a line."""

    def __init__(self, *argv):
        self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def read(self):
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def options(servers):
    """--server for each, not in the proxy's order."""
    names = [servers.name(number) for number in range(3)]
    random.shuffle(names)
    return [word for name in names for word in ("--server", name)]


def kv_client(servers):
    return Lines(BIN / "kv_client", *options(servers), "--timeout", 60_000)


def c_program(servers):
    program = Lines(LINES, *options(servers)[1::2])
    assert program.read() == "0 connected"
    return program


def unreachable(name):
    return rf"(error: |-7 )server {re.escape(name)} is not reachable"


def is_value(answer, key):
    return bool(re.fullmatch(rf'"{key}" version \d+|0 {key}', answer))


class NativeServers(unittest.TestCase):
    def keys_that_fail(self, program, name):
        failed = set()
        for key in KEYS:
            answer = program.ask(f"get {key}")
            if not is_value(answer, key):
                self.assertRegex(answer, unreachable(name))
                failed.add(key)
        return failed

    def test_keys_are_where_the_proxy_puts_them(self):
        with Servers() as servers, servers.connect() as client:
            fill(client)
            for begin in (kv_client, c_program):
                with begin(servers) as program:
                    for key in KEYS:
                        self.assertTrue(is_value(program.ask(f"get {key}"), key), key)
            with c_program(servers) as program:
                for key in KEYS[:50]:
                    self.assertEqual(program.ask(f"put native-{key} {key}"), f"0 {key}")
            replies, _ = pipeline(client, [["GET", f"native-{key}"] for key in KEYS[:50]])
            self.assertEqual([decode(reply).decode() for reply in replies], KEYS[:50])

    def test_weights_and_files(self):
        def lines(servers):
            return (f"{servers.name(0)} 100\n{servers.name(1)} # half as much as one\n"
                    f"{servers.name(2)} 0.5\n")
        with Servers(by_file=lines) as servers, servers.connect() as client, \
                tempfile.NamedTemporaryFile("w", suffix=".servers") as file:
            file.write("".join(reversed(lines(servers).splitlines(keepends=True))))
            file.flush()
            fill(client)
            with Lines(BIN / "kv_client", "--servers-file", file.name) as program:
                self.assertTrue(all(is_value(program.ask(f"get {key}"), key) for key in KEYS))
            with Lines(LINES, f"@{file.name}") as program:
                self.assertEqual(program.read(), "0 connected")
                self.assertTrue(all(is_value(program.ask(f"get {key}"), key) for key in KEYS))
            # Without the weights they are looked for elsewhere.
            with kv_client(servers) as program:
                self.assertIn("not found", {program.ask(f"get {key}") for key in KEYS})

    def test_a_killed_server_fails_its_own_keys_and_comes_back(self):
        with Servers() as servers, servers.connect() as client, \
                kv_client(servers) as tool, c_program(servers) as program:
            fill(client)
            programs = (tool, program)
            for one in programs:
                self.assertTrue(all(is_value(one.ask(f"get {key}"), key) for key in KEYS))
            servers.kill(1)
            name = servers.name(1)
            its = [self.keys_that_fail(one, name) for one in programs]
            replies, _ = pipeline(client, [["GET", key] for key in KEYS])
            through_proxy = {key for key, reply in zip(KEYS, replies) if reply.startswith(b"-")}
            self.assertEqual(its, [through_proxy] * 2)
            self.assertTrue(len(KEYS) * 0.15 < len(through_proxy) < len(KEYS) * 0.55)
            self.asked_about_all(tool, servers, name)
            servers.start(1)
            ready = time.monotonic()
            for one in programs:
                for key in sorted(through_proxy)[:20]:
                    while True:
                        answer = one.ask(f"put {key} {key}")
                        if "not reachable" not in answer:
                            break
                        self.assertLess(time.monotonic() - ready, RECOVERY)
                    self.assertRegex(answer, r"ok version \d+|0 ")

    def asked_about_all(self, tool, servers, name):
        self.assertRegex(tool.ask("count"), unreachable(name))
        self.assertRegex(tool.ask("ping"), unreachable(name))
        one_shot = [str(BIN / "kv_client"), *options(servers)]
        stats = subprocess.run([*one_shot, "stats"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(stats.returncode, 3)
        self.assertRegex(stats.stderr, unreachable(name))
        for number in (0, 2):
            self.assertIn(f"# server {servers.name(number)}, ", stats.stdout)

    def test_an_idle_client_finds_a_server_that_came_back(self):
        """Nobody polls a synchronous client between two calls: the first call has to do."""
        with Servers() as servers, c_program(servers) as program:
            servers.kill(1)
            key = next(key for key in KEYS if "not reachable" in program.ask(f"get {key}"))
            servers.start(1)
            for _ in range(3):
                time.sleep(1)  # longer than any pause between two attempts to connect
                answer = program.ask(f"put {key} x")
                if answer == "0 x":
                    break
            self.assertEqual(answer, "0 x")

    def test_a_watched_key_of_a_server_that_started_anew_has_changed(self):
        with Servers() as servers, c_program(servers) as program:
            self.assertEqual(program.ask("put key x"), "0 x")
            self.assertEqual(program.ask("watch key"), "0 ")
            self.assertEqual(program.ask("queue key y"), "0 y")
            for number in range(3):
                servers.kill(number)
                servers.start(number)
            # Its version is 1 again.
            while not (answer := program.ask("put key z")).startswith("0 "):
                self.assertRegex(answer, "-7 |-9 ")
            self.assertTrue(program.ask("exec").startswith("-2 "))
            self.assertEqual(program.ask("get key"), "0 z")

    def test_kv_bench(self):
        with Servers() as servers:
            argv = [str(BIN / "kv_bench"), *options(servers), "--items", "300", "--operations", "600",
                    "--mix", "A", "--timeout", "60000"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
            for number in range(3):
                self.assertIn(servers.name(number), done.stdout)
            runs = subprocess.run([*argv, "--no-load", "--in-runs", "--depth", "100", "--value", "64:90,5000:10"],
                                  capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(runs.returncode, 0, runs.stderr)
            shares = [int(count(servers.name(number))) for number in range(3)]
            self.assertEqual(sum(shares), 300)
            self.assertTrue(all(shares), shares)
            servers.kill(2)
            done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"server {servers.name(2)} is not reachable", done.stderr)

    def test_the_example(self):
        """Counts with keys on all servers; update() of the C++ library."""
        with Servers() as servers, servers.connect() as client:
            for key in KEYS[:9]:
                done = subprocess.run([str(BIN / "kv_counter"), *options(servers), "--key", key,
                                       "--times", "20"], capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(decode(client.call("GET", key)), b"40")

    def test_what_makes_no_sense(self):
        for argv, why in ((["--server", "shm:1/0"], "the weight is not a positive number"),
                          (["--server", "shm:1", "--server", "shm:1"], "is named twice"),
                          (["--server", "shm:1", "--server", "rdma:h:1"], "of one transport"),
                          (["--server", "nonsense"], "is not HOST:PORT"),
                          (["--servers-file", "/nonexistent"], "cannot be read"),
                          (["--server", "shm:1", "-p", "7"], "excludes")):
            for program, status in (("kv_client", 2), ("kv_bench", None)):
                done = subprocess.run([str(BIN / program), *argv, *["ping"][:program == "kv_client"]],
                                      capture_output=True, text=True, timeout=PATIENCE)
                self.assertIn(why, done.stderr)
                self.assertNotEqual(done.returncode, 0)
                if status:
                    self.assertEqual(done.returncode, status)
        for argv, why in (([], "no server was added"), (["shm:1/0"], "positive number"),
                          (["@/nonexistent"], "cannot be read")):
            with Lines(LINES, *argv) as program:
                self.assertRegex(program.read(), f"-6 .*{why}")


def count(name):
    return subprocess.run([str(BIN / "kv_client"), "--server", name, "count"], capture_output=True,
                          text=True, timeout=PATIENCE).stdout


if __name__ == "__main__":
    unittest.main(verbosity=2)
