"""What tools/compare-wire and tools/compare-rdma have in common: the Soft-RoCE VM, what measures in it, rounds in
which the sides take turns, and the table of their ratios."""

import argparse
import collections
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("RDMAKV_BIN", ROOT / "build" / "bin")).parent
CLIENT, BARE = BUILD / "tests" / "client_latency", BUILD / "tests" / "bare_verbs"
SPIN_US = 200_000  # the server polls on between requests, as perftest does
DEPTH = 16

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from programs import BIN, Program  # noqa: E402


def common_options(parser, rounds, minutes):
    parser.add_argument("--rounds", type=int, default=rounds, help=f"interleaved runs; odd (default {rounds})")
    parser.add_argument("--minutes", type=float, default=minutes,
                        help=f"no new round of a part after so long (default {minutes})")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of operations in a run (default 1)")
    parser.add_argument("--mtu", type=int, default=1500, help="of the links: 1500 makes RDMA MTU 1024, 4200 4096")
    parser.add_argument("--cpus", type=int, default=2, help="processors of the VM (default 2)")
    parser.add_argument("--only", metavar="REGEX", help="measures whose name it matches")
    parser.add_argument("--csv", metavar="FILE", help="every run, one a line")
    parser.add_argument("--in-vm", action="store_true", help=argparse.SUPPRESS)


def run_in_vm(tool, programs, wanted):
    """Runs this tool again, in the VM; its exit status."""
    for program in programs:
        if not program.exists():
            sys.exit(f"{pathlib.Path(tool).name}: {program} is not there: build it first")
    command = [str(ROOT / "tests" / "softroce" / "run-in-vm"), "--mtu", str(wanted.mtu), "--cpus", str(wanted.cpus),
               "--timeout", "6000", "--env", f"RDMAKV_BIN={BUILD / 'bin'}", "--env", "PYTHONDONTWRITEBYTECODE=1",
               "--share", str(ROOT), "--share", str(BUILD), "--", "/usr/bin/python3", tool, "--in-vm", *sys.argv[1:]]
    return subprocess.run(command).returncode


def configuration(wanted, across):
    return (f"{'between two adapters' if across else 'within one adapter'}, RDMA MTU {os.environ['SOFTROCE_MTU']}, "
            f"kernel {platform.release()}, {os.cpu_count()} processors; {wanted.rounds} rounds, operations x "
            f"{wanted.scale:g}")


class Wire:
    """Where to, and how to run what measures."""

    def __init__(self, across, scale):
        self.device = "rxe0"
        self.server_device, self.address = ("rxe1", "10.77.0.2") if across else ("rxe0", "10.77.0.1")
        self.scale = scale
        self.port = 20_000

    def run(self, *argv):
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, argv))}: {done.stderr or done.stdout}")
        return done.stdout

    def count(self, usual):
        return max(int(usual * self.scale), 2 * DEPTH)

    def server_command(self, port, *options):
        """A kv_server of one worker at the far end."""
        return [BIN / "kv_server", "--transport", "rdma", "--device", self.server_device, "--address", self.address,
                "--port", port, "--workers", 1, "--memory", 256, *options]

    def server(self, port, *options):
        return Program(self.server_command(port, *options))

    def client(self, kind, size, usual, depth=1):
        """Median in us, and operations per second, of the client library."""
        out = self.run(CLIENT, f"rdma:{self.address}:7000", self.device, kind, size, self.count(usual), depth)
        return [float(word) for word in out.split()]

    def bare(self, kind, request, reply, usual):
        return float(self.run(BARE, self.device, self.server_device, kind, request, reply, self.count(usual)))

    def perftest(self, name, size, usual, *options):
        """The fields of perftest's line of results."""
        self.port += 1
        common = [name, "-x", "1", "-n", str(self.count(usual)), "-F", "-p", str(self.port), *options]
        if size is not None:
            common += ["-s", str(size)]
        server = subprocess.Popen([*common, "-d", self.server_device], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            while not listens(self.port):
                time.sleep(0.02)
            out = self.run(*common, "-d", self.device, self.address)
            server.wait(timeout=60)
        finally:
            server.kill()
            server.wait()
        rows = [line.split() for line in out.splitlines()]
        rows = [row for row in rows if len(row) >= 5 and row[0].isdigit() and row[1].isdigit()]
        if not rows:
            sys.exit(f"{name} printed no results:\n{out}")
        return [float(word) for word in rows[-1]]


def listens(port):
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and int(words[1].rsplit(":", 1)[1], 16) == port:
                return True
    return False


class Sizes:
    """What goes over the wire for a value of so many bytes."""

    def __init__(self, wire, size):
        numbers = [int(word) for word in wire.run(CLIENT, "sizes", size).split()]
        self.read, self.get_request, self.get_reply, self.put_request, self.put_reply, self.entry = numbers


# ours, wire: functions that measure once; wire_is: what the wire's is.
Measure = collections.namedtuple("Measure", "name unit aim ours wire wire_is")


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    q = statistics.quantiles(values, n=4, method="inclusive")
    return q[0], q[2]


def rounds(wanted, rows):
    """Runs the measures: of each the results of both sides, from as many rounds. In the next round the other side is
    first."""
    results = [([], []) for _ in rows]
    began = time.monotonic()
    for number in range(wanted.rounds):
        if time.monotonic() - began > 60 * wanted.minutes:
            print(f"only {number} rounds in {wanted.minutes:g} minutes")
            break
        for row, result in zip(rows, results):
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                result[which].append((row.ours, row.wire)[which]())
        print(f"round {number + 1} of {wanted.rounds}", file=sys.stderr, flush=True)
    return results


def print_ratios(rows, results):
    """The medians of ours and of the wire's, and the median of the rounds' ratios with their quartiles."""
    print(f"{'':<24} {'ours':>10}    {'wire':>10}      ratio  (quartiles)     aim      wire is")
    for row, (own, other) in zip(rows, results):
        ratios = [a / b for a, b in zip(own, other)]
        low, high = quartiles(ratios)
        print(f"{row.name:<24} {statistics.median(own):10.1f} {row.unit:<2} {statistics.median(other):10.1f} "
              f"{row.unit:<2} {statistics.median(ratios):8.3f}  ({low:.3f} - {high:.3f})  {row.aim:<8} {row.wire_is}")


def csv_lines(rows, results):
    return [{"measure": row.name.strip(), "unit": row.unit, "round": number, "ours": ours, "wire": wire,
             "wire_is": row.wire_is}
            for row, sides in zip(rows, results) for number, (ours, wire) in enumerate(zip(*sides))]
