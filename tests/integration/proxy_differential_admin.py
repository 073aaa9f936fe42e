#!/usr/bin/python3
"""Users, and what a server tells of its own work: ACL, AUTH, LATENCY, SLOWLOG, MEMORY, CLUSTER, DEBUG; kv_proxy
against redis-server (see differential.py).
"""

from differential import Differential, main
from resp import Connection, decode

# ACL rules describe commands in the order of each program's table.
REORDERED = ("GETUSER", "LIST")


def words_of(reply):
    return sorted(reply.replace(b"\r\n", b" ").split(b" "))


class Admin(Differential):
    def tearDown(self):
        for port in (self.redis.port, self.stack.port):
            with Connection(port) as connection:
                connection.call("ACL", "DELUSER", "u", "v", "w")
                connection.call("ACL", "LOG", "RESET")

    def run_rules(self, text):
        for redis, proxy in self.pairs():
            for line in text.strip().splitlines():
                words = line.strip().split(" ")
                if len(words) == 1 or words[1] not in REORDERED:
                    self.same(redis, proxy, *words)
                else:
                    self.assertEqual(words_of(proxy.call(*words)), words_of(redis.call(*words)), line)

    def test_acl(self):
        self.run_rules(f"""
            ACL WHOAMI
            ACL WHOAMI x
            ACL USERS
            ACL LIST
            ACL GETUSER default
            ACL GETUSER nosuch
            ACL GETUSER
            ACL SETUSER
            ACL SETUSER u
            ACL GETUSER u
            ACL SETUSER u on >secret ~a* %R~b* +get +set
            ACL GETUSER u
            ACL LIST
            ACL SETUSER u (+mget ~c*) (+@read -exists %W~d*)
            ACL GETUSER u
            ACL SETUSER u clearselectors nopass resetkeys allkeys -@all +@string -set +client|id
            ACL GETUSER u
            ACL SETUSER u #{"0123456789abcdef" * 4}
            ACL SETUSER u !{"f" * 64}
            ACL SETUSER u #{"A" * 64}
            ACL SETUSER u <nosuch
            ACL SETUSER u +nosuch
            ACL SETUSER u +@nosuch
            ACL SETUSER u -client|nosuch
            ACL SETUSER u +get|x|y
            ACL SETUSER u %Q~a
            ACL SETUSER u (+get
            ACL SETUSER u (on)
            ACL SETUSER u nosuch
            ACL SETUSER u on off bad
            ACL GETUSER u
            ACL SETUSER v reset
            ACL GETUSER v
            ACL LIST
            ACL USERS
            ACL CAT nosuch
            ACL CAT x y
            ACL GENPASS 0
            ACL GENPASS -1
            ACL GENPASS 4097
            ACL GENPASS x
            ACL GENPASS 5 x
            ACL LOG x
            ACL LOG -1
            ACL LOG 1 2
            ACL LOG RESET
            ACL LOG
            ACL LOAD
            ACL SAVE
            ACL DELUSER
            ACL DELUSER default
            ACL DELUSER u v nosuch
            ACL DELUSER nosuch
            ACL HELP
            ACL HELP x
            ACL FOO
            ACL
        """)
        for redis, proxy in self.pairs():
            for bits, length in ((None, 64), ("5", 2), ("128", 32), ("4096", 1024)):
                words = ["ACL", "GENPASS"] + ([bits] if bits else [])
                self.assertEqual([len(decode(c.call(*words))) for c in (redis, proxy)], [length] * 2)
            # Categories are the same, and whatever is in one here is in it there.
            self.assertEqual(sorted(decode(proxy.call("ACL", "CAT"))), sorted(decode(redis.call("ACL", "CAT"))))
            everything = {name for _, name in self.commands(redis)}
            for category in decode(proxy.call("ACL", "CAT")):
                theirs, ours = (set(decode(c.call("ACL", "CAT", category))) for c in (redis, proxy))
                self.assertEqual(ours & everything - theirs, set(), category)

    @staticmethod
    def commands(connection):
        return {(entry[1], entry[0]) for entry in decode(connection.call("COMMAND"))}

    def test_acl_dryrun(self):
        self.run_rules("""
            ACL SETUSER u on nopass %R~r* %W~w* ~both -@all +@read +set +getset +copy +client|id +acl|whoami
            ACL DRYRUN
            ACL DRYRUN u
            ACL DRYRUN nosuch get a
            ACL DRYRUN u nosuch a
            ACL DRYRUN u get
            ACL DRYRUN u get r1
            ACL DRYRUN u get w1
            ACL DRYRUN u mget r1 both
            ACL DRYRUN u mget r1 w1
            ACL DRYRUN u set w1 v
            ACL DRYRUN u set w1 v GET
            ACL DRYRUN u set both v GET
            ACL DRYRUN u set r1 v
            ACL DRYRUN u getset w1 v
            ACL DRYRUN u copy r1 w1
            ACL DRYRUN u copy w1 r1
            ACL DRYRUN u del both
            ACL DRYRUN u client id
            ACL DRYRUN u client list
            ACL DRYRUN u ping
            ACL DRYRUN u exists w1
            ACL DRYRUN u strlen x
            ACL SETUSER u (+del ~both) (~x +strlen)
            ACL DRYRUN u del both
            ACL DRYRUN u del r1
            ACL DRYRUN u strlen x
            ACL SETUSER u off
            ACL DRYRUN u get r1
            ACL DELUSER u
        """)

    def test_auth(self):
        for redis, proxy in self.pairs():
            self.same(redis, proxy, "ACL", "SETUSER", "u", "on", ">one", "~k*", "+@all", "-@dangerous", "-flushall")
            self.same(redis, proxy, "ACL", "SETUSER", "w", "off", ">one", "+@all")
            for words in (["AUTH", "u", "two"], ["AUTH", "w", "one"], ["AUTH", "nosuch", "one"], ["ACL", "WHOAMI"],
                          ["AUTH", "u", "one"], ["ACL", "WHOAMI"], ["SET", "k", "v"], ["SET", "a", "v"], ["GET", "a"],
                          ["MGET", "k", "a"], ["KEYS", "*"], ["ACL", "LIST"], ["CLIENT", "LIST"], ["CONFIG", "GET", "save"],
                          ["NOSUCH"], ["MULTI"], ["SET", "k", "w"], ["SET", "a", "w"], ["EXEC"], ["GET", "k"],
                          ["HELLO", "3", "AUTH", "u", "two"], ["ACL", "WHOAMI"], ["AUTH", "default", "any"],
                          ["ACL", "WHOAMI"], ["AUTH", "u", "one"], ["RESET"], ["ACL", "WHOAMI"]):
                self.same(redis, proxy, *words)
            logs = []
            for connection in (redis, proxy):
                entries = decode(connection.call("ACL", "LOG"))
                fields = [dict(zip(entry[::2], entry[1::2])) for entry in entries]
                logs.append([(list(one), one[b"count"], one[b"reason"], one[b"context"], one[b"object"],
                              one[b"username"]) for one in fields])
            self.assertGreater(len(logs[0]), 5)
            self.assertEqual(logs[1], logs[0])
            self.same(redis, proxy, "ACL", "LOG", "RESET")

    def test_requirepass(self):
        for redis, proxy in self.pairs():
            self.same(redis, proxy, "CONFIG", "SET", "requirepass", "secret")
            ports = (self.redis.port, self.stack.port)
            with Connection(ports[0]) as stranger, Connection(ports[1]) as ours:
                for words in (["GET", "a"], ["NOSUCH"], ["HELLO"], ["HELLO", "3"], ["PING"], ["AUTH", "wrong"],
                              ["AUTH", "default", "wrong"], ["HELLO", "2", "AUTH", "default", "wrong"], ["RESET"],
                              ["AUTH", "secret"], ["GET", "a"], ["RESET"], ["GET", "a"],
                              ["AUTH", "default", "secret"], ["GET", "a"]):
                    self.same(stranger, ours, *words)
            self.same(redis, proxy, "CONFIG", "SET", "requirepass", "")

    def test_latency(self):
        self.run_lines("""
            LATENCY
            LATENCY FOO
            LATENCY LATEST
            LATENCY LATEST x
            LATENCY HISTORY
            LATENCY HISTORY nosuch
            LATENCY GRAPH
            LATENCY GRAPH nosuch
            LATENCY DOCTOR
            LATENCY DOCTOR x
            LATENCY RESET
            LATENCY RESET nosuch command
            LATENCY HISTOGRAM nosuch
            LATENCY HELP
            SLOWLOG
            SLOWLOG FOO
            SLOWLOG GET x
            SLOWLOG GET -2
            SLOWLOG GET 1 2
            SLOWLOG RESET
            SLOWLOG RESET x
            SLOWLOG LEN x
            SLOWLOG HELP
            DEBUG
            DEBUG SLEEP 0
            DEBUG OBJECT a
        """)
        for redis, proxy in self.pairs():
            for connection in (redis, proxy):
                for words in (["CONFIG", "SET", "slowlog-log-slower-than", "0"], ["SLOWLOG", "RESET"], ["SET", "a", "x" * 200],
                              ["MGET", *["key"] * 40], ["CONFIG", "SET", "slowlog-log-slower-than", "10000"]):
                    connection.call(*words)
            logs = [decode(c.call("SLOWLOG", "GET", "-1")) for c in (redis, proxy)]
            shown = [[(len(entry), entry[3], entry[5]) for entry in log if entry[3][0] in (b"SET", b"MGET")] for log in logs]
            self.assertEqual(len(shown[0]), 2)
            self.assertEqual(shown[1], shown[0])
            self.same(redis, proxy, "SLOWLOG", "RESET")

    def test_memory(self):
        self.run_lines("""
            MEMORY
            MEMORY FOO
            MEMORY USAGE
            MEMORY USAGE nosuch
            MEMORY USAGE nosuch SAMPLES
            MEMORY USAGE nosuch SAMPLES -1
            MEMORY USAGE nosuch SAMPLES x
            MEMORY USAGE nosuch SAMPLES 5
            MEMORY USAGE nosuch FOO 5
            MEMORY PURGE
            MEMORY PURGE x
            MEMORY STATS x
            MEMORY DOCTOR x
            MEMORY MALLOC-STATS x
            MEMORY HELP
        """)
        for redis, proxy in self.pairs():
            for size in (1, 100, 10_000):
                self.same(redis, proxy, "SET", "a", "x" * size)
                usage = [decode(c.call("MEMORY", "USAGE", "a", "SAMPLES", "0")) for c in (redis, proxy)]
                self.assertTrue(all(size < one < 2 * size + 200 for one in usage), usage)
            stats = decode(proxy.call("MEMORY", "STATS"))
            known = decode(redis.call("MEMORY", "STATS"))
            self.assertEqual(set(stats[::2]) - set(known[::2]), set())
            for words in (["MEMORY", "DOCTOR"], ["MEMORY", "MALLOC-STATS"]):
                self.assertIn(proxy.call(*words)[:1], b"$=")

    def test_cluster(self):
        self.run_lines("""
            CLUSTER
            CLUSTER INFO
            CLUSTER MYID
            CLUSTER NODES
            CLUSTER SLOTS
            CLUSTER SHARDS
            CLUSTER HELP
            CLUSTER COUNTKEYSINSLOT 0
            CLUSTER GETKEYSINSLOT 0 1
            CLUSTER COUNTKEYSINSLOT
            CLUSTER KEYSLOT
        """)
        for _, proxy in self.pairs():
            for key, slot in (("123456789", 12739), ("{user}x", 5474), ("x{user}", 5474), ("foo{}{bar}", 8363),
                              ("foo{{bar}}", 4015), ("", 0)):
                self.assertEqual(proxy.call("CLUSTER", "KEYSLOT", key), b":%d\r\n" % slot)


if __name__ == "__main__":
    main()
