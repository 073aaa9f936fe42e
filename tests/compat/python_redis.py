"""python3-redis (Debian's), also its asyncio half: commands, pipelines, transactions, pools, TLS, users,
SCAN iterators, and a restart of the proxy."""

import asyncio
import contextlib
import os
import threading

import redis
import redis.asyncio
from python_suite import HOST, PORT, connect, in_threads, raises, restart_proxy, run, same
from redis.backoff import ConstantBackoff
from redis.retry import Retry

TLS_PORT, CA = int(os.environ["PROXY_TLS_PORT"]), os.environ["PROXY_CA"]
CERTIFICATE, KEY = os.environ["PROXY_CLIENT_CERT"], os.environ["PROXY_CLIENT_KEY"]
P = "python-redis:"
ALL_BYTES = bytes(range(256))


def basics(r):
    assert r.ping()
    assert r.set(P + "a", "value")
    same(b"value", r.get(P + "a"))
    same(None, r.get(P + "none"))
    same(None, r.set(P + "a", "2", nx=True))
    assert r.set(P + "b", "1", px=1_000_000, nx=True)
    assert 900 < r.ttl(P + "b") <= 1000
    assert r.set(P + "b", "2", keepttl=True) and r.ttl(P + "b") > 0
    assert r.persist(P + "b") and r.ttl(P + "b") == -1
    same(2, r.exists(P + "a", P + "b", P + "none"))
    same(2, r.delete(P + "a", P + "b", P + "none"))


def more_commands(r):
    a, b = P + "{m}a", P + "{m}b"
    assert r.mset({a: "1", b: "2"})
    same([b"1", b"2", None], r.mget(a, b, P + "none"))
    same(11, r.incrby(a, 10))
    same(1.5, r.incrbyfloat(b, -0.5))
    same(b"11", r.getex(a, ex=100))
    assert 0 < r.ttl(a) <= 100
    same(b"11", r.getdel(a))
    same(5, r.append(b, "xy"))
    same(b"5xy", r.getrange(b, 2, -1))
    assert r.copy(b, a) and r.rename(a, b)
    same([0, 255], r.bitfield(P + "bits").set("u8", 0, 255).get("u8", 0).execute())
    same(8, r.bitcount(P + "bits"))
    same(b"string", r.type(b))
    assert r.restore(a, 0, r.dump(b), replace=True)
    same(b"1.5xy", r.get(a))
    same(True, r.msetnx({P + "{m}c": 1, P + "{m}d": 2}))
    same(5, r.unlink(a, b, P + "{m}c", P + "{m}d", P + "bits"))


