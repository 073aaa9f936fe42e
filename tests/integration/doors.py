#!/usr/bin/python3
"""Who gets in, and how far: TLS, protected mode, limits, the Unix socket's permissions, what logs show."""

import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import unittest

from authority import Authority
from programs import BIN, PATIENCE, Program, Stack, free_port
from resp import Closed, Connection, decode, encode


class TlsConnection(Connection):
    def __init__(self, port, authority=None, client=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        if authority:
            context.load_verify_locations(authority.certificate)
        else:
            context.verify_mode = ssl.CERT_NONE
        if client:
            context.load_cert_chain(*client)
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        try:
            self.socket = context.wrap_socket(plain)
        except Exception:
            plain.close()
            raise
        self.buffer = b""

    def subject(self):
        return dict(pair[0] for pair in self.socket.getpeercert()["subject"])["commonName"]


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.authority = Authority(cls.folder, "ours")
        cls.server = cls.authority.sign("server")
        cls.client = cls.authority.sign("client")
        cls.stranger = Authority(cls.folder, "theirs").sign("stranger")

    def start(self, *options, server=None):
        self.tls_port = free_port()
        certificate, key = server or self.server
        stack = self.enterContext(Stack(workers=1, threads=2, memory=128, proxy_options=[
            "--tls-port", self.tls_port, "--tls-cert-file", certificate, "--tls-key-file", key,
            "--tls-ca-cert-file", self.authority.certificate, *options]))
        return stack

    def connect(self, client=None):
        return self.enterContext(TlsConnection(self.tls_port, self.authority, client))

    def assert_refused(self, client=None):
        """With TLS 1.3 a client learns of it when it reads."""
        with self.assertRaises((ssl.SSLError, ConnectionError, Closed)):
            with TlsConnection(self.tls_port, self.authority, client) as connection:
                connection.call("PING")

    def test_values_of_all_sizes(self):
        stack = self.start("--tls-auth-clients", "no")
        client = self.connect()
        self.assertEqual(client.subject(), "server")
        for size in (0, 1, 4096, 16_384, 70_000, 3_000_000):
            value = os.urandom(size)
            self.assertEqual(client.call("SET", "k", value), b"+OK\r\n")
            self.assertEqual(decode(client.call("GET", "k")), value)
        with Connection(stack.port) as plain:
            self.assertEqual(decode(plain.call("GET", "k")), value)
        count = 2000
        client.send(b"".join(encode("SET", i, i) + encode("GET", i) for i in range(count)))
        for i in range(count):
            self.assertEqual(client.reply(), b"+OK\r\n")
            self.assertEqual(decode(client.reply()), b"%d" % i)

    def test_client_certificates(self):
        self.start()  # they are asked for, unless something else is said
        self.assertEqual(self.connect(self.client).call("PING"), b"+PONG\r\n")
        self.assert_refused()
        self.assert_refused(self.stranger)

    def test_client_certificates_if_they_have_one(self):
        self.start("--tls-auth-clients", "optional")
        self.assertEqual(self.connect(self.client).call("PING"), b"+PONG\r\n")
        self.assertEqual(self.connect().call("PING"), b"+PONG\r\n")
        self.assert_refused(self.stranger)

    def test_old_protocols_are_refused_when_told_so(self):
        self.start("--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", self.tls_port), PATIENCE) as plain:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain)
        self.assertEqual(self.connect().call("PING"), b"+PONG\r\n")

    def test_who_speaks_no_tls_is_closed_and_others_go_on(self):
        self.start("--tls-auth-clients", "no")
        client = self.connect()
        for noise in (b"PING\r\n", os.urandom(1000), b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.tls_port), PATIENCE) as plain:
                plain.sendall(noise)
                while True:
                    try:
                        if not plain.recv(4096):
                            break
                    except ConnectionResetError:
                        break
            self.assertEqual(client.call("PING"), b"+PONG\r\n")
        # One that never says anything holds up nobody.
        with socket.create_connection(("127.0.0.1", self.tls_port), PATIENCE):
            self.assertEqual(self.connect().call("PING"), b"+PONG\r\n")

    def test_new_certificates_without_dropping_clients(self):
        first = self.authority.sign("first")
        stack = self.start("--tls-auth-clients", "no", server=first)
        old = self.connect()
        for to, new in zip(first, self.authority.sign("second", "the new one")):
            shutil.copy(new, to)
        stack.proxy.process.send_signal(signal.SIGHUP)
        self.wait_for_subject("the new one")
        self.assertEqual(old.call("PING"), b"+PONG\r\n")
        # By CONFIG SET, and what is no certificate changes nothing.
        certificate, key = self.authority.sign("third")
        self.assertEqual(old.call("CONFIG", "SET", "tls-cert-file", certificate, "tls-key-file", key),
                         b"+OK\r\n")
        self.assertEqual(self.connect().subject(), "third")
        nonsense = pathlib.Path(self.folder) / "nonsense"
        nonsense.write_text("this is no certificate")
        self.assertTrue(old.call("CONFIG", "SET", "tls-cert-file", nonsense).startswith(b"-ERR"))
        self.assertEqual(self.connect().subject(), "third")
        self.assertEqual(old.call("PING"), b"+PONG\r\n")

    def wait_for_subject(self, name):
        begin = time.monotonic()
        while True:
            with TlsConnection(self.tls_port, self.authority) as client:
                if client.subject() == name:
                    return
            self.assertLess(time.monotonic() - begin, PATIENCE)


