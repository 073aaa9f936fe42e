#!/usr/bin/python3
"""kv_server -H: on reserved huge pages where there are enough, and where there are too few with a warning
that names the setting, on those that it uses by itself: transparent ones. Changes the machine's number of huge pages: for the Soft-RoCE VM.
"""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from programs import BIN, Program, free_port  # noqa: E402

SETTING = pathlib.Path("/proc/sys/vm/nr_hugepages")
MEMORY = 64  # MB


def set_pages(number):
    SETTING.write_text(f"{number}\n")
    assert int(SETTING.read_text()) == number, "the machine has no memory for these huge pages"


def free_pages():
    return int(re.search(r"HugePages_Free: +(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))


class HugePages(unittest.TestCase):
    def setUp(self):
        self.addCleanup(set_pages, int(SETTING.read_text()))

    def server(self, *options):
        server = Program([BIN / "kv_server", "-p", free_port(), "-m", MEMORY, "--workers", 2, *options])
        self.addCleanup(server.stop)
        return server

    def expect_huge(self, *options):
        before = free_pages()
        server = self.server("-H", *options)
        self.assertIn("pages: huge, reserved", server.output)
        self.assertNotIn("no huge pages", server.output)
        self.assertGreaterEqual(before - free_pages(), MEMORY // 2 - 2, "pages of 2 MB that it took")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(free_pages(), before, "and gave back")

    def test_too_few_are_said_and_what_is_said_helps(self):
        for transport in ("rdma", "shm"):
            set_pages(3)
            server = self.server("-H", "--transport", transport)
            self.assertIn("pages: huge, transparent", server.output)
            warning = next(line for line in server.output.splitlines() if "no huge pages" in line)
            wanted = re.search(r"sysctl vm\.nr_hugepages=(\d+)", warning)
            self.assertIsNotNone(wanted, warning)
            self.assertIn("warn", warning)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(free_pages(), 3)
            set_pages(int(wanted.group(1)))
            self.expect_huge("--transport", transport)

    def test_none_at_all(self):
        set_pages(0)
        server = self.server("-H")
        self.assertNotIn("pages: huge, reserved", server.output)
        self.assertIn("vm.nr_hugepages", server.output)

    def test_they_are_not_used_unasked(self):
        set_pages(100)
        for transport in ("rdma", "shm"):
            server = self.server("--transport", transport)
            self.assertIn("pages: huge, transparent", server.output)
            self.assertEqual(free_pages(), 100)
            self.assertEqual(server.stop(), 0)
        server = self.server("--small-pages")
        self.assertIn("pages: of the usual size", server.output)
        self.assertEqual(free_pages(), 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
