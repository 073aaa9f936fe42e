#!/usr/bin/python3
"""redis-compat.md against the redis-server that is installed (and valkey-server, where there is one): each
command that it has stands on the page, and each field of its INFO is given by the proxy or on the page. And
the tests that the page names exist.
"""

import fnmatch
import re
import shutil
import unittest

from differential import Redis
from programs import ROOT, Stack
from resp import Connection, decode

PAGE = (ROOT / "redis-compat.md").read_text()
# The page is about Redis 7.0 and what has been added since; what only valkey-server has is told, no more.
COMMANDS = set(re.findall(r"^\| `([A-Z][^`]*)` \|", PAGE, re.M))
MODULES = ("BF.", "CF.", "CMS.", "FT.", "JSON.", "TDIGEST.", "TOPK.", "TS.")


def commands(port):
    """Names as the page writes them, subcommands too."""
    with Connection(port) as connection:
        names = decode(connection.call("COMMAND", "LIST"))
    with Connection(port) as connection:
        for entry in decode(connection.call("COMMAND")):
            if len(entry) > 9:
                names += [subcommand[0] for subcommand in entry[9]]
    return {name.decode().upper().replace("|", " ") for name in names}


def fields(port):
    """{section: its fields} of INFO, without those that name a command or an error."""
    with Connection(port) as connection:
        connection.call("SET", "key", "value")
        text = decode(connection.call("INFO", "everything")).decode()
    sections = {}
    for line in text.splitlines():
        if line.startswith("# "):
            title = line[2:]
        elif ":" in line and not re.match(r"(cmdstat|errorstat|latency_percentiles)_|db\d+:", line):
            sections.setdefault(title, set()).add(line.split(":")[0])
    return sections


def lacking():
    """{section: fields} of the page's table of what INFO does not give."""
    table = PAGE.split("### Fields of INFO", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (\w+) \| (`.*?) \| (.+) \|$", table, re.M)
    result = {}
    for section, names, _ in rows:
        result.setdefault(section, set()).update(re.findall(r"`(\w+)`", names))
    return result


def differential_tests():
    """{X: the text of each test_X of a proxy_differential_*.py}"""
    result = {}
    for script in (ROOT / "tests" / "integration").glob("proxy_differential_*.py"):
        parts = re.split(r"\n    def test_(\w+)\(", script.read_text())
        for name, body in zip(parts[1::2], parts[2::2]):
            result[name] = result.get(name, "") + body
    return result


def compiled_tests():
    """"Suite.Name" of each test case there is."""
    return {f"{suite}.{name}" for source in (ROOT / "tests").rglob("*_test.cc")
            for suite, name in re.findall(r"^TEST(?:_[FP])?\((\w+),\s*(\w+)\)", source.read_text(), re.M)}


def mentions(text, command):
    """By its words one after the other, in quotes or not."""
    return re.search(r"\W" + r"[\"', ]+".join(map(re.escape, command.split(" "))) + r"\W", text, re.I) is not None


class Page(unittest.TestCase):
    def test_the_tests_it_names(self):
        differential, compiled = differential_tests(), compiled_tests()
        rows = re.findall(r"^\| `([A-Z][^`]*)` \| supported \| .* \| (.*) \|$", PAGE, re.M)
        self.assertGreater(len(rows), 150)
        for command, tests in rows:
            for test in tests.split(", "):
                with self.subTest(command=command, test=test):
                    kind, _, name = test.partition(".")
                    if kind == "differential":
                        self.assertTrue(mentions(differential.get(name, ""), command))
                    elif (ROOT / "tests" / "integration" / f"{test}.py").exists() or test == "-":
                        continue
                    else:
                        self.assertTrue(any(fnmatch.fnmatch(one, test if name else test + ".*") for one in compiled))

    def missing(self, port):
        return sorted(name for name in commands(port) - COMMANDS if not name.startswith(MODULES))

    def test_commands_of_redis(self):
        with Redis() as redis:
            self.assertGreater(len(commands(redis.port)), 350)
            self.assertEqual(self.missing(redis.port), [], "redis-server has them, the page does not")

    @unittest.skipUnless(shutil.which("valkey-server"), "valkey-server is not installed")
    def test_commands_of_valkey(self):
        with Redis("valkey-server") as valkey:
            self.assertEqual(self.missing(valkey.port), [], "valkey-server has them, the page does not")

    def test_fields_of_info(self):
        with Redis() as redis, Stack(workers=1, threads=1, memory=64) as stack:
            theirs, ours, listed = fields(redis.port), fields(stack.port), lacking()
        self.assertGreater(sum(map(len, theirs.values())), 150)
        for section, names in theirs.items():
            absent = names - ours.get(section, set())
            told = listed.get(section, set())
            with self.subTest(section=section):
                self.assertEqual(sorted(absent - told), [], "neither given nor on the page")
                self.assertEqual(sorted(told - absent), [], "on the page as absent, and are not")
        self.assertEqual(sorted(set(listed) - set(theirs)), [], "are no sections")


if __name__ == "__main__":
    unittest.main(verbosity=2)
