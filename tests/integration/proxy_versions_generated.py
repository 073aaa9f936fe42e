#!/usr/bin/python3
"""kv_proxy against a model (version_model.py), since no redis-server here knows them: versions (CAS and GETV,
Tair's EX...), SET with a comparison, DELEX, DIGEST, MSETEX, among plain commands on the same keys. Generated, alone,
in pipelines and in transactions, on two connections in either protocol, most of it right and some of it broken.

Options: --seed N, else a new one; it is printed, and the same seed makes the same commands. --sessions N, or
--minutes M. --session N: only that one, which a finding names. --go-on: shows all findings, not only the first.
--servers N: so many kv_servers.
"""

import collections
import random
import sys
import time

import generated_runs
from differential import show
from generated_runs import Finding, Findings
from resp import Connection, decode, encode
from version_model import ARITY, Model, digest
from version_options import MOST, MOST_VERSION
from version_replies import Unknown, mismatch, wanted

FAR = 2 * 10 ** 9  # seconds, as a time or from now on; nothing else expires
ONE_SLOT = [b"{t}", b"{t}2", b"{t}3"]
ANYWHERE = ONE_SLOT + [b"a", b"b", bytes(range(256))]
JUNK = [b"", b"x", b"-1", b"0", b"1.5", b"01", b"9223372036854775808", b"NX", b"VER", b"EX", b"\xff\0", b"KEEPTTL"]
NUMBERS = [0, 1, -1, 2, 10, 100, -100, MOST, -MOST - 1, MOST - 1, 2 ** 32]
TIMES = {  # all of them far away or long past
    b"EX": [FAR, FAR // 2, MOST // 1000, MOST // 1000 + 1, 0, -1],
    b"PX": [FAR * 1000, FAR * 500, MOST, 0, -1],
    b"EXAT": [FAR * 2, FAR * 3, 1, 10 ** 9, MOST // 1000, MOST // 1000 + 1, 0],
    b"PXAT": [FAR * 2000, FAR * 2000 + 1, 1, MOST, MOST + 1, -1],
}
WEIGHTS = collections.Counter({name: 2 for name in ARITY})
WEIGHTS.update({name: 4 for name in ("set", "cas", "exset", "excas", "excad", "exincrby", "exappend", "exsetver", "getv",
                                     "exget", "delex", "msetex", "digest")})


class Maker:
    """Commands for what the model holds."""

    def __init__(self, generator, model, large):
        self.random, self.model, self.large = generator, model, large

    def command(self, breaks=0.08):
        names = [name for name in WEIGHTS if name not in ("multi", "exec", "discard")]
        name = self.random.choices(names, [WEIGHTS[one] for one in names])[0]
        words = [name.upper().encode()] + [word if isinstance(word, bytes) else str(word).encode()
                                           for word in getattr(self, "make_" + name, self.make_plain)(name)]
        # What is broken may have a value where a key should be, and large ones are no keys.
        small = all(len(word) < 65536 for word in words)
        return self.broken(words) if small and self.random.random() < breaks else words

    def broken(self, words):
        words = list(words)
        at = self.random.randrange(1, len(words) + 1)
        what = self.random.randrange(3)
        if what == 0 and len(words) > 1:
            del words[min(at, len(words) - 1)]
        elif what == 1:
            words.insert(at, self.random.choice(JUNK))
        elif at < len(words):
            words[at] = self.random.choice(JUNK)
        return words

    # -- what commands are made of --

    def key(self):
        return self.random.choice(ANYWHERE)

    def value(self):
        kind = self.random.random()
        if kind < 0.3:
            return b"%d" % self.random.choice(NUMBERS)
        if self.large and kind < 0.5:
            return self.random.randbytes(self.random.choice((4000, 4096, 5000, 65536, 70_000, 300_000)))
        return self.random.choice((b"", b"a", b"b", b"value", b"0x10", b" 1", self.random.randbytes(self.random.randrange(300))))

    def any_case(self, word):
        return self.random.choice((word, word.lower()))

    def some(self, *choices, chance=0.3):
        """Each choice of words with that chance."""
        chosen = [choice() if callable(choice) else choice for choice in choices if self.random.random() < chance]
        self.random.shuffle(chosen)
        return [word if at else self.any_case(word) for choice in chosen for at, word in enumerate(choice)]

    def expiry(self):
        unit = self.random.choice(list(TIMES))
        return [unit, b"%d" % self.random.choice(TIMES[unit])]

    def condition(self):
        return [self.random.choice((b"NX", b"XX"))]

    def version(self, key):
        """Mostly the right one, if the model knows it."""
        entry = self.model.keys.get(key)
        number = entry.version.number() if entry else 0
        if number is None or self.random.random() < 0.3:
            return self.random.choice((0, 1, 2, (number or 0) + 1, max((number or 0) - 1, 0), MOST_VERSION, MOST))
        return number

    def comparison(self, key):
        entry, how = self.model.keys.get(key), self.random.choice((b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"))
        value = entry.value if entry and self.random.random() < 0.6 else self.value()
        if b"D" not in how:
            return [how, value]
        digits = digest(value)
        return [how, self.random.choice((digits, digits.upper(), digits, digits[1:], b"g" * 16, b"0" * 16))]

    def pairs(self):
        keys = self.random.choice((ONE_SLOT, ONE_SLOT, ANYWHERE))
        return [word for _ in range(self.random.choice((1, 2, 3))) for word in (self.random.choice(keys), self.value())]

    # -- the commands, without their names --

    def make_plain(self, name):
        most = ARITY[name][1]
        return [self.key()] + [self.value()] * ((most or 2) - 2)

    def make_exists(self, _):
        return self.random.choices(ANYWHERE, k=self.random.choice((1, 2, 3)))

    make_del = make_exists

    def make_set(self, _):
        key = self.key()
        return [key, self.value()] + self.some(self.condition, lambda: self.comparison(key), self.expiry,
                                               [b"KEEPTTL"], [b"GET"])

    def make_setex(self, name):
        return [self.key(), self.random.choice(TIMES[b"EX" if name == "setex" else b"PX"]), self.value()]

    make_psetex = make_setex

    def make_getex(self, _):
        return [self.key()] + self.some(self.expiry, [b"PERSIST"])

    def make_mset(self, _):
        return self.pairs()

    make_msetnx = make_mset

    def make_msetex(self, _):
        pairs = self.pairs()
        count = len(pairs) // 2 if self.random.random() < 0.9 else self.random.choice((0, 1, 4, 2 ** 31 - 1, 2 ** 31))
        return [count, *pairs, *self.some(self.condition, self.expiry, [b"KEEPTTL"])]

    def make_setrange(self, _):
        return [self.key(), self.random.choice((0, 1, 5, 5000, -1, b"x")), self.value()]

    def make_incrby(self, _):
        return [self.key(), self.random.choice(NUMBERS)]

    make_decrby = make_incrby

    def make_expire(self, name):
        return [self.key(), self.random.choice(TIMES[b"EX" if name == "expire" else b"PXAT"])] + self.some(
            [b"NX"], [b"XX"], [b"GT"], [b"LT"], chance=0.1)

    make_pexpireat = make_expire

    def make_copy(self, _):
        return [self.random.choice(ANYWHERE), self.random.choice(ANYWHERE)] + self.some([b"REPLACE"])

    def make_rename(self, _):
        return self.random.choices(ANYWHERE, k=2)

    def make_delex(self, _):
        key = self.key()
        return [key] + (self.comparison(key) if self.random.random() < 0.8 else [])

    def make_cas(self, _):
        key = self.key()
        return [key, self.version(key), self.value()] + self.some(self.expiry, [b"KEEPTTL"], chance=0.2)

    def make_exget(self, _):
        return [self.key()] + self.some([b"WITHFLAGS"])

    def version_option(self, key):
        number = self.random.choice((0, 1, 5, 1000, MOST_VERSION, MOST_VERSION + 1))
        return [b"ABS", b"%d" % number] if self.random.random() < 0.2 else [b"VER", b"%d" % self.version(key)]

    def flags_option(self):
        return [b"FLAGS", b"%d" % self.random.choice((0, 1, 7, 65535, 65536, 2 ** 32 - 1, 2 ** 32, -1))]

    def make_exset(self, _):
        key = self.key()
        return [key, self.value()] + self.some(self.condition, self.expiry, lambda: self.version_option(key), self.flags_option,
                                               [b"WITHVERSION"], [b"KEEPTTL"])

    def make_exappend(self, _):
        key = self.key()
        return [key, self.value()] + self.some(self.condition, lambda: self.version_option(key))

    def bound(self, name):
        return [name, b"%d" % self.random.choice(NUMBERS)]

    def make_exincrby(self, _):
        key = self.key()
        return [key, self.random.choice(NUMBERS)] + self.some(
            self.condition, self.expiry, lambda: self.version_option(key), [b"WITHVERSION"], [b"KEEPTTL"], [b"NONEGATIVE"],
            lambda: self.bound(b"DEF"), lambda: self.bound(b"MIN"), lambda: self.bound(b"MAX"), chance=0.2)

    def make_excas(self, _):
        key = self.key()
        return [key, self.value(), self.version(key)] + self.some(self.expiry, [b"KEEPTTL"], chance=0.2)

    def make_excad(self, _):
        key = self.key()
        return [key, self.version(key)]

    make_exsetver = make_excad


class Session:
    """Some hundred commands to an empty store."""

    def __init__(self, port, seed, number):
        self.port = port
        self.random = random.Random(f"{seed} {number}")
        self.model = Model()
        self.maker = Maker(self.random, self.model, self.random.random() < 0.2)
        self.counts = collections.Counter()
        self.past = collections.deque(maxlen=40)

    def run(self, length):
        protocols = [self.random.choice((2, 3)) for _ in range(2)]
        clients = [(Connection(self.port, protocol), protocol) for protocol in protocols]
        try:
            clients[0][0].call("FLUSHALL")
            while length > 0:
                count = self.random.choice((1, 1, 1, 5, 20))
                length -= count
                self.batch(*self.random.choice(clients), self.commands(count))
            self.batch(*clients[0], [self.applied(words) for words in self.last_look()])
            keys = decode(clients[0][0].call("KEYS", "*"))
            if set(keys) != set(self.model.keys):
                raise Finding(f"KEYS: {keys}\nmodel: {list(self.model.keys)}")
        finally:
            for client, _ in clients:
                client.close()

    def last_look(self):
        for key in ANYWHERE:
            for words in ([b"GETV", key], [b"EXGET", key, b"WITHFLAGS"], [b"PEXPIRETIME", key], [b"DIGEST", key], [b"GET", key]):
                yield words

    def applied(self, words):
        return words, self.model.apply(words, time.time_ns() // 10 ** 6)

    def commands(self, count):
        """With what they are to reply."""
        if self.random.random() < 0.15:
            return self.transaction(count)
        made = []
        while len(made) < count:
            words = self.maker.command()
            try:
                made.append(self.applied(words))
            except Unknown:  # until a reply has told its version
                return made + [self.applied([b"GETV", words[1]])]
        return made

    def transaction(self, count):
        made = [self.applied([b"MULTI"])]
        while len(made) <= count:
            words = self.maker.command(breaks=0)  # what is broken may have keys of other slots
            if any(word in words for word in ANYWHERE if word not in ONE_SLOT):
                continue
            if self.random.random() < 0.02:
                words = words[:1]
            try:
                made.append(self.applied(words))
            except Unknown:
                made.append(self.applied([b"GETV", words[1]]))
        return made + [self.applied([self.random.choice((b"EXEC", b"EXEC", b"EXEC", b"DISCARD"))])]

    def batch(self, client, protocol, commands):
        client.send(b"".join(encode(*words) for words, _ in commands))
        for words, expected in commands:
            reply = client.reply()
            self.counts[words[0].decode().lower()] += 1
            self.past.append(f"{show(encode(*words), 160)} -> {show(reply, 80)}")
            problem = mismatch(expected, reply, protocol)
            if problem:
                raise Finding(f"{words[0].decode()}: {show(encode(*words))}\nproxy: {show(reply)}\n"
                              f"model: {problem}; {wanted(expected)[:200]}")


def run(options, port):
    counts, findings, sessions = collections.Counter(), Findings(options), 0
    for number in generated_runs.numbers(options):
        session = Session(port, options.seed, number)
        sessions += 1
        try:
            session.run(options.length)
        except Finding as finding:
            if not findings.add(finding, number, session.past):
                return 1
        counts += session.counts
    print(f"{sessions} sessions, {sum(counts.values())} commands of {len(counts)} kinds, {len(findings.commands)} findings")
    missing = sorted(set(ARITY) - set(counts))
    if options.session is None and sessions >= 50 and missing:
        print("never sent:", *missing)
        return 1
    return 1 if findings.commands else 0


def main():
    options = generated_runs.parse(__doc__)
    print(f"--seed {options.seed}", flush=True)
    with generated_runs.programs(options) as stack:
        sys.exit(run(options, stack.port))


if __name__ == "__main__":
    main()
