#!/usr/bin/python3
"""What strings become by functions of what they are (INCR, APPEND, SETRANGE, bits), and parts of them:
kv_proxy against redis-server (see differential.py).

Seeded: RDMAKV_SEED (default 1), RDMAKV_ROUNDS (default 3000 random commands per protocol).
"""

import os
import random

from differential import FAR, Differential, main, show
from resp import encode

SEED = int(os.environ.get("RDMAKV_SEED", "1"))
ROUNDS = int(os.environ.get("RDMAKV_ROUNDS", "3000"))

# What may be where a number is expected.
NUMBERS = ["0", "1", "-1", "2", "7", "8", "-8", "100", "-100", "4095", "x", "", " 1", "1 ", "+1", "01", "-0", "1.5",
           "9223372036854775807", "-9223372036854775808", "9223372036854775808"]


class Strings(Differential):
    def test_numbers(self):
        self.run_lines(f"""
            INCR a
            INCR a
            GET a
            DECR a
            INCRBY a 10
            DECRBY a 3
            INCRBY a -20
            INCRBY a x
            INCRBY a 1.5
            INCRBY a
            INCR
            INCR a b
            INCRBY a 9223372036854775807
            SET a 9223372036854775807
            INCR a
            GET a
            DECRBY a -9223372036854775808
            DECRBY a 9223372036854775807
            DECRBY a 9223372036854775807
            DECRBY a 9223372036854775807
            SET a -9223372036854775808
            DECR a
            INCRBY a -1
            SET a text
            INCR a
            INCRBYFLOAT a 1
            SET a 1.5
            INCR a
            INCRBYFLOAT a 1.1
            INCRBYFLOAT a -2.6
            INCRBYFLOAT a 0
            INCRBYFLOAT a 5.0e3
            INCRBYFLOAT a 1e-17
            INCRBYFLOAT a 1e-18
            INCRBYFLOAT a 0x10
            INCRBYFLOAT a x
            INCRBYFLOAT a nan
            INCRBYFLOAT a inf
            INCRBYFLOAT a -inf
            INCRBYFLOAT a 1e4932
            INCRBYFLOAT a 1e5000
            INCRBYFLOAT a 3.0
            GET a
            SET a 10.5 EX {FAR}
            INCRBYFLOAT a 0.1
            INCRBYFLOAT nosuch 3.123
            INCRBYFLOAT nosuch
            INCRBYFLOAT big 1e4931
            STRLEN big
            SETEX a {FAR} 5
            INCR a
            PERSIST a
            INCR a
            PERSIST a
        """)
        for redis, proxy in self.pairs():
            for text in NUMBERS:
                for command in ("INCRBY", "DECRBY", "INCRBYFLOAT"):
                    self.same(redis, proxy, "SET", "a", "5")
                    self.same(redis, proxy, command, "a", text)
                self.same(redis, proxy, "SET", "a", text)
                self.same(redis, proxy, "INCR", "a")
                self.same(redis, proxy, "SET", "a", text)
                self.same(redis, proxy, "INCRBYFLOAT", "a", "1.25")

    def test_append_and_ranges(self):
        self.run_lines(f"""
            APPEND a hello
            APPEND a world
            APPEND
            APPEND a
            APPEND a b c
            GET a
            STRLEN a
            SETRANGE a 5 W
            SETRANGE a 20 end
            GET a
            SETRANGE a 0 x
            SETRANGE a -1 x
            SETRANGE a x x
            SETRANGE a 1
            SETRANGE a 536870912 x
            SETRANGE a 536870911 xy
            SETRANGE a 9223372036854775807 x
            SETRANGE nosuch 536870912 x
            SETRANGE nosuch 3 x
            GETRANGE nosuch 0 -1
            SUBSTR a 0 3
            GETRANGE a 0
            GETRANGE a x 1
            GETRANGE a 1 x
            GETRANGE nosuch2 x 1
            GETRANGE nosuch2 0 -1
            SETEX b {FAR} v
            APPEND b w
            SETRANGE b 0 x
            PERSIST b
            GET b
        """)
        for redis, proxy in self.pairs():
            for value in ("", "H", "Hello, World"):
                self.same(redis, proxy, "SET", "a", value)
                for first in NUMBERS:
                    for last in NUMBERS:
                        self.same(redis, proxy, "GETRANGE", "a", first, last)
                for empty in ("0", "5", "1000000"):
                    self.same(redis, proxy, "SETRANGE", "a", empty, "")
                    self.same(redis, proxy, "SETRANGE", "missing", empty, "")
                self.same(redis, proxy, "EXISTS", "missing")
                self.same(redis, proxy, "APPEND", "a", "")
                self.same(redis, proxy, "APPEND", "empty", "")
                self.same(redis, proxy, "EXISTS", "empty")

    def test_large(self):
        for redis, proxy in self.pairs():
            for size in (4000, 4096, 70_000, 262_145, 1_500_001):
                value = random.Random(size).randbytes(size)
                self.same(redis, proxy, "DEL", "a")
                for _ in range(3):
                    self.same(redis, proxy, "APPEND", "a", value)
                self.same(redis, proxy, "GETRANGE", "a", size - 2, size + 1)
                self.same(redis, proxy, "GETRANGE", "a", 1, -2)
                self.same(redis, proxy, "SETRANGE", "a", size // 2, value)
                self.same(redis, proxy, "SETRANGE", "a", 4 * size, value)
                self.same(redis, proxy, "SETRANGE", "a", "x", value)
                self.same(redis, proxy, "SETRANGE", "a", -1, value)
                self.same(redis, proxy, "BITCOUNT", "a")
                self.same(redis, proxy, "BITCOUNT", "a", 9, -9, "BIT")
                self.same(redis, proxy, "BITPOS", "a", 1, 4 * size - 9)
                self.same(redis, proxy, "SETBIT", "a", 8 * size + 3, 1)
                self.same(redis, proxy, "BITFIELD", "a", "INCRBY", "u8", "#0", 1, "GET", "u32", 8 * size)
                self.same(redis, proxy, "BITOP", "NOT", "b", "a")
                self.same(redis, proxy, "BITOP", "XOR", "c", "a", "b", "nosuch")
                self.same(redis, proxy, "GET", "c")
                self.same(redis, proxy, "GETEX", "a", "EX", FAR)
                self.same(redis, proxy, "GETEX", "a", "PERSIST")
                self.same(redis, proxy, "GET", "a")
                self.same(redis, proxy, "INCRBYFLOAT", "a", value)

    def test_multi_set(self):
        self.run_lines("""
            MSETNX {t}a 1 {t}b 2
            MGET {t}a {t}b
            MSETNX {t}c 3 {t}a 4
            EXISTS {t}c
            MSETNX {t}d 1 {t}d 2
            GET {t}d
            MSETNX one 1
            MSETNX one 2
            MSETNX {t}e 1 {t}f
            MSETNX {t}e
            MSETNX
            SET {t}x v EX 1000000
            MSETNX {t}x 1
        """)
        for redis, proxy in self.pairs():
            words = [word for i in range(3000) for word in ("{t}" + str(i), "v" * (i % 50))]
            self.same(redis, proxy, "MSETNX", *words)
            self.same(redis, proxy, "MSETNX", *words)
            self.same(redis, proxy, "MGET", *words[::2])
            self.same(redis, proxy, "DBSIZE")
            large = random.Random(1).randbytes(300_000)
            self.same(redis, proxy, "MSETNX", "{u}a", large, "{u}b", large[1:])
            self.same(redis, proxy, "MGET", "{u}a", "{u}b")

    def test_getex(self):
        self.run_lines(f"""
            GETEX nosuch
            GETEX nosuch EX 10
            GETEX nosuch EX x
            GETEX nosuch FOO
            GETEX
            SET a 1
            GETEX a
            GETEX a EX {FAR}
            PERSIST a
            GETEX a PX {FAR * 1000}
            GETEX a PERSIST
            PERSIST a
            GETEX a PERSIST
            GETEX a EXAT 4102444800
            EXPIRETIME a
            GETEX a PXAT 4102444800500
            PEXPIRETIME a
            GETEX a
            PEXPIRETIME a
            GETEX a EX 0
            GETEX a EX -1
            GETEX a EX x
            GETEX a EX 9223372036854775807
            GETEX a EX
            GETEX a KEEPTTL
            GETEX a NX
            GETEX a EX 10 PX 10
            GETEX a EX 10 PERSIST
            GETEX a PERSIST EX 10
            GETEX a PERSIST PERSIST
            GETEX a EXAT 1
            EXISTS a
        """)

    def test_bits(self):
        self.run_lines("""
            SETBIT a 7 1
            SETBIT a 7 0
            SETBIT a 7 1
            SETBIT a 100 1
            SETBIT a 0 2
            SETBIT a 0 x
            SETBIT a 0 -1
            SETBIT a -1 1
            SETBIT a x 1
            SETBIT a 4294967295 x
            SETBIT a 4294967296 1
            SETBIT a 1
            GETBIT a 7
            GETBIT a 100
            GETBIT a 1000000
            GETBIT a 4294967296
            GETBIT a -1
            GETBIT a x
            GETBIT nosuch 0
            GETBIT nosuch x
            GET a
            BITCOUNT a
            BITCOUNT a 0
            BITCOUNT nosuch 0
            BITCOUNT nosuch x y
            BITCOUNT a 0 -1 FOO
            BITCOUNT a -1 -5 FOO
            BITCOUNT a 0 -1 BIT x
            BITCOUNT
            BITPOS a 1
            BITPOS a 0
            BITPOS a 2
            BITPOS a x
            BITPOS nosuch 1
            BITPOS nosuch 0
            BITPOS nosuch 1 x
            BITPOS nosuch 2
            BITPOS a 1 x
            BITPOS a 1 0 x
            BITPOS a 1 0 -1 FOO
            BITPOS a 1 0 -1 BIT FOO
            BITPOS a
        """)
        for redis, proxy in self.pairs():
            for value in (b"", b"\0", b"\xff", b"\xff\xff\xff", b"\0\xff\xf0", b"\xff\xf0\0", bytes(20) + b"\1",
                          b"\xff" * 20 + b"\x7f", b"foobar"):
                self.same(redis, proxy, "SET", "a", value)
                for first in ("0", "1", "-1", "-2", "-100", "3", "7", "9", "100", "x"):
                    self.same(redis, proxy, "BITPOS", "a", 0, first)
                    self.same(redis, proxy, "BITPOS", "a", 1, first)
                    for last in ("0", "1", "-1", "-2", "-100", "8", "15", "100", "x"):
                        for unit in ([], ["BYTE"], ["bit"], ["FOO"]):
                            self.same(redis, proxy, "BITCOUNT", "a", first, last, *unit)
                            self.same(redis, proxy, "BITPOS", "a", 0, first, last, *unit)
                            self.same(redis, proxy, "BITPOS", "a", 1, first, last, *unit)

    def test_bitop(self):
        self.run_lines("""
            SET a abcdef
            SET b AB
            BITOP AND d a b
            GET d
            BITOP or d a b nosuch
            GET d
            BITOP XOR d a b a
            GET d
            BITOP NOT d a
            GET d
            BITOP NOT d a b
            BITOP NOT a a
            GET a
            BITOP FOO d a
            BITOP AND d
            BITOP AND d nosuch nosuch2
            EXISTS d
            BITOP NOT d nosuch
            BITOP AND nosuch3 nosuch
            SET d x EX 1000000
            BITOP OR d a
            PERSIST d
        """)

    def test_bitfield(self):
        self.run_lines("""
            BITFIELD a
            BITFIELD a GET u8 0
            EXISTS a
            BITFIELD a SET u8 0 255 GET i8 0 GET u4 4
            BITFIELD a SET i8 #1 -1 INCRBY u8 #1 10 GET u16 0
            BITFIELD a OVERFLOW SAT INCRBY u8 0 10 OVERFLOW FAIL INCRBY u8 0 1 OVERFLOW WRAP INCRBY u8 0 2
            BITFIELD a overflow fail set u2 100 4 get u2 100
            GET a
            BITFIELD b OVERFLOW FAIL SET u2 100 4
            STRLEN b
            BITFIELD a SET u63 0 -1 SET i64 64 -1 INCRBY i64 64 -9223372036854775808
            BITFIELD a GET u64 0
            BITFIELD a GET i65 0
            BITFIELD a GET u0 0
            BITFIELD a GET x8 0
            BITFIELD a GET u 0
            BITFIELD a GET u8x 0
            BITFIELD a GET u8 -1
            BITFIELD a GET u8 x
            BITFIELD a GET u8 #x
            BITFIELD a GET u8 #-1
            BITFIELD a GET u8 4294967296
            BITFIELD a SET u8 4294967288 1 FOO
            BITFIELD sat OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0
            BITFIELD sat OVERFLOW SAT SET i8 0 -9223372036854775681 GET i8 0
            BITFIELD sat OVERFLOW SAT SET i8 0 -9223372036854775680 GET i8 0
            BITFIELD sat OVERFLOW SAT SET i1 0 -9223372036854775808 GET i1 0
            BITFIELD sat OVERFLOW SAT SET i1 0 -9223372036854775807 GET i1 0
            BITFIELD sat OVERFLOW SAT SET i63 0 -9223372036854775808 GET i63 0
            BITFIELD sat OVERFLOW SAT SET i63 0 -4611686018427387905 GET i63 0
            BITFIELD sat OVERFLOW SAT SET i64 0 -9223372036854775808 GET i64 0
            BITFIELD sat OVERFLOW SAT SET u8 0 -9223372036854775808 GET u8 0
            BITFIELD sat OVERFLOW WRAP SET i8 0 -9223372036854775808 GET i8 0
            BITFIELD sat OVERFLOW FAIL SET i8 0 -9223372036854775808 GET i8 0
            BITFIELD sat OVERFLOW SAT SET i8 0 -128 INCRBY i8 0 -9223372036854775808
            BITFIELD sat OVERFLOW SAT SET i8 0 127 INCRBY i8 0 9223372036854775807
            BITFIELD a SET u8 0 x
            BITFIELD a SET u8 0
            BITFIELD a FOO u8 0
            BITFIELD a OVERFLOW FOO SET u8 0 1
            BITFIELD a OVERFLOW
            BITFIELD a OVERFLOW WRAP
            BITFIELD_RO a GET u8 0 GET i16 #1
            BITFIELD_RO nosuch GET u8 0
            BITFIELD_RO a SET u8 0 1
            BITFIELD_RO a INCRBY u8 0 1
            BITFIELD_RO a OVERFLOW SAT GET u8 0
            BITFIELD_RO a
            SETEX c 1000000 x
            BITFIELD c SET u8 0 1
            PERSIST c
        """)
        for redis, proxy in self.pairs():
            generator = random.Random(SEED + 2)
            for _ in range(ROUNDS // 3):
                self.same(redis, proxy, *random_bitfield(generator))
            many = [word for i in range(3000) for word in ("INCRBY", "u16", f"#{i % 7}", i)]
            self.same(redis, proxy, "BITFIELD", "many", *many)

    def test_lcs(self):
        self.run_lines("""
            SET a ohmytext
            SET b mynewtext
            LCS a b
            LCS a b LEN
            LCS a b IDX
            LCS a b IDX WITHMATCHLEN
            LCS a b IDX MINMATCHLEN 4
            LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
            LCS a b IDX MINMATCHLEN 99
            LCS a b IDX MINMATCHLEN -1
            LCS a b IDX MINMATCHLEN x
            LCS a b IDX MINMATCHLEN
            LCS a b LEN IDX
            LCS a b FOO
            LCS a nosuch
            LCS nosuch nosuch2 IDX
            LCS a a IDX
            LCS a
        """)
        for redis, proxy in self.pairs():
            generator = random.Random(SEED + 3)
            for _ in range(ROUNDS // 10):
                for key in "ab":
                    length = generator.randrange(60)
                    self.same(redis, proxy, "SET", key, "".join(generator.choices("abc", k=length)))
                self.same(redis, proxy, "LCS", "a", "b")
                self.same(redis, proxy, "LCS", "a", "b", "LEN")
                self.same(redis, proxy, "LCS", "a", "b", "IDX", "WITHMATCHLEN", "MINMATCHLEN", generator.randrange(4))
            for key, size in (("a", 20_000), ("b", 20_000)):
                self.same(redis, proxy, "SET", key, b"x" * size)
            self.same(redis, proxy, "LCS", "a", "b", "LEN")

    def test_random(self):
        for redis, proxy in self.pairs():
            generator = random.Random(SEED + 1)
            past = []
            for _ in range(ROUNDS):
                words = random_command(generator)
                expected, got = redis.call(*words), proxy.call(*words)
                past = past[-39:] + [f"{show(encode(*words), 120)} -> {show(got, 60)}"]
                self.assertEqual(got, expected, f"seed {SEED}: {show(encode(*words))}\nredis: {show(expected)}\n"
                                 + "\n".join(past))


def random_bitfield(generator):
    pick = generator.choice
    words = [pick(["BITFIELD", "BITFIELD", "BITFIELD", "BITFIELD_RO"]), pick("abc")]
    for _ in range(generator.randrange(1, 6)):
        if generator.random() < 0.3:
            words += ["OVERFLOW", pick(["WRAP", "SAT", "FAIL"])]
        kind = pick(["GET", "SET", "INCRBY"])
        width = pick(["u1", "u2", "u7", "u8", "u31", "u63", "i1", "i2", "i8", "i33", "i64"])
        offset = pick(["0", "3", "9", "64", "200", "#0", "#1", "#3"])
        number = pick(["0", "1", "-1", "2", "127", "-128", "255", "65536", "9223372036854775807", "-9223372036854775808"])
        words += [kind, width, offset] + ([number] if kind != "GET" else [])
    return words


def random_command(generator):
    """Few keys with few values, so that commands meet; numbers valid and invalid."""
    pick = generator.choice

    def key():
        return pick(["a", "b", "c", "{t}a", "key:1"])

    def value():
        return pick(["", "1", "12", "-7", "1.5", "hello", "x" * 300, "y" * 4096, "z" * 20000, "9223372036854775807"])

    def number():
        return pick(NUMBERS)

    def offset():
        return pick(["0", "1", "7", "8", "100", "5000", "-1", "x", "4294967296"])

    name = pick(["SET", "SET", "GET", "DEL", "INCR", "DECR", "INCRBY", "DECRBY", "INCRBYFLOAT", "APPEND", "APPEND",
                 "SETRANGE", "GETRANGE", "SUBSTR", "STRLEN", "SETBIT", "SETBIT", "GETBIT", "BITCOUNT", "BITPOS", "BITOP",
                 "BITFIELD", "GETEX", "GETDEL", "PERSIST"])
    if name == "SET":
        return [name, key(), value(), *pick([[], [], ["EX", FAR], ["KEEPTTL"]])]
    if name in ("INCRBY", "DECRBY", "INCRBYFLOAT"):
        return [name, key(), number()]
    if name == "APPEND":
        return [name, key(), value() if generator.random() < 0.3 else pick(["", "1", "xyz"])]
    if name == "SETRANGE":
        return [name, key(), offset() if generator.random() < 0.9 else number(), pick(["", "1", "xyz"])]
    if name in ("GETRANGE", "SUBSTR"):
        return [name, key(), number(), number()]
    if name == "SETBIT":
        return [name, key(), offset(), pick(["0", "1", "1", "2"])]
    if name == "GETBIT":
        return [name, key(), offset()]
    if name == "BITCOUNT":
        return [name, key(), *pick([[], [number()], [number(), number()], [number(), number(), pick(["BIT", "BYTE", "x"])]])]
    if name == "BITPOS":
        return [name, key(), pick(["0", "1", "2"]),
                *pick([[], [number()], [number(), number()], [number(), number(), pick(["BIT", "BYTE", "x"])]])]
    if name == "BITOP":
        return [name, pick(["AND", "OR", "XOR", "NOT"]), key(), *[key() for _ in range(generator.randrange(1, 4))]]
    if name == "BITFIELD":
        return random_bitfield(generator)
    if name == "GETEX":
        return [name, key(), *pick([[], ["PERSIST"], ["EX", FAR], ["FOO"]])]
    return [name, key()]


if __name__ == "__main__":
    main()
