"""Compare and set from python3-redis: by Tair's commands, by CAS, by SET IFEQ and by WATCH; several clients
that raise one number by each lose no increment and count none twice."""

import redis
from python_suite import in_threads, raises, run, same

P = "python-cas:"


def versions(r):
    # A key created anew starts above every version it ever had, so the first is not always 1.
    won, first = r.execute_command("CAS", P + "c", 0, "one")
    assert won == 1 and first >= 1
    same([1, first + 1], r.execute_command("CAS", P + "c", first, "two"))
    same([0, first + 1], r.execute_command("CAS", P + "c", first, "three"))
    same([0, 0], r.execute_command("CAS", P + "none", 1, "x"))
    same([b"two", first + 1], r.execute_command("GETV", P + "c"))


def tair_versions(r):
    key = P + "ex"
    r.delete(key)
    first = r.execute_command("EXSET", key, "one", "WITHVERSION")
    same([b"one", first], r.execute_command("EXGET", key))
    same([b"OK", b"", first + 1], r.execute_command("EXCAS", key, "two", first))
    same([b"CAS_FAILED", b"two", first + 1], r.execute_command("EXCAS", key, "three", first))
    with raises(redis.ResponseError, "update version is stale"):
        r.execute_command("EXSET", key, "three", "VER", first)
    same(0, r.execute_command("EXCAD", key, first))
    same(1, r.execute_command("EXCAD", key, first + 1))
    same(-1, r.execute_command("EXCAS", key, "x", first))


def by_cas(r, key):
    value, version = r.execute_command("GETV", key)
    return r.execute_command("CAS", key, version, int(value) + 1)[0] == 1


def by_excas(r, key):
    value, version = r.execute_command("EXGET", key)
    return r.execute_command("EXCAS", key, int(value) + 1, version)[0] == b"OK"


def by_exset(r, key):
    value, version = r.execute_command("EXGET", key)
    try:
        return r.execute_command("EXSET", key, int(value) + 1, "VER", version) == b"OK"
    except redis.ResponseError as stale:
        assert "update version is stale" in str(stale), stale
        return False


def by_ifeq(r, key):
    value = r.get(key)
    return r.execute_command("SET", key, int(value) + 1, "IFEQ", value) is not None


def by_watch(r, key):
    with r.pipeline() as pipe:
        try:
            pipe.watch(key)
            value = int(pipe.get(key))
            pipe.multi()
            return pipe.set(key, value + 1).execute() == [True]
        except redis.WatchError:
            return False


def counter(step):
    """Eight clients raise one number; a step that lost is tried again, and none may be counted twice."""

    def case(r):
        key = P + step.__name__
        r.set(key, 0)

        def work(own):
            done = 0
            while done < 50:
                done += step(own, key)

        in_threads(8, work)
        same(b"400", r.get(key))

    case.__name__ = "a counter " + step.__name__
    return case


if __name__ == "__main__":
    run("python-cas", (versions, tair_versions,
                       *map(counter, (by_cas, by_excas, by_exset, by_ifeq, by_watch))))
