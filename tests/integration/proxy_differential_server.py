#!/usr/bin/python3
"""The server of itself, its commands and its configuration: kv_proxy against redis-server (see
differential.py).
"""

import re
import time

from differential import DAY, Differential, main
from programs import PATIENCE, ROOT, Stack
from resp import Connection, decode, encode


class Server(Differential):
    def test_command(self):
        self.run_lines("""
            COMMAND FOO
            COMMAND COUNT x
            COMMAND INFO nosuch
            COMMAND INFO get nosuch SET
            COMMAND INFO client|id client|nosuch nosuch|x
            COMMAND DOCS nosuch
            COMMAND GETKEYS
            COMMAND GETKEYS get a
            COMMAND GETKEYS get
            COMMAND GETKEYS get a b
            COMMAND GETKEYS mset a 1 b 2
            COMMAND GETKEYS del a b c
            COMMAND GETKEYS ping x
            COMMAND GETKEYS nosuch a
            COMMAND GETKEYS client id
            COMMAND GETKEYSANDFLAGS set a b
            COMMAND GETKEYSANDFLAGS set a b GET
            COMMAND GETKEYSANDFLAGS mset a 1 b 2
            COMMAND LIST x
            COMMAND LIST FILTERBY
            COMMAND LIST FILTERBY FOO x
            COMMAND LIST FILTERBY PATTERN xs-*
            COMMAND LIST FILTERBY PATTERN expiretim?
            COMMAND LIST FILTERBY PATTERN getd[ae]l
            COMMAND LIST FILTERBY ACLCAT nosuch
            COMMAND LIST FILTERBY MODULE x
            COMMAND HELP
            COMMAND HELP x
        """)
        # Ours, Tair's, and those of newer Redis.
        ours = {"cas", "getv", "client|setinfo", "client|no-touch", "client|maint_notifications", "delex",
                "digest", "msetex", "exappend", "excad", "excas", "exget", "exincrby", "exset", "exsetver"}
        for redis, proxy in self.pairs():
            names = [name.decode() for name in decode(proxy.call("COMMAND", "LIST"))]
            known = [name for name in names if name not in ours]
            containers = {name.split("|")[0] for name in names if "|" in name}
            self.assertGreater(len(known), 60)
            for name in known:
                if name not in containers:
                    self.same(redis, proxy, "COMMAND", "INFO", name)
                docs = []
                for connection in (redis, proxy):
                    flat = decode(connection.call("COMMAND", "DOCS", name))
                    fields = dict(zip(flat[1][::2], flat[1][1::2]))
                    docs.append([flat[0]] + [fields.get(f) for f in (b"summary", b"since", b"group",
                                                                     b"complexity")])
                self.assertEqual(docs[1], docs[0], name)
            count = decode(proxy.call("COMMAND", "COUNT"))
            self.assertEqual(count, len(decode(proxy.call("COMMAND"))))
            self.assertEqual(count, len([name for name in names if "|" not in name]))

            # Set or array: where only the order of subcommands differs, the bytes are the same ones.
            answers = [sorted(c.call("COMMAND", "INFO", "object", "get")) for c in (redis, proxy)]
            self.assertEqual(*answers)

    def test_persistence(self):
        self.run_lines("""
            SAVE x
            BGSAVE FOO
            BGSAVE SCHEDULE x
            BGREWRITEAOF x
            LASTSAVE x
            SHUTDOWN FOO
            SHUTDOWN ABORT
            SHUTDOWN ABORT NOW
            SHUTDOWN SAVE NOSAVE
            MULTI
            SAVE
            EXEC
            MULTI
            SHUTDOWN NOSAVE
            EXEC
            MULTI
            BGSAVE
            BGREWRITEAOF
            LASTSAVE
            DISCARD
            EXEC
        """)
        for redis, proxy in self.pairs():
            self.near(redis, proxy, "LASTSAVE", within=DAY)
            self.assertIn(b"\r\nrdb_last_save_time%s" % proxy.call("LASTSAVE"), proxy.call("INFO", "persistence"))
            for words in (["SAVE"], ["BGSAVE"], ["BGSAVE", "SCHEDULE"], ["BGREWRITEAOF"], ["SHUTDOWN", "SAVE"]):
                self.assertRegex(proxy.call(*words), rb"^-ERR %s is not supported: keys live in the memory"
                                 % " ".join(words[:1 + (words[0] == "SHUTDOWN")]).encode())

    def test_shutdown(self):
        """No reply; the connection closes when the proxy has ended. The server goes on."""
        with Stack(workers=1, threads=2, memory=64) as stack:
            for words in (["SHUTDOWN"], ["shutdown", "nosave", "now"], ["SHUTDOWN", "SAVE", "FORCE"]):
                with Connection(stack.port) as other, Connection(stack.port) as connection:
                    other.call("SET", words[0], words[-1])
                    connection.send(encode("PING") + encode(*words))
                    self.assertEqual(connection.rest(), b"+PONG\r\n")
                    self.assertEqual(other.rest(), b"")
                stack.proxy.process.wait(PATIENCE)
                self.assertEqual(stack.proxy.stop(), 0)
                self.assertIn("SHUTDOWN", stack.proxy.output)
                self.assertTrue(stack.server.running())
                stack.start_proxy()
                with Connection(stack.port) as connection:
                    self.assertEqual(decode(connection.call("GET", words[0])), words[-1].encode())

    def test_config(self):
        self.run_lines("""
            CONFIG
            CONFIG FOO
            CONFIG GET
            CONFIG GET save
            CONFIG GET SAVE
            CONFIG GET nosuch
            CONFIG GET appendonly
            CONFIG GET maxmemory
            CONFIG GET databases
            CONFIG GET save s*ve
            CONFIG GET proto-max-bulk-len
            CONFIG GET maxmemory-polic?
            CONFIG SET
            CONFIG SET save
            CONFIG SET foo bar
            CONFIG SET foo bar baz
            CONFIG SET maxclients abc
            CONFIG SET maxclients 0
            CONFIG SET timeout -1
            CONFIG SET timeout abc
            CONFIG SET timeout 1 timeout 2
            CONFIG SET databases 4
            CONFIG SET loglevel foo
            CONFIG SET appendonly no
            CONFIG SET client-query-buffer-limit abc
            CONFIG RESETSTAT
            CONFIG RESETSTAT x
            CONFIG REWRITE
            CONFIG HELP
            CONFIG HELP x
        """)
        for redis, proxy in self.pairs():
            self.same(redis, proxy, "CONFIG", "SET", "save", "")
            self.same(redis, proxy, "CONFIG", "SET", "timeout", "100", "tcp-keepalive", "50")
            self.same(redis, proxy, "CONFIG", "GET", "timeout")
            self.same(redis, proxy, "CONFIG", "SET", "timeout", "0", "tcp-keepalive", "300")

    def test_server(self):
        self.run_lines("""
            SET a 1
            FLUSHALL FOO
            FLUSHALL ASYNC x
            FLUSHDB FOO
            DBSIZE
            FLUSHALL ASYNC
            DBSIZE
            SET a 1
            FLUSHDB SYNC
            GET a
            FUNCTION
            FUNCTION FOO
            FUNCTION FLUSH
            FUNCTION FLUSH ASYNC
            FUNCTION FLUSH sync
            FUNCTION FLUSH FOO
            FUNCTION FLUSH ASYNC x
            FUNCTION LIST
            FUNCTION LIST WITHCODE
            FUNCTION LIST LIBRARYNAME x
            FUNCTION LIST LIBRARYNAME
            FUNCTION LIST FOO
            LOLWUT
            LOLWUT VERSION x
            TIME x
            INFO nosuch
            INFO keyspace
            SET a 1
            INFO keyspace
        """)
        for redis, proxy in self.pairs():
            self.assertEqual(len(decode(proxy.call("TIME"))), 2)
            expected, got = (decode(c.call("INFO", "everything")) for c in (redis, proxy))
            titles = [line for line in got.split(b"\r\n") if line.startswith(b"# ")]
            for title in (b"# Server", b"# Clients", b"# Memory", b"# Stats", b"# Replication"):
                self.assertIn(title, titles)
            for line in (b"redis_version:7.0.15", b"redis_mode:standalone", b"role:master",
                         b"loading:0", b"cluster_enabled:0"):
                self.assertIn(line + b"\r\n", expected)
                self.assertIn(line + b"\r\n", got)

    def test_lolwut(self):
        """Drawings are random, so their forms are compared: lines, their widths, and all that is no dot."""
        dot = re.compile(rb"\x1b\[0;\d+;\d+m |[\xe2][\xa0-\xa3][\x80-\xbf]")

        def form(reply):
            reply = re.sub(rb"^([$=])\d+", rb"\1", reply, count=1)  # colours differ in length
            return dot.sub(b".", reply)

        ends = (-1, 0, 1, 2, 3, 4, 5, 9, 66, 1000, 1001)
        drawings = [(), (5,), (6,), *((5, columns) for columns in ends), *((6, columns) for columns in ends),
                    *((5, 40, across) for across in (-1, 0, 1, 3, 199, 200, 201)),
                    *((5, 7, 3, down) for down in (-1, 0, 1, 2, 3, 4, 5, 199, 200, 201)),
                    *((6, 4, rows) for rows in (-1, 0, 1, 2, 3, 999, 1000, 1001)),
                    (5, 1, 200, 1), (5, 2, 9, 9), (5, 66, 8, 12, "x"), (6, 80, 20, "x")]
        others = [("VERSION",), ("VERSION", "x"), ("VERSION", ""), ("5",), ("5", "10"), ("VERSIONS", 5),
                  ("version", 5, "x"), ("VERSION", 5, 1, "x"), ("VERSION", 5, 1, 1, "x"),
                  ("VERSION", 6, "x"), ("VERSION", 6, 1, "x"), ("VERSION", 2 ** 63), ("VERSION", 5, 2 ** 63),
                  *(("VERSION", number) for number in (-1, 0, 4, 7, 50, 2 ** 32 + 5, 2 ** 32 + 6, 2 ** 63 - 1))]
        with_version = [("VERSION", *words) for words in drawings if words]
        for redis, proxy in self.pairs():
            for words in [()] + with_version + others:
                expected, got = (form(one.call("LOLWUT", *words)) for one in (redis, proxy))
                self.assertEqual(got, expected, words)
            # Not empty, and another one each time.
            for version, ink in ((5, b"\xe2\xa0\x80"), (6, b"\x1b[0;97;107m ")):
                seen = {proxy.call("LOLWUT", "VERSION", version) for _ in range(3)}
                self.assertEqual(len(seen), 3)
                for drawing in seen:
                    cells = dot.findall(drawing)
                    self.assertGreater(sum(cell != ink for cell in cells), len(cells) // 10)
                    self.assertIn(ink, cells)
            self.assertEqual(proxy.call("LOLWUT", "VERSION", 5, 1000, 1, 200),
                             b"-ERR the drawing is too large: more squares per row or fewer rows make it smaller\r\n")

    def test_flushall_of_many(self):
        """Workers remove two thousand keys at a time: none is left, and none that was gone comes back."""
        with Connection(self.stack.port) as proxy, Connection(self.stack.port) as other:
            names = [f"many:{i}" for i in range(20_000)]
            for words in (["FLUSHALL"], ["FLUSHDB", "ASYNC"], ["MULTI"]):
                proxy.send(b"".join(encode("SET", name, "v") for name in names))
                self.assertEqual({proxy.reply() for _ in names}, {b"+OK\r\n"})
                self.assertEqual(proxy.call("DBSIZE"), b":20000\r\n")
                data = encode(*words)
                if words == ["MULTI"]:
                    data += encode("SET", "{many:0}", "v") + encode("FLUSHALL") + encode("DBSIZE") + encode("EXEC")
                proxy.send(data)
                gone, seen = set(), 0
                while len(gone) < len(names):
                    sample = names[seen % 100::100]
                    seen += 1
                    for name, value in zip(sample, decode(other.call("MGET", *sample))):
                        self.assertFalse(value is not None and name in gone, f"{name} has come back")
                        if value is None:
                            gone.add(name)
                replies = [proxy.reply() for _ in range(data.count(b"*"))]
                self.assertEqual(replies[-1], b"*3\r\n+OK\r\n+OK\r\n:0\r\n" if words == ["MULTI"] else b"+OK\r\n")
                self.assertEqual(proxy.call("DBSIZE"), b":0\r\n")

    def test_rates(self):
        """They rise while there are commands, and fall back when there are none."""
        names = ("instantaneous_ops_per_sec", "instantaneous_input_kbps", "instantaneous_output_kbps")

        def rates(connection):
            lines = decode(connection.call("INFO", "stats")).decode().split("\r\n")
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            return [fields[name] for name in names]

        for redis, proxy in self.pairs():
            for connection in (redis, proxy):
                begin = time.monotonic()
                while not all(float(rate) > 0 for rate in rates(connection)):
                    self.assertLess(time.monotonic() - begin, PATIENCE)
                self.assertRegex(" ".join(rates(connection)), r"^\d+ \d+\.\d\d \d+\.\d\d$")
                # Asking once a second is one command in sixteen samples, or none.
                while float(rates(connection)[0]) > 10:
                    self.assertLess(time.monotonic() - begin, PATIENCE)
                    time.sleep(1)

    def test_unknown(self):
        page = (ROOT / "redis-compat.md").read_text()
        rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", page, re.M)
        refused = {name.lower() for name, status in rows if status == "refused"}
        absent = [name.lower() for name, status in rows
                  if status in ("not yet", "not planned") and name.lower().split(" ")[0] not in refused]
        self.assertGreater(len(absent), 200)
        with Connection(self.stack.port) as proxy:
            for name in absent:
                words = name.split(" ")
                reply = proxy.call(*words, "x")
                self.assertRegex(reply, rb"^-ERR unknown (sub)?command '(?i:%s)'" % words[-1 if reply.startswith(
                    b"-ERR unknown sub") else 0].encode(), name)
        for redis, proxy in self.pairs():
            for words in (["FOO"], ["FOO", "a", "b"], ["foo\r\nbar", "a\r\nb"], ["FOO", "x" * 200, "y"],
                          ["FOO", "x" * 100, "y" * 100, "z"], ["x" * 300, "a"], ["FOO", b"a\0b"],
                          ["f\0o", "a"], [""], ["", "a"], ["client|id"], ["CLIENT", "x" * 200],
                          ["FOO", b"\xff\x80"], ["FOO", "x" * 5000]):
                self.same(redis, proxy, *words)


if __name__ == "__main__":
    main()
