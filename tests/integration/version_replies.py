"""What a model (version_model.py) says is to be replied, and whether a reply is that.

Which version a key begins with is not said, but that it is above every one that the key had: a Version may be
unknown until a reply tells it.
"""

NEAR_MS = 86_400_000  # how far apart two clocks may be


class Unknown(Exception):
    """What a command does depends on a version that no reply has told yet, or on less than a second."""


class Begin:
    """The version with which a key began: `number`, once known, above all that `before` may be."""

    def __init__(self, before, number=None):
        self.before, self.number = before, number

    def least(self):
        if self.number is not None:
            return self.number
        return 1 + (self.before.least() if isinstance(self.before, Version) else self.before)


class Version:
    def __init__(self, begin, steps=0):
        self.begin, self.steps = begin, steps

    def least(self):
        return self.begin.least() + self.steps

    def number(self):
        return None if self.begin.number is None else self.least()

    def next(self):
        return Version(self.begin, self.steps + 1)

    def perhaps_next(self):
        """Of a change that may be none."""
        return Version(Begin(self.least() - 1))

    def is_(self, number):
        if self.number() is None and number >= self.least():
            raise Unknown
        return self.number() == number

    def learn(self, number):
        """Whether a reply may say so."""
        if self.number() is not None:
            return number == self.number()
        if number < self.least():
            return False
        self.begin.number = number - self.steps
        return True


class Expiry:
    def __init__(self, ms, exact):
        self.ms, self.exact = ms, exact


class Entry:
    def __init__(self, value, version, flags=0, expiry=None):
        self.value, self.version, self.flags, self.expiry = value, version, flags, expiry


# ---- replies ---------------------------------------------------------------------------------------------------


class Status:
    def __init__(self, text):
        self.text = text


class Error:
    """One of several, where a command has several faults."""

    def __init__(self, *texts):
        self.texts = texts


class Null:
    def __init__(self, of_array=False):
        self.of_array = of_array


class Near:
    def __init__(self, ms):
        self.ms = ms


OK, QUEUED, NULL, NULL_ARRAY = Status("OK"), Status("QUEUED"), Null(), Null(True)


def mismatch(expected, reply, protocol):
    """What is wrong with a raw reply; None: nothing."""
    problem, rest = _compare(expected, reply, protocol)
    return problem or (f"{len(rest)} bytes too many" if rest else None)


def _compare(expected, reply, protocol):
    line, _, rest = reply.partition(b"\r\n")
    if isinstance(expected, list):
        if line != b"*%d" % len(expected):
            return f"no array of {len(expected)}", b""
        for number, one in enumerate(expected):
            problem, rest = _compare(one, rest, protocol)
            if problem:
                return f"element {number}: {problem}", b""
        return None, rest
    if isinstance(expected, bytes):
        whole = b"$%d\r\n%s\r\n" % (len(expected), expected)
        return (None, reply[len(whole):]) if reply.startswith(whole) else (f"not {expected[:60]}", b"")
    return (None if _is_line(expected, line, protocol) else f"not {wanted(expected)}"), rest


def wanted(expected):
    if isinstance(expected, Version):
        return f"version {expected.number() or f'{expected.least()} or more'}"
    names = {Status: "text", Error: "texts", Near: "ms"}
    for kind, name in names.items():
        if isinstance(expected, kind):
            return f"{kind.__name__} {getattr(expected, name)}"
    return "null" if isinstance(expected, Null) else repr(expected)


def _is_line(expected, line, protocol):
    if isinstance(expected, Status):
        return line == b"+" + expected.text.encode()
    if isinstance(expected, Error):
        return line in [b"-" + text.encode(errors="surrogateescape") for text in expected.texts]
    if isinstance(expected, Null):
        return line == (b"_" if protocol == 3 else b"*-1" if expected.of_array else b"$-1")
    if line[:1] != b":":
        return False
    number = int(line[1:])
    if isinstance(expected, Version):
        return expected.learn(number)
    if isinstance(expected, Near):
        return abs(number - expected.ms) <= NEAR_MS
    return number == expected
