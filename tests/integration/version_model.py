"""What strings with versions, flags and expiry are to do: a model to hold kv_proxy against where no redis-server
knows the commands, written from what redis-compat.md and the documentations of Redis 8.4 and of Tair say. One
client after the other; nothing expires by itself while a model is used.

    model = Model()
    expected = model.apply([b"EXSET", b"k", b"v", b"WITHVERSION"], now_ms)
    problem = mismatch(expected, reply, protocol)      # of replies in the order of the commands

A Version may be unknown until a reply tells it (version_replies.py).
"""

import ctypes

from tair_model import TairCommands
from version_options import (COMPARISONS, MOST, NOT_INTEGER, OVERFLOW, SYNTAX, Options, Refused, integer, redis_expiry,
                             redis_options)
from version_replies import NEAR_MS, NULL, NULL_ARRAY, OK, QUEUED, Begin, Entry, Error, Expiry, Near, Unknown, Version

SAME_SLOT = "CROSSSLOT Keys in request don't hash to the same slot"
BAD_DIGEST = "ERR must be exactly 16 hexadecimal characters"

_xxhash = ctypes.CDLL("libxxhash.so.0")
_xxhash.XXH3_64bits.restype = ctypes.c_uint64
_xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def digest(value):
    return b"%016x" % _xxhash.XXH3_64bits(value, len(value))


def slot_tag(key):
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1)
    return key[begin + 1:end] if 0 <= begin and end > begin + 1 else key


