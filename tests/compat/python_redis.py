"""python3-redis (Debian's) with its defaults: commands, pipelines, pools, large and binary values."""

import os
import sys
import threading

import redis

HOST, PORT = os.environ["PROXY_HOST"], int(os.environ["PROXY_PORT"])
P = "python-redis:"


def basics(r):
    assert r.ping()
    assert r.set(P + "a", "value")
    assert r.get(P + "a") == b"value"
    assert r.get(P + "none") is None
    assert r.set(P + "a", "2", nx=True) is None
    assert r.set(P + "b", "1", px=1_000_000, nx=True)
    assert 900 < r.ttl(P + "b") <= 1000
    assert r.set(P + "b", "2", keepttl=True) and r.ttl(P + "b") > 0
    assert r.persist(P + "b") and r.ttl(P + "b") == -1
    assert r.exists(P + "a", P + "b", P + "none") == 2
    assert r.delete(P + "a", P + "b", P + "none") == 2


def values(r):
    for size in (0, 1, 4095, 4096, 65536, 1 << 20, 5_000_003):
        value = bytes(i * 7 & 255 for i in range(256)) * (size // 256 + 1)
        value = value[:size]
        r.set(P + "v", value)
        assert r.get(P + "v") == value, size


def pipeline(r):
    with r.pipeline(transaction=False) as pipe:
        for i in range(1000):
            pipe.set(P + "p%d" % i, i).get(P + "p%d" % i)
        replies = pipe.execute()
    assert replies == [x for i in range(1000) for x in (True, b"%d" % i)]


def versions(r):
    # A key created anew starts above every version it ever had, so the first is not always 1.
    won, first = r.execute_command("CAS", P + "c", 0, "one")
    assert won == 1 and first >= 1
    assert r.execute_command("CAS", P + "c", first, "two") == [1, first + 1]
    assert r.execute_command("CAS", P + "c", first, "three") == [0, first + 1]
    assert r.execute_command("CAS", P + "none", 1, "x") == [0, 0]
    assert r.execute_command("GETV", P + "c") == [b"two", first + 1]


def counter_by_cas(r):
    """Eight threads raise one number by CAS; none of the increments may be lost."""
    r.delete(P + "n")
    r.set(P + "n", 0)

    def work():
        for _ in range(100):
            while True:
                value, version = r.execute_command("GETV", P + "n")
                if r.execute_command("CAS", P + "n", version, int(value) + 1)[0] == 1:
                    break

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get(P + "n") == b"800"


def errors(r):
    for words, text in ((("NOSUCH", "x"), "unknown command"), (("GET",), "wrong number of arguments"),
                        (("SET", "k", "v", "EX", "x"), "not an integer")):
        try:
            r.execute_command(*words)
        except redis.ResponseError as error:
            assert text in str(error), error
        else:
            raise AssertionError(words)
    assert r.ping()


def introspection(r):
    assert r.info()["redis_version"].startswith("7.")
    assert r.config_get("save") == {"save": ""}
    assert r.client_setname("me") and r.client_getname() == "me"
    assert r.command_count() > 20
    assert r.dbsize() >= 0
    assert r.flushall() and r.dbsize() == 0


failed = 0
for case in (basics, values, pipeline, versions, counter_by_cas, errors, introspection):
    client = redis.Redis(host=HOST, port=PORT)
    try:
        case(client)
        print("ok   python-redis:", case.__name__)
    except Exception as error:  # noqa: BLE001  every failure is reported, then the next case runs
        failed += 1
        print(f"FAIL python-redis: {case.__name__}: {error!r}")
    client.close()
sys.exit(1 if failed else 0)
