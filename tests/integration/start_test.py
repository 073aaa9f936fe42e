#!/usr/bin/python3
"""tools/start: starts both programs, on RDMA where there is a device (in the Soft-RoCE VM) and else on
shared memory, says so, serves redis-cli, and ends both on Ctrl-C.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from programs import BIN, PATIENCE, ROOT, free_port

TRANSPORT = "rdma" if os.environ.get("SOFTROCE") else "shm"


class Start(unittest.TestCase):
    def run_start(self, *options):
        """tools/start in a session of its own, as a terminal has one; its output in a file."""
        output = tempfile.NamedTemporaryFile("w+")
        self.addCleanup(output.close)
        process = subprocess.Popen(
            [str(ROOT / "tools" / "start"), "--programs", str(BIN), *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def said():
            output.flush()
            with open(output.name) as file:
                return file.read()
        return process, said

    def wait_for(self, pattern, process, said):
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, said())):
            self.assertIsNone(process.poll(), said())
            self.assertLess(time.monotonic(), deadline, said())
            time.sleep(0.05)
        return found

    def test_starts_serves_and_stops_on_control_c(self):
        port = free_port()
        process, said = self.run_start("-p", port, "--server-port", free_port(), "-m", 128)
        pids = self.wait_for(r"kv_server \(pid (\d+)\) and kv_proxy \(pid (\d+)\) are running, joined by "
                             + TRANSPORT + r"\.", process, said).groups()
        self.wait_for("Ctrl-C stops both", process, said)
        self.assertIn(f"redis-cli -h 127.0.0.1 -p {port}", said())
        self.assertIn(f"transport: {TRANSPORT}", said())

        def cli(*words):
            return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True,
                                  timeout=PATIENCE).stdout.strip()
        self.assertEqual(cli("set", "greeting", "hello"), "OK")
        self.assertEqual(cli("get", "greeting"), "hello")
        self.assertEqual(cli("cas", "greeting", "1", "world").split(), ["1", "2"])
        native = re.search(r"native client: +(.*) get KEY", said()).group(1)
        done = subprocess.run([*native.split(), "get", "greeting"], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.stdout, '"world" version 2\n', done.stderr)

        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), 0, said())
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}"), said())
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", port)).close()

    def test_a_port_in_use_is_said_and_nothing_is_left(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            process, said = self.run_start("-p", port, "--server-port", free_port(), "-m", 128)
            self.assertEqual(process.wait(PATIENCE), 1)
        self.assertIn("kv_proxy did not start", said())
        self.assertIn(str(port), said())

    def test_bad_options_are_said(self):
        for options, words in ((["--nonsense"], "unknown option '--nonsense'"),
                               (["--port"], "--port needs a value"),
                               (["--transport", "pigeon"], "pigeon")):
            process, said = self.run_start(*options)
            self.assertNotEqual(process.wait(PATIENCE), 0)
            self.assertIn(words, said())


if __name__ == "__main__":
    unittest.main(verbosity=2)
