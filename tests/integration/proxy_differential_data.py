#!/usr/bin/python3
"""What keys and values are and become: kv_proxy against redis-server (see differential.py).

Seeded: RDMAKV_SEED (default 1), RDMAKV_ROUNDS (default 3000 random commands per protocol).
"""

import os
import random
import time

from differential import DAY, FAR, FAR_MS, Differential, main, show
from programs import PATIENCE
from resp import decode, encode

SEED = int(os.environ.get("RDMAKV_SEED", "1"))
ROUNDS = int(os.environ.get("RDMAKV_ROUNDS", "3000"))


class Data(Differential):
    def test_strings(self):
        self.run_lines("""
            GET a
            SET a 1
            GET a
            get a
            GeT a
            GET
            GET a b
            SET a
            SET
            SET a 1 NX
            SET a 2 XX
            SET b 2 XX
            SET b 2 NX
            SET a 3 GET
            SET c 3 GET
            SET c 4 NX GET
            SET d 4 NX GET
            SET d 5 XX GET
            SET e 5 XX GET
            GET d
            GET e
            SET a 1 NX XX
            SET a 1 XX NX
            SET a 1 GET GET
            SET a 1 NX NX
            SET a 1 FOO
            SET a 1 N
            SET a 1 NXX
            SET a 1 EX
            SET a 1 EX 0
            SET a 1 EX -1
            SET a 1 EX abc
            SET a 1 EX 1.5
            SET a 1 EX 01
            SET a 1 EX +1
            SET a 1 EX 9223372036854775807
            SET a 1 EX 9223372036854775
            SET a 1 EX 9223372036854775808
            SET a 1 PX 9223372036854775807
            SET a 1 PX 0
            SET a 1 EXAT 0
            SET a 1 EXAT -1
            SET a 1 EXAT 9223372036854775807
            SET a 1 PXAT 0
            SET a 1 PXAT abc
            SET a 1 EX 10 PX 10
            SET a 1 EX 10 EXAT 10
            SET a 1 EX 10 KEEPTTL
            SET a 1 KEEPTTL EX 10
            SET a 1 KEEPTTL KEEPTTL
            SET a 1 KEEPTTL NX GET
            SET a 1 EX 100 EX 200
            SET a 1 PXAT 1
            GET a
            EXISTS a
            SET a 1 EXAT 1 GET
            SETNX a x
            SETNX a y
            SETNX a
            SETNX a b c
            SETEX a 100 v
            SETEX a 0 v
            SETEX a -5 v
            SETEX a x v
            SETEX a 9223372036854775807 v
            SETEX a 1
            PSETEX a 100000 v
            PSETEX a 0 v
            PSETEX a x v
            PSETEX a 9223372036854775807 v
            GETSET a new
            GETSET nosuch new
            GETSET a
            GET nosuch
            GETDEL nosuch
            GETDEL nosuch
            GETDEL
            STRLEN a
            STRLEN nosuch2
            STRLEN
            MSET a 1 b 2 c 3
            MSET a
            MSET a 1 b
            MSET a 1 a 2 a 3
            MGET a b nosuch3 c a
            MGET
            MGET nosuch3
        """)

    def test_binary_keys_and_values(self):
        values = [b"", b"\0", b"\r\n", b"$-1\r\n", bytes(range(256)), b"x" * 4095, b"x" * 4096,
                  b"\xff" * 70000]
        keys = [b"", b"\0", b"a b", b"\r\n", bytes(range(256)), b"k" * 4000, b"k" * 5000, b"k" * 65536]
        for redis, proxy in self.pairs():
            for key in keys:
                for value in values:
                    self.same(redis, proxy, "SET", key, value)
                    self.same(redis, proxy, "GET", key)
                    self.same(redis, proxy, "STRLEN", key)
                    self.same(redis, proxy, "SET", key, value, "GET", "EX", FAR)
            self.same(redis, proxy, "MGET", *keys)
            self.same(redis, proxy, "EXISTS", *keys)
            self.same(redis, proxy, "DEL", *keys)

    def test_large_values(self):
        for redis, proxy in self.pairs():
            for size in (4096, 16384, 65535, 65536, 262143, 262144, 262145, 1 << 20, (1 << 20) + 1,
                         9_000_001):
                value = random.Random(size).randbytes(size)
                self.same(redis, proxy, "SET", "a", value)
                self.same(redis, proxy, "STRLEN", "a")
                self.same(redis, proxy, "GET", "a")
                self.same(redis, proxy, "MGET", "a", "nosuch", "a")
                self.same(redis, proxy, "SET", "a", value[:-1], "XX", "GET")
                self.same(redis, proxy, "GETSET", "a", b"small")
                self.same(redis, proxy, "SETEX", "a", "x", value)
                self.same(redis, proxy, "SETNX", "a", value, "extra")
                self.same(redis, proxy, "SET", "a", value, "FOO")
                self.same(redis, proxy, "ECHO", value)
                self.same(redis, proxy, "GETDEL", "a")

    def test_keys(self):
        self.run_lines("""
            DEL a
            DEL
            MSET a 1 b 2 c 3 d 4
            EXISTS a
            EXISTS a a nosuch b
            EXISTS
            TOUCH a b nosuch
            TOUCH
            TYPE a
            TYPE nosuch
            TYPE
            TYPE a b
            DEL a a nosuch
            UNLINK b nosuch
            UNLINK
            DBSIZE
            DBSIZE x
        """)

    def test_many_keys_at_once(self):
        keys = [f"key:{i}" for i in range(1000)]
        for redis, proxy in self.pairs():
            self.same(redis, proxy, "MSET", *[word for key in keys for word in (key, "v" + key)])
            self.same(redis, proxy, "MGET", *keys, "nosuch")
            self.same(redis, proxy, "EXISTS", *keys, "nosuch")
            self.same(redis, proxy, "DBSIZE")
            self.same(redis, proxy, "DEL", *keys[:500], "nosuch")
            self.same(redis, proxy, "MGET", *keys)
            self.same(redis, proxy, "DBSIZE")

    def test_expiry(self):
        self.run_lines(f"""
            TTL nosuch
            PTTL nosuch
            EXPIRETIME nosuch
            PEXPIRETIME nosuch
            EXPIRE nosuch 10
            PERSIST nosuch
            SET a 1
            TTL a
            PTTL a
            EXPIRETIME a
            PEXPIRETIME a
            PERSIST a
            EXPIRE a {FAR} XX
            EXPIRE a {FAR} GT
            EXPIRE a {FAR} LT
            PERSIST a
            EXPIRE a {FAR} NX
            EXPIRE a {FAR} NX
            EXPIRE a {2 * FAR} GT
            EXPIRE a {FAR} GT
            EXPIRE a {FAR} LT
            EXPIRE a {2 * FAR} LT
            EXPIRE a {3 * FAR} XX GT
            EXPIRE a {3 * FAR} XX LT
            EXPIRE a {FAR} XX LT
            EXPIRE a {FAR} XX
            EXPIREAT a 4102444800
            EXPIRETIME a
            PEXPIRETIME a
            PEXPIREAT a 4102444800500
            EXPIRETIME a
            PEXPIRETIME a
            PEXPIREAT a 4102444800499
            EXPIRETIME a
            PEXPIREAT a 9223372036854775807
            EXPIRETIME a
            PEXPIRETIME a
            PEXPIREAT a 9223372036854775807 GT
            PERSIST a
            PERSIST a
            EXPIRE a
            EXPIRE a x
            EXPIRE a 10 FOO
            EXPIRE a x FOO
            EXPIRE a 10 NX XX
            EXPIRE a 10 NX GT
            EXPIRE a 10 LT NX
            EXPIRE a 10 GT LT
            EXPIRE a 10 XX GT LT
            EXPIRE a 9223372036854775807
            EXPIRE a 9223372036854775
            EXPIRE a -9223372036854775808
            EXPIREAT a 9223372036854775807
            EXPIREAT a -9223372036854775808
            PEXPIRE a 9223372036854775807
            PEXPIRE a 9223372036854775808
            EXISTS a
            EXPIRE a 0
            EXISTS a
            SET a 1
            EXPIRE a -1
            EXISTS a
            SET a 1
            PEXPIRE a -9223372036854775808
            EXISTS a
            SET a 1
            EXPIREAT a 1
            EXISTS a
            SET a 1
            EXPIRE a -1 XX
            EXPIRE a -1 GT
            EXISTS a
            EXPIRE a -1 LT
            EXISTS a
            SET a 1 PXAT 4102444800000
            SET a 2 KEEPTTL
            PEXPIRETIME a
            SET a 3 KEEPTTL GET
            PEXPIRETIME a
            SET a 4
            PEXPIRETIME a
            SETEX a {FAR} v
            GETSET a v
            TTL a
            SET a v EX {FAR}
            MSET a v
            TTL a
        """)

    def test_times_that_pass(self):
        for redis, proxy in self.pairs():
            self.same(redis, proxy, "SET", "a", 1, "EX", FAR)
            self.near(redis, proxy, "TTL", "a", within=DAY)
            self.near(redis, proxy, "PTTL", "a", within=DAY * 1000)
            self.near(redis, proxy, "EXPIRETIME", "a", within=DAY)
            self.near(redis, proxy, "PEXPIRETIME", "a", within=DAY * 1000)
            self.same(redis, proxy, "SET", "b", 1, "PX", 1)
            deadline = time.monotonic() + PATIENCE
            while decode(proxy.call("GET", "b")) is not None:
                self.assertLess(time.monotonic(), deadline)
            self.assertEqual(proxy.call("TTL", "b"), b":-2\r\n")

    def test_pipelines(self):
        generator = random.Random(SEED)
        for redis, proxy in self.pairs():
            for _ in range(20):
                batch = [random_command(generator) for _ in range(200)]
                data = b"".join(encode(*words) for words in batch)
                for connection in (redis, proxy):
                    connection.send(data)
                past = []
                for words in batch:
                    expected, got = redis.reply(), proxy.reply()
                    past = past[-39:] + [f"{show(encode(*words), 120)} -> {show(got, 60)}"]
                    self.compare(words, expected, got, past)

    def test_random(self):
        for redis, proxy in self.pairs():
            generator = random.Random(SEED + 1)
            past = []
            for _ in range(ROUNDS):
                words = random_command(generator)
                expected, got = redis.call(*words), proxy.call(*words)
                past = past[-39:] + [f"{show(encode(*words), 120)} -> {show(got, 60)}"]
                self.compare(words, expected, got, past)

    def compare(self, words, expected, got, past=()):
        """Remaining times may differ a little; everything else is equal."""
        if words[0].upper() in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME") \
                and expected[:1] == got[:1] == b":" and int(expected[1:]) > 0:
            return self.assertLessEqual(abs(int(expected[1:]) - int(got[1:])), DAY * 1000, words)
        self.assertEqual(got, expected, f"seed {SEED}: {show(encode(*words))}\n" + "\n".join(past))


