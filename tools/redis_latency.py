"""Latencies for tools/compare: at the same offered load (resp_load, an open loop), of one connection by where the
programs run, and of one client among many busy ones."""

import re
import statistics
import subprocess

from redis_load import BIN, benchmark, cores, pinned, spread

PROBE = 200  # commands a second of the one client among many


def resp_load(target, on, **options):
    """One run of resp_load: what it prints, by name; microseconds, and commands per second."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    done = subprocess.run(pinned(on, BIN / "resp_load", "--port", target.port, *words), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"resp_load against {target.name} failed:\n{done.stdout}{done.stderr}")
    return {name: float(value) for name, value in re.findall(r"^(\S+) ([\d.]+)$", done.stdout, re.M)}


def interleaved(wanted, targets, measure):
    """{target's name: [measure(target) of each run]}; who is first changes from run to run."""
    results = {target.name: [] for target in targets}
    for run in range(wanted.runs):
        for target in targets if run % 2 == 0 else reversed(targets):
            results[target.name].append(measure(target))
    return results


def medians(runs):
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def ratio_texts(runs, base, names):
    texts = []
    for name in names:
        ratio, width = spread([run[name] / first[name] for run, first in zip(runs, base)])
        texts.append(f"{ratio:8.2f} ±{100 * width:3.0f}%")
    return "".join(texts)


def lines(results, **setting):
    """For the CSV file."""
    return [{**setting, "run": number, "target": name, **run}
            for name, runs in results.items() for number, run in enumerate(runs)]


def closed_rate(wanted, target, on, operation, size, keys):
    """Commands per second that the target does for redis-benchmark, one at a time per connection."""
    return benchmark(target, on, operation, size, wanted.connections[-1], 1, keys, 50_000)["rate"]


def offered_load(wanted, targets, generator, size, keys):
    """p50, p99, p99.9 at the same offered load: shares of what the first target does in a closed loop."""
    print(f"\nat the same offered load, {wanted.connections[-1]} connections, {size} bytes; us from when a command was "
          f"due; 'late' is the load generator's own part")
    print(f"{'op':4}{'offered/s':>10}  {'target':10}{'answered/s':>11}{'p50':>9}{'p99':>9}{'p99.9':>9}{'late p99':>10}"
          f"   of the first target's: {'p50':>14}{'p99':>14}{'p99.9':>14}")
    rows = []
    for operation in wanted.operations:
        rates = wanted.rates
        if not rates:
            most = closed_rate(wanted, targets[0], generator, operation, size, keys)
            rates = [round(most * share, -2) for share in wanted.shares]
        for rate in rates:
            def measure(target, rate=rate, operation=operation):
                return resp_load(target, generator, rate=rate, connections=wanted.connections[-1], value=size,
                                 keys=keys, gets=100 if operation == "get" else 0, warm_up=wanted.seconds / 4,
                                 seconds=wanted.seconds)
            results = interleaved(wanted, targets, measure)
            rows += lines(results, operation=operation, bytes=size, connections=wanted.connections[-1])
            for target in targets:
                middle = medians(results[target.name])
                text = (f"{operation:4}{rate:10.0f}  {target.name:10}{middle['achieved']:11.0f}{middle['p50']:9.1f}"
                        f"{middle['p99']:9.1f}{middle['p99.9']:9.1f}{middle['late_p99']:10.1f}")
                if target is not targets[0]:
                    text += " " * 26 + ratio_texts(results[target.name], results[targets[0].name],
                                                   ("p50", "p99", "p99.9"))
                print(text, flush=True)
    return rows


def placements(wanted, targets, size, keys):
    """One connection, one command at a time: everything on the servers' core, and the load generator on another."""
    print(f"\none connection, {size} bytes, pipeline 1; ms")
    print(f"{'op':4}{'placed':>16}  {'target':10}{'p50':>9}{'p99':>9}{'p99.9':>9}{'CPU s/M':>9}"
          f"   of the first target's: {'p50':>14}{'p99':>14}")
    rows = []
    for operation in wanted.operations:
        for one_core, text in ((True, "on one core"), (False, "across cores")):
            _, generator = cores(one_core)
            some = benchmark(targets[0], generator, operation, size, 1, 1, keys, 2000)
            requests = max(2000, int(some["rate"] * wanted.seconds))
            results = interleaved(wanted, targets, lambda target, operation=operation, generator=generator,
                                  requests=requests: benchmark(target, generator, operation, size, 1, 1, keys, requests))
            rows += lines(results, operation=operation, bytes=size, placed=text)
            for target in targets:
                middle = medians(results[target.name])
                line = (f"{operation:4}{text:>16}  {target.name:10}{middle['p50']:9.3f}{middle['p99']:9.3f}"
                        f"{middle['p999']:9.3f}{middle['cpu']:9.3f}")
                if target is not targets[0]:
                    line += " " * 26 + ratio_texts(results[target.name], results[targets[0].name], ("p50", "p99"))
                print(line, flush=True)
    return rows


def crowd(wanted, targets, generator, size, keys):
    """What one client sees, by itself and among --crowd others that together offer half of what the first target
    does in a closed loop."""
    most = closed_rate(wanted, targets[0], generator, "get", size, keys)
    rate = round(most / 2, -2)
    print(f"\none client's GETs, {PROBE} a second, by itself and among {wanted.crowd} others that offer {rate:.0f} "
          f"commands a second, half of them SETs; {size} bytes; us")
    print(f"{'':10}{'alone: p50':>12}{'p99':>9}{'p99.9':>9}{'among: p50':>12}{'p99':>9}{'p99.9':>9}{'late p99':>10}"
          f"   of the first target's, among: {'p50':>14}{'p99':>14}{'p99.9':>14}")

    def measure(target):
        common = dict(value=size, keys=keys, warm_up=wanted.seconds / 4, seconds=3 * wanted.seconds)
        alone = resp_load(target, generator, rate=PROBE, connections=1, **common)
        among = resp_load(target, generator, rate=rate, connections=wanted.crowd, gets=50, probe=PROBE, **common)
        names = ("p50", "p99", "p99.9", "late_p99")
        return {**{f"alone_{name}": alone[name] for name in names},
                **{f"among_{name}": among[f"probe_{name}"] for name in names}}
    results = interleaved(wanted, targets, measure)
    for target in targets:
        middle = medians(results[target.name])
        text = (f"{target.name:10}{middle['alone_p50']:12.1f}{middle['alone_p99']:9.1f}{middle['alone_p99.9']:9.1f}"
                f"{middle['among_p50']:12.1f}{middle['among_p99']:9.1f}{middle['among_p99.9']:9.1f}"
                f"{middle['among_late_p99']:10.1f}")
        if target is not targets[0]:
            text += " " * 33 + ratio_texts(results[target.name], results[targets[0].name],
                                           ("among_p50", "among_p99", "among_p99.9"))
        print(text, flush=True)
    return lines(results, bytes=size, connections=wanted.crowd, offered=rate)