class Model(TairCommands):
    def __init__(self):
        self.keys = {}    # name: Entry
        self.gone = {}    # name: the last Version of a key that was removed
        self.queued = None
        self.spoiled = False
        self.now_ms = 0

    def apply(self, words, now_ms):
        """The reply that is to come; Unknown: nothing was done."""
        self.now_ms = now_ms
        name = words[0].decode().lower()
        if self.queued is not None and name not in ("multi", "exec", "discard"):
            return self.queue(words)
        if not self.arity_fits(words):
            return self.wrong_number(name)
        try:
            return getattr(self, "do_" + name)(*words[1:])
        except Refused as refused:
            return Error(*refused.texts)

    def arity_fits(self, words):
        least, most = ARITY[words[0].decode().lower()]
        return least <= len(words) <= (most or len(words))

    @staticmethod
    def wrong_number(name):
        return Error(f"ERR wrong number of arguments for '{name}' command")

    # -- transactions: the commands run, for us, when they are queued: nobody comes in between --

    def do_multi(self):
        if self.queued is not None:
            return Error("ERR MULTI calls can not be nested")
        self.queued, self.spoiled = [], False
        self.before = {name: Entry(**vars(one)) for name, one in self.keys.items()}, dict(self.gone)
        return OK

    def queue(self, words):
        if not self.arity_fits(words):
            self.spoiled = True
            return self.wrong_number(words[0].decode().lower())
        queued, self.queued = self.queued, None
        try:
            queued.append(self.apply(words, self.now_ms))
        finally:
            self.queued = queued
        return QUEUED

    def do_exec(self):
        if self.queued is None:
            return Error("ERR EXEC without MULTI")
        replies, self.queued = self.queued, None
        if self.spoiled:
            self.keys, self.gone = self.before
            return Error("EXECABORT Transaction discarded because of previous errors.")
        return replies

    def do_discard(self):
        if self.queued is None:
            return Error("ERR DISCARD without MULTI")
        self.queued = None
        self.keys, self.gone = self.before
        return OK

    # -- changes --

    def put(self, key, value, flags=0, expiry=None, version=None):
        """The version that it becomes, of a key that may be there already; 0: it is gone at once."""
        old = self.keys.get(key)
        if version is None:
            version = old.version.next() if old else Version(Begin(self.gone.get(key, 0)))
        if expiry is not None and expiry.ms <= self.now_ms:
            self.remove(key)
            return 0
        self.keys[key] = Entry(value, version, flags, expiry)
        return version

    def remove(self, key):
        if key in self.keys:
            self.gone[key] = self.keys.pop(key).version

    def flags_of(self, key):
        return self.keys[key].flags if key in self.keys else 0

    def expiry_of(self, key):
        return self.keys[key].expiry if key in self.keys else None

    def value_or_null(self, key):
        return self.keys[key].value if key in self.keys else NULL

    def meets(self, options, key):
        old = self.keys.get(key)
        if options.compare is not None:
            return self.compares(*options.compare, old)
        return not (b"nx" in options.words and old or b"xx" in options.words and not old)

    @staticmethod
    def compares(how, other, old):
        how = how.lower()
        if old is None:
            return how in (b"ifne", b"ifdne")
        if how in (b"ifeq", b"ifne"):
            return (other == old.value) == (how == b"ifeq")
        if len(other) != 16:
            raise Refused(BAD_DIGEST)
        return (other.lower() == digest(old.value)) == (how == b"ifdeq")

    # -- Redis's --

    def do_get(self, key):
        return self.value_or_null(key)

    def do_strlen(self, key):
        return len(self.keys[key].value) if key in self.keys else 0

    def do_exists(self, *keys):
        return sum(key in self.keys for key in keys)

    def do_digest(self, key):
        return digest(self.keys[key].value) if key in self.keys else NULL

    def do_set(self, key, value, *words):
        options = redis_options(words, (b"nx", b"xx", b"get", b"keepttl"), compares=True)
        expiry = redis_expiry(options.expiry, "set", self.now_ms)
        before, met = self.value_or_null(key), self.meets(options, key)
        if met:
            self.put(key, value, expiry=self.expiry_of(key) if b"keepttl" in options.words else expiry)
        if b"get" in options.words:
            return before
        return OK if met else NULL

    def do_setnx(self, key, value):
        if key in self.keys:
            return 0
        self.put(key, value)
        return 1

    def do_setex(self, key, text, value):
        self.put(key, value, expiry=redis_expiry((b"ex", text), "setex", self.now_ms))
        return OK

    def do_psetex(self, key, text, value):
        self.put(key, value, expiry=redis_expiry((b"px", text), "psetex", self.now_ms))
        return OK

    def do_getset(self, key, value):
        before = self.value_or_null(key)
        self.put(key, value)
        return before

    def do_getdel(self, key):
        before = self.value_or_null(key)
        self.remove(key)
        return before

    def do_getex(self, key, *words):
        options = redis_options(words, (b"persist",))
        if key not in self.keys:
            return NULL
        expiry = redis_expiry(options.expiry, "getex", self.now_ms)
        before = self.keys[key].value
        if expiry or b"persist" in options.words:
            self.set_expiry(key, expiry)
        return before

    def do_mset(self, *pairs):
        if len(pairs) % 2:
            return self.wrong_number("mset")
        for key, value in zip(pairs[::2], pairs[1::2]):
            self.put(key, value)
        return OK

    def do_msetnx(self, *pairs):
        if len(pairs) % 2:
            return self.wrong_number("msetnx")
        return self.set_together(pairs, Options(), None, nx=True)

    def do_msetex(self, count, *words):
        keys = integer(count)
        if keys is None or not 1 <= keys <= 2 ** 31 - 1:
            return Error("ERR invalid numkeys value")
        if len(words) < 2 * keys:
            return Error("ERR wrong number of key-value pairs")
        options = redis_options(words[2 * keys:], (b"nx", b"xx", b"keepttl"))
        expiry = redis_expiry(options.expiry, "msetex", self.now_ms)
        return self.set_together(words[:2 * keys], options, expiry)

    def set_together(self, pairs, options, expiry, nx=False):
        keys = pairs[::2]
        if len({slot_tag(key) for key in keys}) > 1:
            return Error(SAME_SLOT)
        there = [key in self.keys for key in keys]
        if (nx or b"nx" in options.words) and any(there) or b"xx" in options.words and not all(there):
            return 0
        for key, value in zip(keys, pairs[1::2]):
            self.put(key, value, expiry=self.expiry_of(key) if b"keepttl" in options.words else expiry)
        return 1

    def change(self, key, value):
        """In part: flags and expiry stay."""
        self.put(key, value, self.flags_of(key), self.expiry_of(key))

    def do_append(self, key, value):
        self.change(key, (self.keys[key].value if key in self.keys else b"") + value)
        return len(self.keys[key].value)

    def do_setrange(self, key, text, value):
        offset = integer(text)
        if offset is None:
            return Error(NOT_INTEGER)
        if offset < 0:
            return Error("ERR offset is out of range")
        before = self.keys[key].value if key in self.keys else b""
        if value:
            self.change(key, before[:offset].ljust(offset, b"\0") + value + before[offset + len(value):])
            return len(self.keys[key].value)
        return len(before)

    def add(self, key, number):
        before = integer(self.keys[key].value) if key in self.keys else 0
        if before is None:
            return Error(NOT_INTEGER)
        if not -MOST - 1 <= before + number <= MOST:
            return Error(OVERFLOW)
        self.change(key, b"%d" % (before + number))
        return before + number

    def do_incr(self, key):
        return self.add(key, 1)

    def do_decr(self, key):
        return self.add(key, -1)

    def do_incrby(self, key, text):
        number = integer(text)
        return Error(NOT_INTEGER) if number is None else self.add(key, number)

    def do_decrby(self, key, text):
        number = integer(text)
        if number == -MOST - 1:
            return Error("ERR decrement would overflow")
        return Error(NOT_INTEGER) if number is None else self.add(key, -number)

    def do_del(self, *keys):
        count = 0
        for key in keys:
            count += key in self.keys
            self.remove(key)
        return count

    def do_delex(self, key, *condition):
        if not condition:
            return self.do_del(key)
        if len(condition) != 2:
            return self.wrong_number("delex")
        if key not in self.keys:
            return 0
        if condition[0].lower() not in COMPARISONS:
            return Error("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
        if not self.compares(*condition, self.keys[key]):
            return 0
        self.remove(key)
        return 1

    def set_expiry(self, key, expiry):
        entry = self.keys[key]
        if expiry is not None and expiry.ms <= self.now_ms:
            return self.remove(key)
        old = entry.expiry
        if old is None or expiry is None:
            if old is not expiry:
                entry.version = entry.version.next()
        elif not (old.exact and expiry.exact):
            entry.version = entry.version.perhaps_next()
        elif old.ms != expiry.ms:
            entry.version = entry.version.next()
        entry.expiry = expiry

    def do_pexpireat(self, key, text, *words):
        return self.expire(key, integer(text), 0, "pexpireat", {word.lower() for word in words}, words)

    def do_expire(self, key, text, *words):
        number = integer(text)
        return self.expire(key, None if number is None else number * 1000, self.now_ms, "expire",
                           {word.lower() for word in words}, words)

    def expire(self, key, ms, base, command, flags, words):
        for word in words:
            if word.lower() not in (b"nx", b"xx", b"gt", b"lt"):
                return Error("ERR Unsupported option " + word.split(b"\0")[0].decode(errors="surrogateescape"))
        if b"nx" in flags and len(flags) > 1:
            return Error("ERR NX and XX, GT or LT options at the same time are not compatible")
        if {b"gt", b"lt"} <= flags:
            return Error("ERR GT and LT options at the same time are not compatible")
        if ms is None:
            return Error(NOT_INTEGER)
        if not -MOST - 1 <= ms <= MOST - base:
            return Error(f"ERR invalid expire time in '{command}' command")
        if key not in self.keys:
            return 0
        old, new = self.keys[key].expiry, ms + base
        if flags & {b"gt", b"lt"} and old and abs(new - old.ms) < NEAR_MS and not (old.exact and base == 0):
            raise Unknown
        if (b"nx" in flags and old or b"xx" in flags and not old or b"gt" in flags and (not old or new <= old.ms)
                or b"lt" in flags and old and new >= old.ms):
            return 0
        self.set_expiry(key, Expiry(new, base == 0))
        return 1

    def do_persist(self, key):
        if self.expiry_of(key) is None:
            return 0
        self.set_expiry(key, None)
        return 1

    def do_pexpiretime(self, key):
        if key not in self.keys:
            return -2
        expiry = self.keys[key].expiry
        return -1 if expiry is None else expiry.ms if expiry.exact else Near(expiry.ms)

    def do_copy(self, key, to, *words):
        if any(word.lower() != b"replace" for word in words):
            return Error(SYNTAX)
        if key == to:
            return Error("ERR source and destination objects are the same")
        if key not in self.keys or to in self.keys and not words:
            return 0
        entry = self.keys[key]
        self.put(to, entry.value, entry.flags, entry.expiry)
        return 1

    def do_rename(self, key, to):
        if key not in self.keys:
            return Error("ERR no such key")
        if key == to:
            return OK
        self.do_copy(key, to, b"REPLACE")
        self.remove(key)
        return OK

    # -- ours --

    def do_getv(self, key):
        return [self.keys[key].value, self.keys[key].version] if key in self.keys else NULL_ARRAY

    def do_cas(self, key, text, value, *words):
        faults = []
        version = integer(text)
        if version is None or version < 0:
            faults.append("ERR version is not an integer or out of range")
        options = expiry = None
        try:
            options = redis_options(words, (b"keepttl",))
            expiry = redis_expiry(options.expiry, "cas", self.now_ms)
        except Refused as refused:
            faults += refused.texts
        if faults:
            return Error(*faults)
        entry = self.keys.get(key)
        if not (entry.version.is_(version) if entry else version == 0):
            return [0, entry.version if entry else 0]
        kept = self.expiry_of(key) if b"keepttl" in options.words else expiry
        return [1, self.put(key, value, self.flags_of(key), kept)]


# Words of a command, at least and at most.
ARITY = {
    "multi": (1, 1), "exec": (1, 1), "discard": (1, 1), "get": (2, 2), "strlen": (2, 2), "exists": (2, None),
    "digest": (2, 2), "set": (3, None), "setnx": (3, 3), "setex": (4, 4), "psetex": (4, 4), "getset": (3, 3),
    "getdel": (2, 2), "getex": (2, None), "mset": (3, None), "msetnx": (3, None), "msetex": (4, None),
    "append": (3, 3), "setrange": (4, 4), "incr": (2, 2), "decr": (2, 2), "incrby": (3, 3), "decrby": (3, 3),
    "del": (2, None), "delex": (2, None), "pexpireat": (3, None), "expire": (3, None), "persist": (2, 2),
    "pexpiretime": (2, 2), "copy": (3, None), "rename": (3, 3), "getv": (2, 2), "cas": (4, None),
    "exget": (2, None), "exset": (3, None), "exappend": (3, None), "exincrby": (3, None), "excas": (4, None),
    "excad": (3, 3), "exsetver": (3, 3),
}
