#!/usr/bin/python3
"""MULTI, EXEC, DISCARD, WATCH and UNWATCH: kv_proxy against redis-server (see differential.py). Keys share a
tag, so that they have one hash slot, as Redis Cluster would have it too.
"""

import random
import threading
import unittest

from differential import FAR, Differential, main, show
from programs import Stack
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


class OurOwn(unittest.TestCase):
    """What Redis does not have."""

    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(Stack(workers=2, threads=2, memory=256))

    def setUp(self):
        self.client = self.enterContext(Connection(self.stack.port))
        self.client.call("FLUSHALL")

    def queue(self, *commands):
        self.assertEqual(self.client.call("MULTI"), b"+OK\r\n")
        return [self.client.call(*command) for command in commands] + [self.client.call("EXEC")]

    def test_keys_of_several_slots(self):
        error = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
        for commands in ([["SET", "a", "1"], ["SET", "b", "1"]], [["MSET", "a", "1", "b", "1"]],
                         [["GET", "a"], ["DEL", "a", "b"]]):
            self.assertEqual(self.queue(*commands)[-1], error)
        self.client.call("WATCH", "c")
        self.assertEqual(self.queue(["SET", "a", "1"])[-1], error)
        self.assertEqual(self.client.call("EXISTS", "a", "b"), b":0\r\n")
        self.assertEqual(self.queue(["SET", "a", "1"])[-1], b"*1\r\n+OK\r\n")

    def test_several_keys_of_several_slots(self):
        error = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
        self.client.call("SET", "a", "1")
        for command in (["RENAME", "a", "b"], ["RENAMENX", "a", "b"], ["COPY", "a", "b"],
                        ["BITOP", "NOT", "b", "a"], ["BITOP", "OR", "a", "a", "b"]):
            self.assertEqual(self.queue(command)[-1], error, command)
        for command in (["MSETNX", "a", "1", "b", "1"], ["MSETEX", "2", "a", "1", "b", "1"]):
            self.assertEqual(self.queue(["GET", "a"], command)[-1], b"*2\r\n$1\r\n1\r\n" + error)
        self.assertEqual(decode(self.client.call("MGET", "a", "b")), [b"1", None])

    def test_msetex(self):
        replies = self.queue(["MSETEX", "2", "{t}a", "1", "{t}b", "2", "NX", "EX", "1000"],
                             ["MSETEX", "2", "{t}a", "3", "{t}c", "3", "NX"],
                             ["MSETEX", "2", "{t}a", "4", "{t}b", "4", "XX", "KEEPTTL"],
                             ["MGET", "{t}a", "{t}b", "{t}c"])
        self.assertEqual(decode(replies[-1]), [1, 0, 1, [b"4", b"4", None]])
        self.assertGreater(decode(self.client.call("TTL", "{t}b")), 900)

    def test_all_keys_of_several_workers(self):
        """The worker of the transaction's keys is asked in the step, the others after it, in order."""
        names = [f"k{i}" for i in range(200)]
        for i in names:
            self.client.call("SET", i, "1")
        for mine in ("k0", "k1", "k2", "{t}new"):  # of either worker
            replies = decode(self.queue(["DBSIZE"], ["SET", mine, "1"], ["KEYS", "*"], ["FLUSHALL"],
                                        ["KEYS", "*"], ["SET", mine, "2"], ["DBSIZE"], ["KEYS", "*"],
                                        ["SCAN", "0", "COUNT", "1000"], ["RANDOMKEY"])[-1])
            self.assertEqual(replies[0], len(names))
            self.assertEqual(sorted(replies[2]), sorted({*(n.encode() for n in names), mine.encode()}))
            self.assertEqual(replies[3:], [b"+OK", [], b"+OK", 1, [mine.encode()],
                                           [b"0", [mine.encode()]], mine.encode()])
            self.assertEqual(self.client.call("DBSIZE"), b":1\r\n")
            self.client.call("DEL", mine)
            for i in names:
                self.client.call("SET", i, "1")
        # No key is named: nothing is done in a step.
        self.assertEqual(decode(self.queue(["DBSIZE"], ["FLUSHALL"], ["DBSIZE"], ["RANDOMKEY"])[-1]),
                         [len(names), b"+OK", 0, None])

    def test_a_flush_that_does_not_take_place(self):
        self.client.call("MSET", "a", "1", "b", "1", "c", "1", "d", "1")
        self.client.call("WATCH", "a")
        self.client.call("SET", "a", "2")
        self.assertEqual(self.queue(["FLUSHALL"], ["DBSIZE"])[-1], b"*-1\r\n")
        self.assertEqual(self.client.call("DBSIZE"), b":4\r\n")

    def test_many_keys_in_one_step(self):
        names = ["{t}%d" % i for i in range(20_000)]
        for at in range(0, len(names), 1000):
            self.client.call("MSET", *sum(([name, "v"] for name in names[at:at + 1000]), []))
        replies = decode(self.queue(["GET", "{t}0"], ["KEYS", "*"], ["FLUSHALL"], ["KEYS", "*"])[-1])
        self.assertEqual(sorted(replies[1]), sorted(name.encode() for name in names))
        self.assertEqual(replies[2:], [b"+OK", []])

    def test_rights_that_change_before_exec(self):
        with Connection(self.stack.port) as admin:
            admin.call("ACL", "SETUSER", "u", "reset", "on", ">p", "~*", "+@all")
            self.client.call("AUTH", "u", "p")
            self.client.call("MULTI")
            self.client.call("SET", "a", "1")
            self.client.call("GET", "a")
            admin.call("ACL", "SETUSER", "u", "-set")
            reply = self.client.call("EXEC")
        self.assertTrue(reply.startswith(b"*2\r\n-NOPERM ACLs rules changed between the moment"), reply)
        self.assertTrue(reply.endswith(b"$-1\r\n"), reply)

    def test_client_list_shows_transactions(self):
        self.client.call("WATCH", "a", "b", "a")
        self.client.call("MULTI")
        self.client.call("SET", "a", "1")
        with Connection(self.stack.port) as other:
            text = decode(other.call("CLIENT", "LIST")).decode()
        self.assertRegex(text, r"flags=x .*multi=1 watch=2 ")
        self.assertRegex(text, r"flags=N .*multi=-1 watch=0 ")

    def test_monitor_shows_the_commands_when_they_run(self):
        with Connection(self.stack.port) as monitor:
            monitor.call("MONITOR")
            self.queue(["SET", "{t}a", "1"], ["PING"])
            seen = [monitor.reply().split(b'] ')[1] for _ in range(4)]
        self.assertEqual([line.strip().lower() for line in seen],
                         [b'"multi"', b'"set" "{t}a" "1"', b'"ping"', b'"exec"'])

    def test_a_transaction_that_is_too_large(self):
        with Connection(self.stack.port) as admin:
            admin.call("CONFIG", "SET", "client-query-buffer-limit", "1mb")
            self.client.call("MULTI")
            self.client.send(b"".join(encode("SET", "a", BIG) for _ in range(20)))
            self.assertEqual(self.client.rest().count(b"QUEUED"), 10)
            admin.call("CONFIG", "SET", "client-query-buffer-limit", "64mb")

    def test_counters_are_never_lost(self):
        """WATCH, GET, MULTI, SET, EXEC of many clients at once."""
        threads, rounds = 4, 100

        def work():
            with Connection(self.stack.port) as client:
                for _ in range(rounds):
                    while True:
                        client.call("WATCH", "{c}n")
                        value = int(decode(client.call("GET", "{c}n")) or 0)
                        client.call("MULTI")
                        client.call("SET", "{c}n", value + 1)
                        client.call("SET", "{c}m", value + 1)
                        if decode(client.call("EXEC")) is not None:
                            break

        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        total = b"%d" % (threads * rounds)
        self.assertEqual(decode(self.client.call("MGET", "{c}n", "{c}m")), [total, total])


class OneWorker(unittest.TestCase):
    def test_scope_worker_takes_all_keys_of_one_worker(self):
        with Stack(workers=1, threads=1, memory=128,
                   proxy_options=["--transaction-scope", "worker"]) as stack, \
                Connection(stack.port) as client:
            self.assertEqual(decode(client.call("CONFIG", "GET", "transaction-scope")),
                             [b"transaction-scope", b"worker"])
            client.call("WATCH", "x")
            client.call("MULTI")
            for i in range(50):
                client.call("SET", f"k{i}", i)
            client.call("DBSIZE")
            self.assertEqual(client.call("EXEC"), b"*51\r\n" + b"+OK\r\n" * 50 + b":50\r\n")
            self.assertEqual(client.call("CONFIG", "SET", "transaction-scope", "slot"), b"+OK\r\n")
            client.call("MULTI")
            client.call("MGET", "k1", "k2")
            self.assertTrue(client.call("EXEC").startswith(b"-CROSSSLOT"))


if __name__ == "__main__":
    main()
