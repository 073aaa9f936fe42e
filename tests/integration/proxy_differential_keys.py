#!/usr/bin/python3
"""Commands on keys as such: kv_proxy against redis-server (see differential.py).

Seeded: RDMAKV_SEED (default 1).
"""

import os
import random
import threading
import time

from differential import DAY, FAR, Differential, main, show
from programs import PATIENCE
from resp import Connection, decode, encode

SEED = int(os.environ.get("RDMAKV_SEED", "1"))


def scan_all(connection, *options):
    """The keys that a whole SCAN meets, as often as it does."""
    cursor, keys = b"0", []
    while True:
        cursor, batch = decode(connection.call("SCAN", cursor, *options))
        assert int(cursor) < 2 ** 63
        keys += batch
        if cursor == b"0":
            return keys


class Keys(Differential):
    def test_rename(self):
        # {a}1 and {a}2 are on one worker; a, b and c may be anywhere.
        for first, second in (("a", "b"), ("b", "c"), ("a", "c"), ("{a}1", "{a}2")):
            self.run_lines(f"""
                RENAME {first} {second}
                RENAMENX {first} {second}
                COPY {first} {second}
                RENAME {first} {first}
                RENAMENX {first} {first}
                COPY {first} {first}
                SET {first} 1
                RENAME {first} {first}
                RENAMENX {first} {first}
                COPY {first} {first}
                COPY {first} {second}
                COPY {first} {second}
                GET {second}
                SET {first} 2
                COPY {first} {second} REPLACE
                GET {second}
                RENAMENX {first} {second}
                RENAME {first} {second}
                GET {first}
                GET {second}
                DEL {second}
                SET {first} 3 PXAT 4102444800000
                COPY {first} {second}
                PEXPIRETIME {second}
                DEL {second}
                RENAMENX {first} {second}
                PEXPIRETIME {second}
                EXISTS {first}
                SET {first} 4
                RENAME {first} {second}
                PEXPIRETIME {second}
                GET {second}
                COPY {first} {second} DB 0
                COPY {second} {first} DB 0 REPLACE
                COPY {second} {first} DB 0 REPLACE REPLACE DB 0
                COPY {second} {first} DB 1
                COPY {second} {first} DB x
                COPY {second} {first} DB -1
                COPY {second} {first} DB 99999999999
                COPY {second} {first} DB
                COPY {second} {first} FOO
                COPY {second}
                RENAME {second}
                RENAME {second} {first} x
                RENAMENX {second}
                GET {first}
                DBSIZE
            """)

    def test_rename_of_large_values(self):
        for redis, proxy in self.pairs():
            for size in (5000, 70_000, 1_000_000, 3_000_001):
                value = random.Random(size).randbytes(size)
                for i, (first, second) in enumerate((("a", "b"), ("b", "c"), ("c", "d"))):
                    self.same(redis, proxy, "SET", first, value, "PXAT", 4102444800000 + i)
                    self.same(redis, proxy, "COPY", first, second, "REPLACE")
                    self.same(redis, proxy, "GET", second)
                    self.same(redis, proxy, "RENAMENX", first, second)
                    self.same(redis, proxy, "RENAME", first, second)
                    self.same(redis, proxy, "GET", second)
                    self.same(redis, proxy, "PEXPIRETIME", second)
                    self.same(redis, proxy, "EXISTS", first)

    def test_renames_in_a_pipeline(self):
        """A rename is one step for the commands of its connection, wherever the keys are."""
        for redis, proxy in self.pairs():
            for connection in (redis, proxy):
                for i in range(50):
                    connection.call("SET", f"k{i}", i)
            generator = random.Random(SEED)
            batch = []
            for _ in range(300):
                first, second = (f"k{generator.randrange(60)}" for _ in range(2))
                batch.append(generator.choice([
                    ("RENAME", first, second), ("RENAMENX", first, second),
                    ("COPY", first, second, "REPLACE"), ("SET", first, second), ("GET", second),
                    ("GET", first), ("DEL", first)]))
            for words in batch:
                self.same(redis, proxy, *words)
            self.same(redis, proxy, "MGET", *[f"k{i}" for i in range(60)])

    def test_keyspace(self):
        self.run_lines("""
            RANDOMKEY
            RANDOMKEY x
            KEYS *
            KEYS
            KEYS a b
            SCAN
            SCAN 0
            SCAN x
            SCAN ""
            SCAN 0 MATCH
            SCAN 0 COUNT
            SCAN 0 COUNT x
            SCAN 0 COUNT 0
            SCAN 0 COUNT -1
            SCAN 0 TYPE
            SCAN 0 FOO
            SCAN 0 FOO 1
            SCAN 0 MATCH * COUNT 10 TYPE string FOO
            SCAN 99999999999999999999999
            SET only 1
            RANDOMKEY
            KEYS *
            KEYS o?l*
            KEYS [^o]*
            SCAN 0
            SCAN 0 TYPE string
            SCAN 0 TYPE STRING
            SCAN 0 TYPE list
            SCAN 0 MATCH x*
            SCAN 0 COUNT 1000000000
            scan 0 match o* count 100 type string
        """)

    def test_all_keys_are_met(self):
        generator = random.Random(SEED)
        keys = [f"key:{i}".encode() for i in range(3000)]
        keys += [b"", b"\0", b"a b\r\n", bytes(range(256)), b"k" * 4090, b"l" * 4096, b"m" * 65536]
        for redis, proxy in self.pairs():
            for at in range(0, len(keys), 500):
                words = [word for key in keys[at:at + 500] for word in (key, "v")]
                self.same(redis, proxy, "MSET", *words)
            for pattern in ("*", "key:1*", "key:?", "[k-m]*", "nosuch*"):
                expected = sorted(decode(redis.call("KEYS", pattern)))
                self.assertEqual(sorted(decode(proxy.call("KEYS", pattern))), expected)
                for count in (1, 10, 1000, 10 ** 9):
                    got = scan_all(proxy, "MATCH", pattern, "COUNT", count)
                    self.assertEqual(sorted(got), expected, (pattern, count))
            self.assertEqual(scan_all(proxy, "TYPE", "hash"), [])
            self.assertIn(decode(proxy.call("RANDOMKEY")), keys)
            drawn = {decode(proxy.call("RANDOMKEY")) for _ in range(200)}
            self.assertGreater(len(drawn), 100)
            del generator
            generator = random.Random(SEED)

    def test_the_guarantee_of_scan(self):
        """Keys that are there all the time are met, whatever else comes and goes meanwhile."""
        generator = random.Random(SEED)
        stays = {f"stays:{i}".encode() for i in range(2000)}
        with Connection(self.stack.port) as scanning, Connection(self.stack.port) as changing:
            changing.call("FLUSHALL")
            changing.call("MSET", *[word for key in stays for word in (key, "v")])
            for _ in range(3):
                cursor, met = b"0", set()
                while True:
                    cursor, batch = decode(scanning.call("SCAN", cursor, "COUNT", 50))
                    met.update(batch)
                    if cursor == b"0":
                        break
                    for _ in range(20):
                        number = generator.randrange(2000)
                        changing.call("SET", f"goes:{number}", "x" * generator.randrange(300))
                        changing.call("DEL", f"goes:{generator.randrange(2000)}")
                        changing.call("SET", f"stays:{number}", "y" * generator.randrange(5000))
                        changing.call("EXPIRE", f"stays:{generator.randrange(2000)}", FAR)
                self.assertLessEqual(stays, met)

    def test_object(self):
        self.run_lines("""
            OBJECT
            OBJECT ENCODING
            OBJECT ENCODING nosuch
            OBJECT ENCODING a b
            OBJECT FREQ nosuch
            OBJECT IDLETIME nosuch
            OBJECT REFCOUNT nosuch
            OBJECT FOO a
            OBJECT HELP
            OBJECT HELP x
            SET a 1
            OBJECT ENCODING a
            OBJECT FREQ a
            OBJECT REFCOUNT a
            SET a 9999
            OBJECT REFCOUNT a
            SET a 10000
            OBJECT REFCOUNT a
            SET a -1
            OBJECT REFCOUNT a
            SET a 01
            OBJECT ENCODING a
            SET a 9223372036854775807
            OBJECT ENCODING a
            SET a 9223372036854775808
            OBJECT ENCODING a
            SET a 12345678901234567890123456789012345678901234
            OBJECT ENCODING a
            SET a 123456789012345678901234567890123456789012345
            OBJECT ENCODING a
            OBJECT REFCOUNT a
            WAIT 0 0
            WAIT 0 100
            WAIT x 0
            WAIT 0 x
            WAIT 0 -1
            WAIT 0
            SORT nosuch
        """.replace("SORT nosuch", "PING"))
        for redis, proxy in self.pairs():
            for size in (0, 20, 21, 44, 45, 5000, 100_000):
                self.same(redis, proxy, "SET", "a", "x" * size)
                self.same(redis, proxy, "OBJECT", "ENCODING", "a")
                self.same(redis, proxy, "OBJECT", "REFCOUNT", "a")

    def test_dump_and_restore(self):
        values = [b"", b"0", b"1", b"-1", b"127", b"128", b"-128", b"-129", b"32767", b"32768",
                  b"2147483647", b"2147483648", b"-2147483648", b"-2147483649", b"01", b"+1", b"abc",
                  b"x" * 20, b"x" * 21, b"x" * 63, b"ab" * 40, bytes(range(256)),
                  random.Random(1).randbytes(63), random.Random(1).randbytes(64),
                  random.Random(1).randbytes(16383), random.Random(1).randbytes(16384),
                  b"text and more text, " * 500]
        for redis, proxy in self.pairs():
            for value in values:
                self.same(redis, proxy, "SET", "a", value)
                payload = decode(self.same(redis, proxy, "DUMP", "a"))
                self.same(redis, proxy, "RESTORE", "b", 0, payload)
                self.same(redis, proxy, "RESTORE", "b", 0, payload)
                self.same(redis, proxy, "GET", "b")
                self.same(redis, proxy, "RESTORE", "b", FAR * 1000, payload, "REPLACE")
                self.near(redis, proxy, "TTL", "b", within=DAY)
                self.same(redis, proxy, "RESTORE", "b", 4102444800000, payload, "REPLACE", "ABSTTL")
                self.same(redis, proxy, "PEXPIRETIME", "b")
                self.same(redis, proxy, "RESTORE", "b", 1, payload, "REPLACE", "ABSTTL")
                self.same(redis, proxy, "EXISTS", "b")
            self.same(redis, proxy, "DUMP", "nosuch")
            self.same(redis, proxy, "DUMP")

    def test_dumps_are_the_same_bytes(self):
        """Of every size around the limits of the format, of messages, and of what comes in pieces."""
        sizes = [0, 1, 4, 5, 11, 19, 20, 21, 22, 24, 44, 62, 63, 64, 65, 263, 264, 265, 8191, 8192, 8193]
        for limit in (2 ** 12, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22):
            sizes += [limit - 17, limit - 1, limit, limit + 1, limit + 100]
        generator = random.Random(SEED)
        noise, words = generator.randbytes(max(sizes)), [generator.randbytes(n % 9 + 2) for n in range(300)]
        prose = b"".join(generator.choices(words, k=max(sizes) // 4))
        # Noise with a little to gain: as much as makes it worth while, or not quite.
        gains = [b"x" * gain + noise[gain:70_000] for gain in range(4, 40, 3)]
        for redis, proxy in self.pairs():
            for value in [source[:size] for size in sizes for source in (noise, prose, b"text " * (size // 5 + 1))] + gains:
                self.same(redis, proxy, "SET", "a", value)
                ours, theirs = (decode(one.call("DUMP", "a")) for one in (proxy, redis))
                self.assertTrue(ours == theirs, f"{len(value)} bytes, {show(value, 30)}: {len(ours)} and {len(theirs)}")
                self.same(redis, proxy, "RESTORE", "b", 0, ours, "REPLACE")
                self.same(redis, proxy, "GET", "b")

    def test_dumps_without_compression(self):
        for redis, proxy in self.pairs():
            self.same(redis, proxy, "CONFIG", "GET", "rdbcompression")
            try:
                for value in ("no", "maybe"):
                    self.same(redis, proxy, "CONFIG", "SET", "rdbcompression", value)
                for size in (10, 1000, 70_000, 300_000):
                    self.same(redis, proxy, "SET", "a", b"text " * (size // 5))
                    self.assertTrue(redis.call("DUMP", "a") == proxy.call("DUMP", "a"), size)
            finally:
                self.same(redis, proxy, "CONFIG", "SET", "rdbcompression", "yes")
            self.assertLess(len(proxy.call("DUMP", "a")), 10_000)

    def test_dumps_in_a_pipeline(self):
        """Many at once, so that values of all sizes stay at the server; in order, before what changes them; also in a
        transaction."""
        generator = random.Random(SEED)
        noise, prose = generator.randbytes(800_000), b"some more text " * 60_000
        script, count = b"", 0
        for step in range(120):
            size = generator.choice((10, 3000, 5000, 60_000, 70_000, 300_000, 800_000))
            script += encode("SET", "a", generator.choice((noise, prose))[:size])
            script += encode("DUMP", "a") * 3 + encode("APPEND", "a", "x") + encode("DUMP", "a") + encode("GET", "a")
            count += 7
        script += encode("MULTI") + encode("DUMP", "a") + encode("APPEND", "a", "y") + encode("DUMP", "a") + encode("EXEC")
        count += 5
        for redis, proxy in self.pairs():
            for one in (redis, proxy):
                threading.Thread(target=one.send, args=(script,), daemon=True).start()
            for number in range(count):
                expected, got = redis.reply(), proxy.reply()
                self.assertTrue(expected == got, f"reply {number}: {show(expected, 60)} {show(got, 60)}")

    def test_a_slow_reader_of_dumps(self):
        """Large ones leave as the client reads: the proxy closes nobody for them, though its limit is small."""
        prose = b"".join(random.Random(SEED).choices([b"a text ", b"of some ", b"words, "], k=4_000_000))
        for redis, proxy in self.pairs():
            limit = decode(proxy.call("CONFIG", "GET", "client-output-buffer-limit"))[1]
            self.assertEqual(proxy.call("CONFIG", "SET", "client-output-buffer-limit", "normal 4mb 0 0"), b"+OK\r\n")
            self.same(redis, proxy, "SET", "a", prose)
            expected = redis.call("DUMP", "a")
            self.assertGreater(len(expected), 5_000_000)
            proxy.send(encode("DUMP", "a") * 3)
            self.assertTrue(all(proxy.reply() == expected for _ in range(3)))
            proxy.call("CONFIG", "SET", "client-output-buffer-limit", limit)

    def test_bad_payloads(self):
        for redis, proxy in self.pairs():
            redis.call("SET", "a", "text " * 100)
            good = decode(redis.call("DUMP", "a"))
            self.same(redis, proxy, "SET", "busy", 1)
            generator = random.Random(SEED)
            bad = [b"", b"x", b"x" * 9, b"x" * 10, good[:-1], good + b"x", b"\xff" + good[1:]]
            for _ in range(200):
                spoiled = bytearray(good)
                spoiled[generator.randrange(len(good))] ^= 1 << generator.randrange(8)
                bad.append(bytes(spoiled))
            for payload in bad:
                self.same(redis, proxy, "RESTORE", "new", 0, payload)
                self.same(redis, proxy, "RESTORE", "busy", 0, payload)
            for words in ((), ("REPLACE",), ("IDLETIME", 1), ("FREQ", 1), ("IDLETIME",), ("FREQ",),
                          ("IDLETIME", -1), ("FREQ", 256), ("FREQ", -1), ("IDLETIME", "x"),
                          ("IDLETIME", 1, "FREQ", 1), ("FREQ", 1, "IDLETIME", 1), ("FOO",)):
                for key in ("new", "busy"):
                    for ttl in (0, "x", -1):
                        self.same(redis, proxy, "RESTORE", key, ttl, good, *words)
                self.same(redis, proxy, "DEL", "new")

    def test_expired_keys_are_not_met(self):
        with Connection(self.stack.port) as proxy:
            proxy.call("FLUSHALL")
            proxy.call("SET", "gone", 1, "PX", 1)
            proxy.call("SET", "there", 1)
            deadline = time.monotonic() + PATIENCE
            while decode(proxy.call("EXISTS", "gone")) == 1:
                self.assertLess(time.monotonic(), deadline)
            self.assertEqual(scan_all(proxy), [b"there"])
            self.assertEqual(decode(proxy.call("KEYS", "*")), [b"there"])
            self.assertEqual(decode(proxy.call("RANDOMKEY")), b"there")


if __name__ == "__main__":
    main()
