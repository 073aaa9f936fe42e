"""One of several programs, in several languages, that raise one number at once by compare and set; `run` starts
them together. A step that lost is tried again; none is lost and none counted twice."""

import os
import time

from python_suite import connect, same

PARTIES = int(os.environ["PROXY_PARTIES"])
STEPS = 300
# Half of the steps by our CAS, half by Tair's EXCAS, on one key.
KEY, READY, DONE = "cas-together", "cas-together:ready", "cas-together:done"


def wait_for_all(redis, key):
    redis.incr(key)
    while int(redis.get(key)) < PARTIES:
        time.sleep(0.01)


def by_cas(redis):
    value, version = redis.execute_command("GETV", KEY)
    return redis.execute_command("CAS", KEY, version, int(value) + 1)[0] == 1


def by_excas(redis):
    value, version = redis.execute_command("EXGET", KEY)
    return redis.execute_command("EXCAS", KEY, int(value) + 1, version)[0] == b"OK"


redis = connect()
redis.set(KEY, 0, nx=True)
wait_for_all(redis, READY)
lost = 0
for step in range(STEPS):
    while not (by_cas if step % 2 else by_excas)(redis):
        lost += 1
wait_for_all(redis, DONE)
same(b"%d" % (PARTIES * STEPS), redis.get(KEY))
print(f"python: {STEPS} steps, {lost} lost and tried again")
