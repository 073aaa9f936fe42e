#!/usr/bin/python3
"""MULTI, EXEC, DISCARD, WATCH and UNWATCH: kv_proxy against redis-server (see differential.py). Keys share a
tag, so that they have one hash slot, as Redis Cluster would have it too.
"""

import random

from differential import FAR, Differential, main, show
from resp import Connection, decode, encode

BIG = "v" * 100_000


class Transactions(Differential):
    def test_transactions(self):
        self.run_lines("""
            EXEC
            DISCARD
            UNWATCH
            MULTI
            MULTI
            WATCH {t}a
            SET {t}a 1
            GET {t}a
            INCR
            EXEC
            GET {t}a
            MULTI
            INCR {t}n
            INCRBY {t}n 10
            INCRBYFLOAT {t}n 0.5
            INCR {t}n
            APPEND {t}s hello
            APPEND {t}s world
            SETRANGE {t}s 3 XX
            GETRANGE {t}s 0 -1
            SETBIT {t}b 7 1
            GETBIT {t}b 7
            BITCOUNT {t}s
            BITFIELD {t}f SET u8 0 200 INCRBY u8 0 100 GET u4 0
            GETEX {t}s PERSIST
            LCS {t}s {t}n
            LCS {t}s {t}s LEN
            EXEC
            DEL {t}n {t}s {t}b {t}f
            MULTI
            SET {t}a 1
            SET {t}b 2 EX 100000
            GET {t}a
            MGET {t}a {t}b {t}c
            MSET {t}a 3 {t}d 4
            EXISTS {t}a {t}a {t}c
            DEL {t}a {t}b {t}c
            GET {t}a
            TTL {t}b
            SETNX {t}d x
            SETNX {t}e x
            GETSET {t}e y
            GETDEL {t}e
            STRLEN {t}d
            TYPE {t}d
            PERSIST {t}d
            EXPIRE {t}d 100 XX
            SET {t}d 1 GET
            SET {t}d 1 NX GET
            SET {t}d
            EXEC
            MULTI
            SET {t}d 1 EX abc
            SET {t}d 1 FOO
            GET {t}d
            EXPIRE {t}d abc
            EXEC
            MULTI
            EXEC
            MULTI
            PING
            PING hello
            ECHO x
            SELECT 0
            SELECT 1
            CLIENT GETNAME
            CLIENT SETNAME me
            CLIENT GETNAME
            CONFIG GET maxmemory
            UNWATCH
            EXEC
            CLIENT GETNAME
            MULTI
            NOSUCH a b
            PING
            EXEC
            MULTI
            CLIENT NOSUCH
            EXEC
            MULTI
            SET {t}a 1
            DISCARD
            GET {t}a
            MULTI x
            EXEC x
            MULTI
            PING
            EXEC x
            EXEC
            MULTI
            DISCARD x
            DISCARD
            WATCH
            WATCH {t}a {t}b {t}a
            MULTI
            SET {t}a 5
            EXEC
            MULTI
            RESET
            EXEC
        """)

    def test_several_keys_and_all_keys(self):
        self.run_lines("""
            SET {t}old 1 EX 100000
            MULTI
            DBSIZE
            SET {t}a abc
            DBSIZE
            RENAME {t}a {t}b
            RENAME {t}a {t}b
            GET {t}a
            GET {t}b
            RENAMENX {t}b {t}old
            RENAMENX {t}b {t}a
            RENAME {t}a {t}a
            COPY {t}old {t}copy
            COPY {t}old {t}copy
            COPY {t}a {t}copy REPLACE
            COPY {t}none {t}copy REPLACE
            GET {t}copy
            PERSIST {t}old
            KEYS {t}old
            KEYS nothing*
            SCAN 0 COUNT 1000 MATCH {t}copy
            SCAN 0 COUNT 1000 MATCH {t}copy TYPE list
            MSETNX {t}m 1 {t}n 2
            MSETNX {t}m 3 {t}o 3
            MSETNX {t}m 3 {t}o
            MGET {t}m {t}n {t}o
            BITOP AND {t}x {t}a {t}old {t}none
            BITOP OR {t}x {t}a {t}old
            BITOP NOT {t}x {t}x
            BITOP XOR {t}y {t}x {t}a
            BITOP NOT {t}y {t}none
            BITOP NOT {t}y {t}x {t}x
            BITOP NAND {t}y {t}x {t}x
            GET {t}x
            EXISTS {t}y
            DBSIZE
            EXEC
            DBSIZE
            MGET {t}a {t}b {t}m {t}x
            TTL {t}b
            MULTI
            SET {t}before 1
            FLUSHALL
            DBSIZE
            RANDOMKEY
            GET {t}a
            SET {t}after 1
            RANDOMKEY
            KEYS *
            DBSIZE
            FLUSHDB NOSUCH
            FLUSHALL ASYNC SYNC
            EXEC
            DBSIZE
            MGET {t}before {t}after
            MULTI
            FLUSHDB ASYNC
            DBSIZE
            KEYS *
            SCAN 0
            RANDOMKEY
            EXEC
            GET {t}after
            WATCH {t}w
            SET {t}w 1
            MULTI
            FLUSHALL
            EXEC
            GET {t}w
            MULTI
            RENAME {t}w
            EXEC
            MULTI
            SCAN abc
            SCAN 0 COUNT 0
            COPY {t}w {t}w
            COPY {t}w {t}v DB 5
            EXEC
        """)

    def test_what_leaves_and_comes_back(self):
        """Keys of the class that one-sided CAS works on, and with an expiry, under other names."""
        for redis, proxy in self.pairs():
            for value in (b"v", b"v" * 5000, b"v" * 400_000):
                self.same(redis, proxy, "SET", "{t}a", value)
                version = decode(proxy.call("GETV", "{t}a"))[1]
                proxy.call("CAS", "{t}a", version, value)
                self.same(redis, proxy, "MULTI")
                self.same(redis, proxy, "RENAME", "{t}a", "{t}b")
                self.same(redis, proxy, "COPY", "{t}b", "{t}a")
                self.same(redis, proxy, "BITOP", "NOT", "{t}c", "{t}a")
                self.same(redis, proxy, "MGET", "{t}a", "{t}b", "{t}c")
                self.same(redis, proxy, "MSETNX", "{t}d", value, "{t}e", value)
                self.same(redis, proxy, "EXEC")
                self.same(redis, proxy, "MULTI")
                self.same(redis, proxy, "FLUSHALL")
                self.same(redis, proxy, "EXEC")
                self.same(redis, proxy, "MGET", "{t}a", "{t}b", "{t}c", "{t}d", "{t}e")

    def test_watched_keys_that_change(self):
        changes = [["SET", "{t}w", "2"], ["DEL", "{t}w"], ["EXPIRE", "{t}w", FAR], ["GETDEL", "{t}w"],
                   ["SETEX", "{t}w", FAR, "1"], ["MSET", "{t}x", "1", "{t}w", "1"], ["FLUSHALL"],
                   ["PEXPIRE", "{t}w", "-1"], ["SET", "{t}w", "1", "XX"]]
        harmless = [["SET", "{t}other", "2"], ["GET", "{t}w"], ["TTL", "{t}w"], ["SETNX", "{t}w", "9"],
                    ["DEL", "{t}missing"], ["EXISTS", "{t}w"], ["PERSIST", "{t}w"]]
        for redis, proxy in self.pairs():
            with Connection(self.redis.port) as other_redis, Connection(self.stack.port) as other_proxy:
                for change in changes + harmless:
                    for own in (False, True):
                        for end in (None, "UNWATCH", "DISCARD", "RESET"):
                            with self.subTest(change=change, own=own, end=end):
                                self.same(redis, proxy, "SET", "{t}w", "1")
                                self.same(redis, proxy, "WATCH", "{t}w", "{t}missing")
                                changed = (redis, proxy) if own else (other_redis, other_proxy)
                                self.same(*changed, *change)
                                if end == "DISCARD":
                                    self.same(redis, proxy, "MULTI")
                                if end == "RESET":
                                    for one in (redis, proxy):
                                        one.call("RESET")
                                elif end:
                                    self.same(redis, proxy, end)
                                self.same(redis, proxy, "MULTI")
                                self.same(redis, proxy, "SET", "{t}w", "3")
                                self.same(redis, proxy, "GET", "{t}w")
                                self.same(redis, proxy, "EXEC")
                                self.same(redis, proxy, "GET", "{t}w")
                                self.same(redis, proxy, "MULTI")
                                self.same(redis, proxy, "EXEC")

    def test_watching_ends_with_exec(self):
        for redis, proxy in self.pairs():
            self.same(redis, proxy, "WATCH", "{t}w")
            self.same(redis, proxy, "SET", "{t}w", "1")
            for _ in range(2):
                self.same(redis, proxy, "MULTI")
                self.same(redis, proxy, "SET", "{t}x", "1")
                self.same(redis, proxy, "EXEC")

    def test_a_missing_key_that_appears(self):
        for redis, proxy in self.pairs():
            with Connection(self.redis.port) as other_redis, Connection(self.stack.port) as other_proxy:
                self.same(redis, proxy, "WATCH", "{t}new")
                self.same(other_redis, other_proxy, "SET", "{t}new", "1")
                self.same(redis, proxy, "MULTI")
                self.same(redis, proxy, "GET", "{t}new")
                self.same(redis, proxy, "EXEC")

    def test_a_missing_key_that_came_and_went(self):
        comings = [["SET", "{t}new", "1"], ["SETEX", "{t}new", FAR, "1"], ["INCR", "{t}new"],
                   ["RENAME", "{t}source", "{t}new"], ["COPY", "{t}source", "{t}new"],
                   ["SET", "{t}new", "1", "PXAT", "1"]]
        goings = [["DEL", "{t}new"], ["GETDEL", "{t}new"], ["RENAME", "{t}new", "{t}elsewhere"],
                  ["PEXPIRE", "{t}new", "-1"], ["FLUSHALL"]]
        harmless = [["DEL", "{t}new"], ["GET", "{t}new"], ["SET", "{t}new", "1", "XX"],
                    ["PEXPIRE", "{t}new", "-1"], ["FLUSHALL"]]
        for redis, proxy in self.pairs():
            with Connection(self.redis.port) as other_redis, Connection(self.stack.port) as other_proxy:
                for lines in [[coming, going] for coming in comings for going in goings] + \
                        [[one] for one in harmless]:
                    with self.subTest(lines=lines):
                        self.same(redis, proxy, "DEL", "{t}new", "{t}source", "{t}elsewhere")
                        if lines[0][0] in ("RENAME", "COPY"):
                            self.same(redis, proxy, "SET", "{t}source", "1")
                        self.same(redis, proxy, "WATCH", "{t}new")
                        for line in lines:
                            self.same(other_redis, other_proxy, *line)
                        self.same(redis, proxy, "MULTI")
                        self.same(redis, proxy, "SET", "{t}x", "1")
                        self.same(redis, proxy, "EXEC")

    def test_an_expired_watched_key(self):
        for redis, proxy in self.pairs():
            alive, milliseconds = False, 30
            while not alive:  # when it was watched
                milliseconds *= 2
                self.same(redis, proxy, "UNWATCH")
                for one in (redis, proxy):
                    one.call("SET", "{t}w", "1", "PX", milliseconds)
                self.same(redis, proxy, "WATCH", "{t}w")
                alive = all(one.call("EXISTS", "{t}w") == b":1\r\n" for one in (redis, proxy))
            for one in (redis, proxy):
                while one.call("EXISTS", "{t}w") != b":0\r\n":
                    pass
            self.same(redis, proxy, "MULTI")
            self.same(redis, proxy, "SET", "{t}x", "1")
            self.same(redis, proxy, "EXEC")

    def test_in_one_pipeline(self):
        lines = [["WATCH", "{t}a"], ["MULTI"], ["SET", "{t}a", "1"], ["GET", "{t}a"], ["EXEC"],
                 ["GET", "{t}a"], ["MULTI"], ["SET", "{t}a", "2"], ["DISCARD"], ["GET", "{t}a"],
                 ["MULTI"], ["GETSET", "{t}a", "3"], ["NOSUCH"], ["EXEC"], ["UNWATCH"], ["EXEC"],
                 ["MULTI"], ["MULTI"], ["PING"], ["EXEC"], ["PING"]] * 20
        stream = b"".join(encode(*line) for line in lines)
        for redis, proxy in self.pairs():
            for one in (redis, proxy):
                one.send(stream)
            for number, line in enumerate(lines):
                expected, got = redis.reply(), proxy.reply()
                self.assertEqual(got, expected, (number, line))

    def test_large_values_and_many_commands(self):
        for redis, proxy in self.pairs():
            for size in (1, 4095, 4096, 70_000, 300_000, 2_000_000):
                value = "v" * size
                self.same(redis, proxy, "MULTI")
                for command in (["SET", "{t}a", value], ["GET", "{t}a"], ["SETEX", "{t}b", FAR, value],
                                ["MGET", "{t}a", "{t}b", "{t}none"], ["GETSET", "{t}a", "x"],
                                ["GETDEL", "{t}b"], ["GET", "{t}a"]):
                    self.same(redis, proxy, *command)
                self.same(redis, proxy, "EXEC")
            for count in (1, 100, 5000):
                stream = encode("MULTI") + b"".join(
                    encode("SET", "{t}%d" % i, i) + encode("GET", "{t}%d" % i)
                    for i in range(count)) + encode("EXEC")
                for one in (redis, proxy):
                    one.send(stream)
                for _ in range(2 * count + 2):
                    self.assertEqual(proxy.reply(), redis.reply())

    def test_random_sequences(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        rng = random.Random(seed)

        def key():
            return "{t}%d" % rng.randrange(6)

        def command():
            return rng.choice([
                lambda: ["SET", key(), rng.randrange(100)],
                lambda: ["SET", key(), rng.randrange(100), rng.choice(["NX", "XX", "GET", "KEEPTTL"])],
                lambda: ["GET", key()],
                lambda: ["MGET", key(), key(), key()],
                lambda: ["MSET", key(), "1", key(), "2"],
                lambda: ["DEL", key(), key()],
                # Hardly ever the same time twice: GT would then tell in which millisecond a server was asked.
                lambda: ["EXPIRE", key(), rng.randrange(FAR, 4 * FAR), rng.choice(["NX", "XX", "GT", "LT"])],
                lambda: ["PERSIST", key()],
                lambda: ["EXISTS", key(), key()],
                lambda: ["GETDEL", key()],
                lambda: ["STRLEN", key()],
                lambda: ["INCR", key()],
                lambda: ["INCRBYFLOAT", key(), "1.5"],
                lambda: ["APPEND", key(), "ab"],
                lambda: ["SETRANGE", key(), rng.randrange(5), "x"],
                lambda: ["GETRANGE", key(), 0, -1],
                lambda: ["GETEX", key(), "EX", FAR],
                lambda: ["SETBIT", key(), rng.randrange(20), 1],
                lambda: ["LCS", key(), key()],
                lambda: [rng.choice(["RENAME", "RENAMENX", "COPY"]), key(), key()],
                lambda: ["MSETNX", key(), "1", key(), "2"],
                lambda: ["BITOP", rng.choice(["AND", "OR", "XOR"]), key(), key(), key()],
                lambda: [rng.choice(["DBSIZE", "DBSIZE", "FLUSHALL"])],
                lambda: ["KEYS", key()],
                lambda: ["WATCH", key(), key()],
                lambda: ["UNWATCH"],
                lambda: ["MULTI"],
                lambda: ["EXEC"],
                lambda: ["EXEC"],
                lambda: ["DISCARD"],
                lambda: ["NOSUCH"] if rng.random() < 0.1 else ["PING"],
            ])()

        for redis, proxy in self.pairs():
            with Connection(self.redis.port) as other_redis, Connection(self.stack.port) as other_proxy:
                for _ in range(1500):
                    if rng.random() < 0.1:
                        self.same(other_redis, other_proxy, "SET", key(), "other")
                    self.same(redis, proxy, *command())


if __name__ == "__main__":
    main()
