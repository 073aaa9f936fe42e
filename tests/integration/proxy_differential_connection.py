#!/usr/bin/python3
"""The stream, the connection and what a client says of itself: kv_proxy against redis-server (see
differential.py).
"""

import contextlib
import re
import time

from differential import FAR, Differential, main, show
from programs import PATIENCE
from resp import Connection, decode, encode


class ConnectionAndClient(Differential):
    def test_connection(self):
        self.run_lines("""
            PING
            PING hello
            PING a b
            ECHO hello
            ECHO
            ECHO a b
            SELECT 0
            SELECT 1
            SELECT -1
            SELECT abc
            SELECT 99999999999
            SELECT
            AUTH
            AUTH x
            AUTH a b
            AUTH default b
            AUTH a b c
            HELLO 4
            HELLO 1
            HELLO -1
            HELLO abc
            HELLO 2 AUTH
            HELLO 2 AUTH a
            HELLO 2 AUTH a b
            HELLO 2 SETNAME
            HELLO 2 FOO
            HELLO 3 AUTH default x FOO
            READONLY
            READWRITE
            ASKING
            READONLY x
            RESET
            RESET x
        """)

    def test_hello(self):
        for redis, proxy in self.pairs():
            for words in (["HELLO"], ["HELLO", "3"], ["HELLO", "2"], ["HELLO", "3", "SETNAME", "me"],
                          ["HELLO", "3", "AUTH", "default", "any", "SETNAME", "you"], ["HELLO"]):
                expected, got = redis.call(*words), proxy.call(*words)
                without_id = [re.sub(rb"(\$2\r\nid\r\n):\d+", rb"\1", r) for r in (expected, got)]
                self.assertEqual(*without_id, words)
                self.same(redis, proxy, "CLIENT", "GETNAME")
                self.same(redis, proxy, "GET", "nosuch")

    def test_quit_and_what_follows(self):
        for redis, proxy in self.pairs():
            for connection in (redis, proxy):
                connection.send(encode("SET", "a", 1) + encode("GET", "a") + encode("QUIT")
                                + encode("GET", "a"))
            self.assertEqual(proxy.rest(), redis.rest())

    def test_client(self):
        self.run_lines("""
            CLIENT
            CLIENT FOO
            client foo
            CLIENT GETNAME
            CLIENT GETNAME x
            CLIENT SETNAME
            CLIENT SETNAME foo
            CLIENT GETNAME
            CLIENT ID x
            CLIENT INFO x
            CLIENT LIST FOO
            CLIENT LIST TYPE
            CLIENT LIST TYPE foo
            CLIENT LIST TYPE master
            CLIENT LIST TYPE replica
            CLIENT LIST TYPE pubsub
            CLIENT LIST ID
            CLIENT LIST ID abc
            CLIENT LIST ID 999999
            CLIENT KILL
            CLIENT KILL 1.2.3.4:5
            CLIENT KILL ID abc
            CLIENT KILL ID 0
            CLIENT KILL ID -1
            CLIENT KILL ID 999999
            CLIENT KILL TYPE foo
            CLIENT KILL TYPE master
            CLIENT KILL USER foo
            CLIENT KILL ADDR 1.2.3.4:5
            CLIENT KILL LADDR 1.2.3.4:5
            CLIENT KILL ID 999999 SKIPME
            CLIENT KILL ID 999999 SKIPME maybe
            CLIENT KILL ID 999999 SKIPME no
            CLIENT KILL FOO bar
            CLIENT REPLY
            CLIENT REPLY foo
            CLIENT REPLY ON
            CLIENT NO-EVICT on
            CLIENT NO-EVICT off
            CLIENT NO-EVICT maybe
            CLIENT NO-EVICT
            CLIENT PAUSE
            CLIENT PAUSE x
            CLIENT PAUSE -1
            CLIENT PAUSE 0
            CLIENT PAUSE 0 WRITE
            CLIENT PAUSE 0 ALL
            CLIENT PAUSE 0 FOO
            CLIENT PAUSE 99999999999999999999
            CLIENT UNPAUSE
            CLIENT UNPAUSE x
            CLIENT GETREDIR
            CLIENT TRACKING
            CLIENT TRACKING FOO
            CLIENT TRACKING OFF
            CLIENT TRACKINGINFO
            CLIENT CACHING YES
            CLIENT CACHING FOO
            CLIENT UNBLOCK 999999999
            CLIENT UNBLOCK 999999999 ERROR
            CLIENT UNBLOCK 999999999 FOO
            CLIENT UNBLOCK x
        """)
        with Connection(self.stack.port) as proxy:
            self.assertTrue(proxy.call("CLIENT", "TRACKING", "ON").startswith(b"-ERR CLIENT TRACKING is not supported: "))
            self.assertIn(b"CLIENT <subcommand>", proxy.call("CLIENT", "HELP"))
        for redis, proxy in self.pairs():
            for name in (b"a b", b"a\nb", b"\xff", b"", b"ok"):
                self.same(redis, proxy, "CLIENT", "SETNAME", name)
                self.same(redis, proxy, "HELLO", "3" if name == b"a b" else "9", "SETNAME", name)
                self.same(redis, proxy, "CLIENT", "GETNAME")

    def described(self, connection, which):
        """What CLIENT LIST says of a client, by name of the field, in order."""
        number = decode(which.call("CLIENT", "ID")) if isinstance(which, Connection) else which
        line = decode(connection.call("CLIENT", "LIST", "ID", str(number))).decode().rstrip("\n")
        return dict(field.split("=", 1) for field in line.split(" "))

    def test_fields_of_client_list(self):
        for redis, proxy in self.pairs():
            theirs, ours = (list(self.described(one, one)) for one in (redis, proxy))
            told = decode(proxy.call("CLIENT", "INFO")).decode().rstrip("\n")
            self.assertEqual([field.split("=")[0] for field in told.split(" ")], ours)
            # Besides those of newer versions, the same ones in the same order.
            self.assertEqual([name for name in ours if name not in ("watch", "lib-name", "lib-ver")],
                             theirs)

    def test_flags_of_client_list(self):
        def states(connection):
            yield ()
            yield ("MULTI",)
            yield ("GET", "k")
            yield ("DISCARD",)
            yield ("WATCH", "k")
            yield ("CLIENT", "NO-EVICT", "ON")
            yield ("MULTI",)
            yield ("DISCARD",)
            yield ("CLIENT", "SETNAME", "me")
            yield ("HELLO", "3")
            yield ("CLIENT", "REPLY", "ON")
            yield ("MONITOR",)

        for redis, proxy in self.pairs():
            seen = []
            for asks in (redis, proxy):
                told = []
                with Connection(asks.socket.getpeername()[1]) as subject:
                    number = decode(subject.call("CLIENT", "ID"))
                    for words in states(subject):
                        if words:
                            subject.call(*words)
                        fields = self.described(asks, number)
                        told.append([words] + [fields[name] for name in (
                            "name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "redir",
                            "resp", "events")])
                seen.append(told)
            for theirs, ours in zip(*seen):
                self.assertEqual(theirs, ours)

    def test_a_watched_key_changes(self):
        """Flag d, from the change on until nothing is watched: told of every client, and to itself."""
        script = [line.split() for line in """
            other SET there 1
            other SET {there}2 1
            own WATCH nosuch there
            other GET there
            other DEL nosuch
            other EXPIRE nosuch 100
            other SET there 2 NX
            own GET there
            other SET nosuch 1
            other DEL nosuch
            own UNWATCH
            own WATCH there
            other SET there 1
            own MULTI
            own PING
            other GET there
            own EXEC
            own WATCH {there}2
            own WATCH there
            other EXPIRE there 100
            own WATCH {there}2
            own MULTI
            own DISCARD
            own WATCH {there}2
            own APPEND {there}2 x
            own RESET
            own WATCH {there}2
            other RENAME {there}2 {there}3
            own MULTI
            own NOSUCH
            own EXEC
            own WATCH {there}3 {there}4
            other COPY {there}3 {there}4
            other FLUSHALL
            own UNWATCH
            own WATCH {there}3
            other FLUSHALL
            own UNWATCH
            other SET there 1
            own WATCH there
            other FLUSHDB
            other SET there 1
            own MULTI
            own DISCARD
            own WATCH there
            other MULTI
            other GETDEL there
            other EXEC
            own MULTI
            own SET there 2
            own EXEC
            other GET there
            own WATCH there
            own SETRANGE there 0 ""
            own MULTI
            own CLIENT INFO
            own DISCARD
            """.strip().splitlines()]

        def play(asks):
            """Replies, and the flags behind each command."""
            port = asks.socket.getpeername()[1]
            with Connection(port) as own, Connection(port) as other:
                number = decode(own.call("CLIENT", "ID"))
                for who, *words in script:
                    reply = (own if who == "own" else other).call(*words)
                    told = [self.described(asks, number)["flags"]]
                    if "x" not in told[0]:  # else it would be queued
                        line = decode(own.call("CLIENT", "INFO")).decode()
                        told.append(dict(field.split("=", 1) for field in line.split())["flags"])
                    yield [who, *words], reply, told

        for redis, proxy in self.pairs():
            for expected, got in zip(play(redis), play(proxy)):
                self.assertEqual(got, expected)

    def test_what_a_transaction_tells_of_its_client(self):
        def told(line):
            return [field for field in line.split(" ") if field.startswith(("name=", "flags=", "multi=", "cmd=", "user="))]

        for redis, proxy in self.pairs():
            seen = []
            for asks in (redis, proxy):
                with Connection(asks.socket.getpeername()[1]) as other:
                    for words in (["CLIENT", "SETNAME", "other"], ["WATCH", "k"]):
                        other.call(*words)
                    for words in (["CLIENT", "SETNAME", "asks"], ["SET", "k", 1], ["WATCH", "nosuch"], ["MULTI"],
                                  ["CLIENT", "INFO"], ["CLIENT", "LIST"], ["PING"]):
                        asks.call(*words)
                    own, everyone, _ = decode(asks.call("EXEC"))
                    lines = [told(line) for line in everyone.decode().splitlines()]
                    seen.append([told(own.decode()), sorted(line for line in lines if line[0] in ("name=asks", "name=other"))])
            self.assertEqual(*seen)

    def test_a_watched_key_expires(self):
        for redis, proxy in self.pairs():
            for asks in (redis, proxy):
                with Connection(asks.socket.getpeername()[1]) as own:
                    asks.call("SET", "k", 1, "PX", 300)
                    number = decode(own.call("CLIENT", "ID"))
                    own.call("WATCH", "k")
                    begin = time.monotonic()
                    while self.described(asks, number)["flags"] != "d":
                        self.assertLess(time.monotonic() - begin, PATIENCE)
                        time.sleep(0.01)
                    own.call("MULTI")
                    own.call("SET", "k", 2)
                    self.assertEqual(self.described(asks, number)["flags"], "xd")
                    self.assertIsNone(decode(own.call("EXEC")))
                    self.assertEqual(self.described(asks, number)["flags"], "N")

    def test_many_clients_watch(self):
        """On all threads, some of them the same keys: those are marked whose keys have changed, and no others."""
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Connection(self.stack.port)) for _ in range(24)]
            asks = stack.enter_context(Connection(self.stack.port))
            asks.call("FLUSHALL")
            for number, client in enumerate(clients):
                client.call("CLIENT", "SETNAME", f"c{number}")
                client.call("WATCH", f"k{number % 7}", f"own{number}")

            def marked():
                lines = decode(asks.call("CLIENT", "LIST")).decode().splitlines()
                fields = [dict(field.split("=", 1) for field in line.split(" ")) for line in lines]
                return {one["name"] for one in fields if "d" in one["flags"]}

            self.assertEqual(marked(), set())
            # In one pipeline with the question.
            asks.send(encode("MSET", "k3", 1, "own5", 1) + encode("CLIENT", "LIST"))
            self.assertEqual(asks.reply(), b"+OK\r\n")
            told = decode(asks.reply()).decode()
            expected = {f"c{number}" for number in range(24) if number % 7 == 3 or number == 5}
            self.assertEqual({name for name in expected if f" name={name} " in told}, expected)
            self.assertEqual(marked(), expected)
            for number in (3, 5):
                clients[number].call("UNWATCH")
            self.assertEqual(marked(), expected - {"c3", "c5"})

    def test_reply_off_and_skip(self):
        script = (encode("CLIENT", "REPLY", "SKIP") + encode("PING", "1") + encode("PING", "2")
                  + encode("CLIENT", "REPLY", "OFF") + encode("PING", "3") + encode("FOO")
                  + encode("CLIENT", "REPLY", "SKIP") + encode("CLIENT", "REPLY", "ON")
                  + encode("PING", "4") + encode("CLIENT", "REPLY", "SKIP") + encode("RESET")
                  + encode("PING", "5") + encode("QUIT"))
        for redis, proxy in self.pairs():
            for connection in (redis, proxy):
                connection.send(script)
            self.assertEqual(proxy.rest(), redis.rest())

    def test_newer(self):
        """What client libraries of today send on connect, in one batch; newer than Redis 7.0."""
        with Connection(self.stack.port) as proxy:
            proxy.send(encode("HELLO", 3) + encode("CLIENT", "SETINFO", "LIB-NAME", "test")
                       + encode("CLIENT", "SETINFO", "LIB-VER", "1.0")
                       + encode("CLIENT", "MAINT_NOTIFICATIONS", "ON") + encode("INFO")
                       + encode("CLIENT", "SETNAME", "x") + encode("SELECT", 0) + encode("READONLY"))
            replies = [proxy.reply() for _ in range(8)]
        self.assertTrue(replies[0].startswith(b"%7\r\n"))
        self.assertEqual(replies[1:3], [b"+OK\r\n"] * 2)
        self.assertTrue(replies[3].startswith(b"-ERR unknown subcommand"))
        self.assertIn(b"redis_version:7.0.15\r\n", replies[4])
        self.assertEqual(replies[5:7], [b"+OK\r\n"] * 2)
        with Connection(self.stack.port) as proxy:
            self.assertEqual(proxy.call("CLIENT", "NO-TOUCH", "ON"), b"+OK\r\n")
            self.assertEqual(proxy.call("CLIENT", "SETINFO", "FOO", "x"),
                             b"-ERR Unrecognized option 'FOO'\r\n")
            self.assertTrue(proxy.call("CLIENT", "SETINFO", "LIB-NAME", "a b").startswith(
                b"-ERR lib-name cannot contain spaces"))

    def test_inline_and_malformed(self):
        inputs = [b"PING\r\n", b"PING\n", b"  PING  \r\n", b"\r\n\r\nPING\r\n", b"SET a 'b c'\r\nGET a\r\n",
                  b'SET a "\\x41\\n"\r\nGET a\r\n', b"SET a 'b\r\n", b'GET "a"b\r\n', b"*1\r\n$4\r\nPING\r\n",
                  b"*0\r\nPING\r\n", b"*-1\r\nPING\r\n", b"*x\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n",
                  b"*1\r\nPING\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$99999999999999999999\r\n",
                  b"*99999999999\r\n", b"*2147483648\r\n", b"*1\r\n$04\r\nPING\r\n", b"*+1\r\n",
                  b"* 1\r\n", b"*1\r\n:4\r\nPING\r\n", b"\0\r\n", b"*3\r\n$3\r\nSET\r\n$-5\r\n",
                  b"GET a\r\n*1\r\n$y\r\n", b"A" * 70000]
        for data in inputs:
            replies = []
            for port in (self.redis.port, self.stack.port):
                with Connection(port) as connection:
                    connection.send(data)
                    connection.socket.shutdown(1)
                    replies.append(connection.rest())
            self.assertEqual(replies[1], replies[0], show(data))

    def test_one_byte_at_a_time(self):
        script = (encode("SET", "a", "hello") + b"GET a\r\n" + encode("SET", "a", "x" * 5000, "EX", FAR)
                  + encode("STRLEN", "a") + encode("QUIT"))
        for redis, proxy in self.pairs():
            redis.send(script)
            for i in range(len(script)):
                proxy.send(script[i:i + 1])
            self.assertEqual(proxy.rest(), redis.rest())


if __name__ == "__main__":
    main()