def values_of_all_sizes(r):
    for size in (0, 1, 4095, 4096, 65536, 1 << 20, 5_000_003):
        value = bytes(i * 7 & 255 for i in range(256)) * (size // 256 + 1)
        value = value[:size]
        r.set(P + "v", value)
        assert r.get(P + "v") == value, size


def binary_keys(r):
    keys = [ALL_BYTES, b"\r\n", b"\0", b"k" * 65_536]
    for key in keys:
        assert r.set(key, key[::-1])
        same(key[::-1], r.get(key))
    assert set(keys) <= set(r.keys())
    same(len(keys), r.delete(*keys))
    with raises(redis.ResponseError, "key is too long: 65536 bytes at most"):
        r.get(b"k" * 65_537)


def decoded_text(_):
    with connect(decode_responses=True) as r:
        r.set(P + "text", "Grüße, 世界")
        same("Grüße, 世界", r.get(P + "text"))


def a_pipeline_in_order(r):
    with r.pipeline(transaction=False) as pipe:
        for i in range(1000):
            pipe.set(P + "p%d" % i, i).get(P + "p%d" % i)
        replies = pipe.execute()
    same([x for i in range(1000) for x in (True, b"%d" % i)], replies)


def a_pipeline_with_an_error(r):
    with r.pipeline(transaction=False) as pipe:
        replies = pipe.set(P + "e", "text").incr(P + "e").get(P + "e").execute(raise_on_error=False)
    same([True, b"text"], [replies[0], replies[2]])
    assert "not an integer" in str(replies[1]), replies


def a_transaction(r):
    with r.pipeline() as pipe:
        same([True, 6, b"6"], pipe.set(P + "t", 5).incr(P + "t").get(P + "t").execute())


def a_transaction_over_slots(r):
    # The pipelines of redis-py are transactions unless they are told otherwise.
    with r.pipeline() as pipe, raises(redis.ResponseError, "hash to the same slot"):
        pipe.set(P + "t1", 5).set(P + "t2", 6).execute()
    same([None, None], r.mget(P + "t1", P + "t2"))


def a_transaction_with_an_error(r):
    with r.pipeline() as pipe:
        replies = pipe.set(P + "t", "x").incr(P + "t").get(P + "t").execute(raise_on_error=False)
    same([True, b"x"], [replies[0], replies[2]])
    assert isinstance(replies[1], redis.ResponseError), replies


def a_refused_transaction(r):
    r.set(P + "t", "before")
    with r.pipeline() as pipe, raises(redis.ResponseError, "unknown command"):
        pipe.set(P + "t", "after").execute_command("NOSUCH").execute()
    same(b"before", r.get(P + "t"))


def watch_won(r):
    r.set(P + "w", 1)
    with r.pipeline() as pipe:
        pipe.watch(P + "w")
        value = int(pipe.get(P + "w"))
        pipe.multi()
        same([True], pipe.set(P + "w", value + 1).execute())
    same(b"2", r.get(P + "w"))


def watch_lost(r):
    r.set(P + "w", 1)
    with r.pipeline() as pipe, connect() as other:
        pipe.watch(P + "w")
        other.set(P + "w", 10)
        pipe.multi()
        pipe.set(P + "w", 2)
        with raises(redis.WatchError):
            pipe.execute()
    same(b"10", r.get(P + "w"))


def unwatch(r):
    r.set(P + "w", 1)
    with r.pipeline() as pipe, connect() as other:
        pipe.watch(P + "w")
        other.set(P + "w", 10)
        pipe.unwatch()
        pipe.multi()
        same([True], pipe.set(P + "w", 2).execute())
    same(b"2", r.get(P + "w"))


def scan_iterators(r):
    names = {b"%sscan:%d" % (P.encode(), i) for i in range(500)}
    with r.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.set(name, "")
        pipe.execute()
    same(sorted(names), sorted(r.scan_iter(match=P + "scan:*", count=37)))
    same(sorted(names), sorted(r.scan_iter(match=P + "scan:*", _type="string")))
    same([], list(r.scan_iter(match=P + "scan:*", _type="list")))
    same(500, r.delete(*names))


def a_blocking_pool(_):
    pool = redis.BlockingConnectionPool(host=HOST, port=PORT, max_connections=3, timeout=60)
    shared = redis.Redis(connection_pool=pool)
    shared.set(P + "pool", 0)
    in_threads(12, lambda _: [shared.incr(P + "pool") for _ in range(50)])
    same(b"600", shared.get(P + "pool"))
    names = {client["name"] for client in shared.client_list()}
    same({""}, names)
    pool.disconnect()


def addresses(_):
    for url in (f"redis://{HOST}:{PORT}/0", f"unix://{os.environ['PROXY_UNIX']}?db=0",
                f"rediss://{HOST}:{TLS_PORT}?ssl_ca_certs={CA}"):
        with redis.Redis.from_url(url) as r:
            assert r.set(P + "url", url)
            same(url.encode(), r.get(P + "url"))
    with redis.Redis(host=HOST, port=PORT, db=1) as r, raises(redis.ResponseError, "out of range"):
        r.ping()


def tls(_):
    options = {"host": HOST, "port": TLS_PORT, "ssl": True}
    with redis.Redis(**options, ssl_ca_certs=CA, ssl_certfile=CERTIFICATE, ssl_keyfile=KEY,
                     ssl_check_hostname=True) as r:
        value = os.urandom(1_000_003)
        assert r.set(P + "tls", value)
        same(value, r.get(P + "tls"))
        with r.pipeline(transaction=False) as pipe:
            for i in range(500):
                pipe.set(P + "tls", i).get(P + "tls")
            same([x for i in range(500) for x in (True, b"%d" % i)], pipe.execute())
    # Who has not got the authority's certificate does not trust the proxy.
    with redis.Redis(**options) as r, raises(redis.ConnectionError, "certificate verify failed"):
        r.ping()


def password(r):
    r.config_set("requirepass", "secret word")
    try:
        with raises(redis.AuthenticationError):
            connect().ping()
        with raises(redis.ResponseError, "WRONGPASS"):
            connect(password="wrong").ping()
        with connect(password="secret word") as known:
            assert known.ping()
            same("default", known.acl_whoami())
    finally:
        r.config_set("requirepass", "")
    assert connect().ping()


def a_user(r):
    assert r.acl_setuser("reader", enabled=True, passwords=["+pass"], keys=[P + "open:*"],
                         categories=["+@read", "+@connection"], commands=["+acl|whoami"])
    try:
        r.set(P + "open:a", "1")
        with connect(username="reader", password="pass") as reader:
            same("reader", reader.acl_whoami())
            same(b"1", reader.get(P + "open:a"))
            with raises(redis.exceptions.NoPermissionError):
                reader.get(P + "shut")
            with raises(redis.exceptions.NoPermissionError):
                reader.set(P + "open:a", "2")
        with raises(redis.ResponseError, "WRONGPASS"):
            connect(username="reader", password="wrong").ping()
        same(["+@all"], r.acl_getuser("default")["categories"])
    finally:
        same(1, r.acl_deluser("reader"))


def errors_leave_the_connection(r):
    identity = r.client_id()
    r.set(P + "text", "text")
    for words, text in ((("NOSUCH", "x"), "unknown command"), (("GET",), "wrong number of arguments"),
                        (("SET", "k", "v", "EX", "x"), "not an integer"),
                        (("INCR", P + "text"), "not an integer"),
                        (("INCRBYFLOAT", P + "text", "1"), "not a valid float"),
                        (("LPUSH", P + "text", "x"), "unknown command"),
                        (("EVALSHA", "0" * 40, 0), "unknown command"),
                        (("SUBSCRIBE", "x"), "not supported")):
        with raises(redis.ResponseError, text):
            r.execute_command(*words)
    same(identity, r.client_id())


def clients(_):
    with connect(client_name="worker", single_connection_client=True) as r:
        identity = r.client_id()
        same("worker", r.client_getname())
        me = r.client_info()
        same([identity, "worker", 0], [me["id"], me["name"], me["db"]])
        assert identity in [int(client["id"]) for client in r.client_list()]
        assert r.client_no_evict("ON") and r.client_reply("ON")
        with connect(single_connection_client=True) as other:
            same(1, r.client_kill_filter(_id=other.client_id()))
            # It finds out when it sends, and connects anew.
            with contextlib.suppress(redis.ConnectionError):
                other.ping()
            assert other.ping()
        assert r.client_pause(1) and r.client_unpause()


def introspection(r):
    assert r.info()["redis_version"].startswith("7.")
    same({"save": ""}, r.config_get("save"))
    table = r.command()
    same(r.command_count(), len(table))
    same((2, 1), (table["get"]["arity"], table["get"]["first_key_pos"]))
    same(["k"], r.command_getkeys("SET", "k", "v"))
    same(None, r.memory_usage(P + "none"))
    same(b"master", r.role()[0])
    assert r.slowlog_len() >= 0
    assert r.time()[0] > 1_600_000_000


def flushing(r):
    r.set(P + "a", 1)
    assert r.dbsize() > 0
    assert r.flushall()
    same(0, r.dbsize())


def asyncio_clients(_):
    async def one(shared, i):
        key = P + f"async{i}"
        await shared.set(key, i)
        async with shared.pipeline(transaction=True) as pipe:
            same([i + 1, True], await pipe.incr(key).expire(key, 100).execute())
        return await shared.get(key)

    async def body():
        pool = redis.asyncio.BlockingConnectionPool(host=HOST, port=PORT, max_connections=4)
        shared = redis.asyncio.Redis(connection_pool=pool)
        same([b"%d" % (i + 1) for i in range(100)],
             await asyncio.gather(*(one(shared, i) for i in range(100))))
        found = [key async for key in shared.scan_iter(match=P + "async*", count=10)]
        same(100, len(set(found)))
        async with shared.pipeline() as pipe:
            await pipe.watch(P + "async0")
            await shared.set(P + "async0", "other")
            pipe.multi()
            pipe.set(P + "async0", "mine")
            with raises(redis.WatchError):
                await pipe.execute()
        await pool.disconnect()
        async with redis.asyncio.from_url(f"rediss://{HOST}:{TLS_PORT}?ssl_ca_certs={CA}") as own:
            same(b"other", await own.get(P + "async0"))

    asyncio.run(body())


def a_restart_between_commands(r):
    r.set(P + "stays", "value")
    first = r.info("server")["run_id"]
    restart_proxy()
    # Connections of a pool that have been closed are replaced unseen.
    same(b"value", r.get(P + "stays"))
    assert r.info("server")["run_id"] != first


def a_restart_under_way(_):
    retry = Retry(ConstantBackoff(0.05), 1000)
    stop = threading.Event()

    def work():
        with connect(retry=retry, retry_on_error=[redis.ConnectionError, OSError]) as own:
            last, ending = 0, False
            while not ending:
                ending = stop.is_set()  # one more round afterwards
                last += 1
                assert own.set(P + "busy", last)
                same(b"%d" % last, own.get(P + "busy"))

    failures = []

    def body():
        try:
            work()
        except BaseException as error:  # noqa: BLE001  told below
            failures.append(error)

    worker = threading.Thread(target=body)
    worker.start()
    try:
        restart_proxy()
    finally:
        stop.set()
        worker.join()
    same([], failures)


CASES = (basics, more_commands, values_of_all_sizes, binary_keys, decoded_text, a_pipeline_in_order,
         a_pipeline_with_an_error, a_transaction, a_transaction_over_slots, a_transaction_with_an_error,
         a_refused_transaction, watch_won, watch_lost, unwatch, scan_iterators, a_blocking_pool,
         addresses, tls, password, a_user, errors_leave_the_connection, clients, introspection,
         flushing, asyncio_clients,
         a_restart_between_commands, a_restart_under_way)


if __name__ == "__main__":
    run("python-redis", CASES)