class ProtectedMode(unittest.TestCase):
    def setUp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # sends nothing
                self.address = probe.getsockname()[0]
            except OSError:
                self.address = "127.0.0.1"
        if self.address.startswith("127."):
            self.skipTest("this host has no address but the loopback one")
        self.stack = self.enterContext(Stack(workers=1, threads=1, memory=64,
                                             proxy_options=["--address", "0.0.0.0"]))

    def outside(self):
        return self.enterContext(Connection(self.stack.port, host=self.address))

    def test_who_comes_from_elsewhere_without_a_password(self):
        self.assertRegex(self.outside().rest(), rb"^-DENIED Redis is running in protected mode")
        with Connection(self.stack.port) as local:
            self.assertEqual(local.call("PING"), b"+PONG\r\n")
            local.call("CONFIG", "SET", "requirepass", "secret")
            self.assertEqual(self.outside().call("PING"), b"-NOAUTH Authentication required.\r\n")
            local.call("AUTH", "secret")
            local.call("CONFIG", "SET", "requirepass", "")
            self.assertRegex(self.outside().rest(), rb"^-DENIED")
            local.call("CONFIG", "SET", "protected-mode", "no")
            self.assertEqual(self.outside().call("PING"), b"+PONG\r\n")


class Addresses(unittest.TestCase):
    def test_a_name_of_both_families_is_that_of_ipv4(self):
        """As in Redis; the order in which the resolver names them is another."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        hosts = pathlib.Path(folder, "hosts")
        hosts.write_text("127.0.0.1 localhost\n::1 localhost\n")
        in_a_namespace = ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
        if subprocess.run([*in_a_namespace, "true"], capture_output=True).returncode != 0:
            self.skipTest("no namespace can be had here")
        port = free_port()
        proxy = Program([*in_a_namespace, BIN / "kv_proxy", "--port", port, "--server", f"shm:{free_port()}",
                         "--address", "localhost"])
        self.addCleanup(proxy.stop)
        with Connection(port, host="127.0.0.1") as client:
            self.assertEqual(client.call("PING"), b"+PONG\r\n")


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(Stack(workers=1, threads=1, memory=128))

    def setUp(self):
        self.admin = self.enterContext(Connection(self.stack.port))

    def set(self, name, value):
        before = decode(self.admin.call("CONFIG", "GET", name))[1]
        self.assertEqual(self.admin.call("CONFIG", "SET", name, value), b"+OK\r\n")
        self.addCleanup(self.admin.call, "CONFIG", "SET", name, before)

    def stat(self, name):
        text = decode(self.admin.call("INFO", "all")).decode()
        return int(re.search(rf"^{name}:(\d+)\r$", text, re.M).group(1))

    def test_clients(self):
        others = [self.enterContext(Connection(self.stack.port)) for _ in range(3)]
        for other in others:
            other.call("PING")
        self.set("maxclients", 4)
        refused = Connection(self.stack.port)
        self.assertEqual(refused.rest(), b"-ERR max number of clients reached\r\n")
        refused.close()
        self.set("maxclients", 100)
        with Connection(self.stack.port) as one:
            self.assertEqual(one.call("PING"), b"+PONG\r\n")
        self.assertGreaterEqual(self.stat("rejected_connections"), 1)

    def test_idle_time(self):
        idle = self.enterContext(Connection(self.stack.port))
        idle.call("PING")
        self.set("timeout", 1)
        end = time.monotonic() + PATIENCE
        idle.socket.settimeout(0.1)
        while time.monotonic() < end:
            self.admin.call("PING")  # who says something stays
            try:
                self.assertEqual(idle.socket.recv(1), b"")
                break
            except TimeoutError:
                continue
        else:
            self.fail("it was not closed")
        self.assertEqual(self.admin.call("PING"), b"+PONG\r\n")

    def test_output_buffer(self):
        self.admin.call("SET", "k", b"v" * 1_000_000)
        self.set("output-pause-bytes", "64mb")
        self.set("client-output-buffer-limit", "normal 8388608 0 0")
        greedy = self.enterContext(Connection(self.stack.port))
        try:
            greedy.send(encode("GET", "k") * 400)
            received = len(greedy.rest())
        except ConnectionError:
            received = 0
        self.assertLess(received, 400_000_000)
        self.assertEqual(self.admin.call("PING"), b"+PONG\r\n")

    def test_query_buffer(self):
        self.set("client-query-buffer-limit", "1mb")
        client = self.enterContext(Connection(self.stack.port))
        try:
            client.send(b"*2\r\n$3\r\nGET\r\n$4000000\r\n" + b"x" * 4_000_000)
            self.assertNotIn(b"+", client.rest())
        except ConnectionError:
            pass
        self.assertEqual(self.admin.call("PING"), b"+PONG\r\n")


class UnixSocket(unittest.TestCase):
    def test_permissions(self):
        with tempfile.TemporaryDirectory() as folder:
            for mode, wanted in (([], 0o700), (["--unixsocketperm", "770"], 0o770)):
                path = f"{folder}/socket{wanted}"
                with Stack(workers=1, threads=2, memory=64,
                           proxy_options=["--unixsocket", path, *mode]) as stack:
                    self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), wanted)
                    client = socket.socket(socket.AF_UNIX)
                    client.connect(path)
                    client.sendall(encode("PING"))
                    self.assertEqual(client.recv(100), b"+PONG\r\n")
                    client.close()
                    with Connection(stack.port) as other:
                        self.assertEqual(decode(other.call("CONFIG", "GET", "unixsocketperm"))[1],
                                         b"%o" % wanted)
                self.assertFalse(os.path.exists(path))


class RenamedCommands(unittest.TestCase):
    def test_by_the_new_name_only(self):
        options = ["--rename-command", "GET FETCH", "--rename-command", 'FLUSHALL ""',
                   "--rename-command", "CONFIG SECRET"]
        with Stack(workers=1, threads=1, memory=64, proxy_options=options) as stack, \
                Connection(stack.port) as client:
            self.assertEqual(client.call("SET", "a", "1"), b"+OK\r\n")
            self.assertEqual(client.call("fetch", "a"), b"$1\r\n1\r\n")
            for words in (["GET", "a"], ["FLUSHALL"], ["CONFIG", "GET", "save"]):
                self.assertEqual(client.call(*words).split(b",")[0],
                                 b"-ERR unknown command '%s'" % words[0].encode())
            self.assertEqual(client.call("SECRET", "SET", "timeout", "7"), b"+OK\r\n")
            self.assertEqual(client.call("SECRET", "GET", "timeout"), b"*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n")
            self.assertEqual(client.call("FETCH", "a"), b"$1\r\n1\r\n")
            # In MULTI, and where users are given commands, it is the same table.
            client.call("MULTI")
            self.assertTrue(client.call("GET", "a").startswith(b"-ERR unknown command"))
            self.assertTrue(client.call("EXEC").startswith(b"-EXECABORT"))
            client.call("MULTI")
            client.call("FETCH", "a")
            self.assertEqual(client.call("EXEC"), b"*1\r\n$1\r\n1\r\n")

    def test_what_cannot_be_renamed(self):
        for rename, why in (("NOSUCH X", "there is no command"), ("GET SET", "there is a command"), ("GET A B", "is not 'NAME NEW'")):
            with self.assertRaises(RuntimeError) as raised:
                Stack(workers=1, threads=1, memory=64,
                      proxy_options=["--rename-command", rename]).__enter__()
            self.assertIn(why, str(raised.exception))


class Logs(unittest.TestCase):
    def test_what_clients_sent_is_cut_and_escaped(self):
        with Stack(workers=1, threads=1, memory=64,
                   proxy_options=["--log-level", "trace", "--slowlog-log-slower-than", "0"]) as stack:
            evil = b"\x1b[31mred\r\n\x00" + b"x" * 1000
            with Connection(stack.port) as client:
                for words in ([evil], ["GET", evil], ["SET", evil, evil], ["AUTH", evil, evil],
                              ["CLIENT", "SETNAME", evil], ["ACL", "SETUSER", evil],
                              ["CONFIG", "SET", evil, evil], ["HELLO", "3", "AUTH", evil, evil]):
                    client.call(*words)
                slow = client.call("SLOWLOG", "GET", "100")
                self.assertIn(b"... (", slow)
                self.assertLess(max(map(len, slow.split(b"\r\n"))), 300)
            with Connection(stack.port) as client:
                client.send(evil * 100 + b"\r\n*1\r\n$-5\r\n")
                client.rest()
            stack.proxy.stop()
            for line in stack.proxy.lines:
                self.assertNotRegex(re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip("\n")), r"[\x00-\x1f\x7f]")
                self.assertNotIn("\x1b[31mred", line)
                self.assertLess(len(line), 600)


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        sys.exit("openssl is needed: apt-get install openssl")
    unittest.main(verbosity=2)
