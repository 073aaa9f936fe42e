#!/usr/bin/python3
"""MULTI, EXEC and WATCH: what Redis does not have, or has no reply of its own for: hash slots, several workers,
limits, rights and clients that change meanwhile. What Redis has is in proxy_differential_transactions.py.
"""

import threading
import unittest

from programs import Stack
from resp import Connection, decode, encode

BIG = "v" * 100_000


class SeveralWorkers(unittest.TestCase):
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
    unittest.main(verbosity=2)
