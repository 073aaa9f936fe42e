"""What the scripts of python3-redis share: where the proxy is, checks, and a runner that tells each case."""

import contextlib
import os
import socket
import sys
import threading

import redis

HOST, PORT = os.environ["PROXY_HOST"], int(os.environ["PROXY_PORT"])


def same(expected, got):
    assert expected == got, f"expected {str(expected)[:200]}, got {str(got)[:200]}"


@contextlib.contextmanager
def raises(kind, text=""):
    try:
        yield
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}")


def connect(**options):
    return redis.Redis(host=HOST, port=PORT, **options)


def restart_proxy():
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.environ["PROXY_RESTART"])
        same(b"ready\n", control.recv(10_000))


def in_threads(count, work):
    """Runs work(client) in so many threads, each with a client of its own; fails as one of them does."""
    failures = []

    def body():
        try:
            with connect() as own:
                work(own)
        except BaseException as error:  # noqa: BLE001  told to the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=body) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def run(suite, cases):
    failed = 0
    for case in cases:
        name = case.__name__.replace("_", " ")
        try:
            with connect() as client:
                case(client)
            print(f"ok   {suite}: {name}")
        except Exception as error:  # noqa: BLE001  every failure is reported, then the next case runs
            failed += 1
            print(f"FAIL {suite}: {name}: {error!r}")
    print(f"{suite}, redis-py {redis.__version__}: {len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
