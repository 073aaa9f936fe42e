"""What tools/compare and tools/curves have in common: the things to be compared, started and pinned alike, and
redis-benchmark run against them."""

import contextlib
import csv
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "integration"))
from programs import BIN, Program, free_port  # noqa: E402
from resp import Connection  # noqa: E402

TARGETS = ("redis", "twemproxy", "rdmakv")
# of kv_server, and how they are asked for
PAGES = {"transparent": [], "small": ["--small-pages"], "reserved": ["--hugepages"]}


def check_programs(name):
    for program in ("redis-server", "redis-benchmark", "nutcracker", "taskset"):
        if shutil.which(program) is None:
            sys.exit(f"{name}: {program} is missing (tools/install-packages compare)")


def cores(one_core):
    """Which cores the servers get, all of them the same, and which the load generator."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) == 1:
        return available, available
    servers = available[:-1]
    return servers, servers if one_core else available[-1:]


def pinned(on, *argv):
    return ["taskset", "-c", ",".join(map(str, on)), *map(str, argv)]


class Target:
    """One thing that speaks RESP on `port`: its processes are what CPU time is counted of."""

    def __init__(self, name, port, programs, host="127.0.0.1"):
        self.name, self.port, self.programs, self.host = name, port, programs, host

    def cpu_seconds(self):
        """User and system time of all threads, to the nanosecond, as the scheduler keeps it."""
        total = 0
        for program in self.programs:
            for task in pathlib.Path(f"/proc/{program.pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9


def start_targets(stack, wanted, on, folder):
    def start(*argv, wait_for=r"\bready\b"):
        program = Program(pinned(on, *argv), wait_for=wait_for)
        stack.callback(program.stop)
        return program

    targets = []
    redis = redis_port = None
    if {"redis", "twemproxy"} & set(wanted.targets):
        redis_port = free_port()
        redis = start("redis-server", "--port", redis_port, "--save", "", "--appendonly", "no",
                      wait_for="Ready to accept")
    if "redis" in wanted.targets:
        targets.append(Target("redis", redis_port, [redis]))
    if "twemproxy" in wanted.targets:
        port = free_port()
        config = folder / "nutcracker.yml"
        config.write_text(f"pool:\n  listen: 127.0.0.1:{port}\n  redis: true\n  hash: fnv1a_64\n"
                          f"  distribution: ketama\n  servers:\n   - 127.0.0.1:{redis_port}:1\n")
        nutcracker = start("nutcracker", "-c", config, "-o", "/dev/stdout", "-p", folder / "nutcracker.pid", "-a",
                           "127.0.0.1", "-s", free_port(), wait_for="run, rabbit run")
        targets.append(Target("twemproxy", port, [nutcracker, redis]))
    if "rdmakv" in wanted.targets:
        if wanted.pages == "reserved":
            check_reserved_pages(3 * wanted.memory)
        port, server_port = free_port(), free_port()
        server = start(BIN / "kv_server", "--port", server_port, "--memory", 3 * wanted.memory, "--workers",
                       wanted.threads, "--transport", "shm", *PAGES[wanted.pages])
        proxy = start(BIN / "kv_proxy", "--port", port, "--server", f"shm:{server_port}", "--threads", wanted.threads)
        targets.append(Target("rdmakv", port, [proxy, server]))
    return targets


def add_pages(parser):
    parser.add_argument("--pages", choices=PAGES, default="transparent",
                        help="what kv_server's memory lies on: transparent huge pages (default), small ones, or "
                             "reserved huge ones, of which 3 times --memory have to be free")


def check_reserved_pages(megabytes):
    """kv_server would start without them."""
    words = dict(re.findall(r"(\w+): +(\d+)", pathlib.Path("/proc/meminfo").read_text()))
    size_mb = int(words["Hugepagesize"]) // 1024
    missing = -(-megabytes // size_mb) - int(words["HugePages_Free"])
    if missing > 0:
        sys.exit(f"{missing} more huge pages of {size_mb} MB have to be free: sysctl vm.nr_hugepages")


def keys_for(wanted, size):
    return max(1, min(wanted.keys, (wanted.memory << 20) // (size + 100)))


def preload(target, keys, size):
    """SETs every key that redis-benchmark's GET can name, and empties the store before."""
    with Connection(target.port, host=target.host) as connection:
        if target.name != "twemproxy":
            connection.call("FLUSHALL")
        command = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n" + b"$%d\r\n" % size + b"x" * size + b"\r\n"
        batch, ok = max(1, min(1000, (1 << 20) // (size + 50))), b"+OK\r\n"
        for first in range(0, keys, batch):
            count = min(batch, keys - first)
            connection.send(b"".join([command % i for i in range(first, first + count)]))
            reply = connection.read(count * len(ok))
            if reply != ok * count:
                raise RuntimeError(f"{target.name} does not take the keys: {reply[:80]!r}")


def benchmark(target, on, operation, size, connections, pipeline, keys, requests):
    """One run: requests per second, percentiles in ms and CPU seconds per million commands."""
    before = target.cpu_seconds()
    done = subprocess.run(
        pinned(on, "redis-benchmark", "-h", target.host, "-p", target.port, "-t", operation, "-n", requests, "-r", keys, "-d", size,
               "-c", connections, "-P", pipeline, "--precision", 3), capture_output=True, text=True)
    cpu = target.cpu_seconds() - before
    rate = re.search(r"throughput summary: ([\d.]+)", done.stdout)
    steps = [(float(percent), float(ms)) for percent, ms in
             re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds", done.stdout.split("Cumulative")[0], re.M)]
    if done.returncode != 0 or rate is None or not steps:
        raise RuntimeError(f"redis-benchmark against {target.name} failed:\n{done.stdout[-500:]}{done.stderr[-500:]}")

    def percentile(wanted):
        return next(ms for percent, ms in steps if percent >= wanted)
    return {"rate": float(rate.group(1)), "p50": percentile(50), "p99": percentile(99), "p999": percentile(99.9),
            "cpu": cpu / requests * 1e6}


def requests_for(wanted, target, on, configuration, keys):
    """So many that the first target takes about --seconds."""
    operation, size, connections, pipeline = configuration
    fewest = connections * pipeline
    some = benchmark(target, on, operation, size, connections, pipeline, keys, max(fewest, 4 * pipeline, 1000))
    return max(fewest, int(some["rate"] * wanted.seconds))


def spread(values):
    """Median and half the distance of the quartiles, as a share of it."""
    middle = statistics.median(values)
    if len(values) < 3 or middle == 0:
        return middle, 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return middle, (high - low) / 2 / middle


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