def random_command(generator):
    """Few keys, so that commands meet; options valid and invalid; nothing expires by itself."""
    pick = generator.choice

    def key():
        return pick(["a", "b", "c", "{t}a", "{t}b", "key:1", ""])

    def value():
        return pick(["", "1", "hello", "x" * 300, "y" * 4096, "z" * 20000, "\r\n"])

    def seconds():
        # Hardly ever the same twice: GT and LT would then tell in which millisecond a server was asked.
        return pick([generator.randrange(FAR, 4 * FAR)] * 4 + [0, -1, "x", "9223372036854775807"])

    def options(*possible):
        return [word for option in possible if generator.random() < 0.3
                for word in (option if isinstance(option, list) else [option])]

    def keys():
        return [key() for _ in range(generator.randint(0, 4))]

    kind = pick(["GET", "GET", "SET", "SET", "SET", "DEL", "EXISTS", "MGET", "MSET", "SETNX", "SETEX",
                 "GETSET", "GETDEL", "STRLEN", "TYPE", "TTL", "EXPIRE", "PEXPIREAT", "PERSIST", "TOUCH",
                 "UNLINK", "PING", "ECHO", "DBSIZE", "FLUSHALL", "FOO", "EXPIRETIME"])
    if generator.random() < 0.3:
        kind = kind.lower()
    name = kind.upper()
    if name == "FLUSHALL" and generator.random() < 0.8:
        return ["PING"]
    if name == "SET":
        return [kind, key(), value(), *options("NX", "XX", "GET", "KEEPTTL", ["EX", seconds()],
                                               ["PX", FAR_MS], ["PXAT", 4102444800000], "FOO")[:5]]
    if name in ("DEL", "EXISTS", "MGET", "TOUCH", "UNLINK"):
        return [kind, *keys()]
    if name == "MSET":
        return [kind, *[word for k in keys() for word in (k, value())], *options("odd")]
    if name in ("SETNX", "GETSET"):
        return [kind, key(), value()]
    if name == "SETEX":
        return [kind, key(), seconds(), value()]
    if name == "EXPIRE":
        return [kind, key(), seconds(), *options("NX", "XX", "GT", "LT", "FOO")]
    if name == "PEXPIREAT":
        return [kind, key(), pick([4102444800000, 4102444800001, 1, "y"]), *options("NX", "XX", "GT")]
    if name in ("PING", "DBSIZE", "FLUSHALL"):
        return [kind, *options("x")] if name == "PING" else [kind]
    if name in ("ECHO", "FOO"):
        return [kind, value()]
    return [kind, key()]


if __name__ == "__main__":
    main()
