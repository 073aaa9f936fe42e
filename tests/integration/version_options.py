"""The options of the commands of a model (version_model.py), as the documentations of Redis and of Tair have them."""

import re

from version_replies import Expiry

MOST = 2 ** 63 - 1
MOST_VERSION = 2 ** 62
MOST_FLAGS = 65535
SYNTAX = "ERR syntax error"
NOT_INTEGER = "ERR value is not an integer or out of range"
OVERFLOW = "ERR increment or decrement would overflow"


def integer(text):
    """As Redis reads one; None: it is not an integer of 64 bits, written the one way."""
    if not re.fullmatch(rb"0|-?[1-9][0-9]{0,18}", text):
        return None
    number = int(text)
    return number if -MOST - 1 <= number <= MOST else None


class Refused(Exception):
    def __init__(self, *texts):
        self.texts = texts


UNITS = {b"ex": (1000, True), b"px": (1, True), b"exat": (1000, False), b"pxat": (1, False)}
COMPARISONS = (b"ifeq", b"ifne", b"ifdeq", b"ifdne")


class Options:
    def __init__(self):
        self.words = set()     # those without a value
        self.expiry = None     # (unit, text)
        self.compare = None    # (how, with what)
        self.values = {}       # name: text


def redis_options(words, flags=(), compares=False):
    """The last of several expiries in one unit counts; what contradicts is a syntax error."""
    options, at = Options(), 0
    while at < len(words):
        word, value = words[at].lower(), words[at + 1] if at + 1 < len(words) else None
        if word in flags:
            options.words.add(word)
        elif word in UNITS and value is not None and (options.expiry is None or options.expiry[0] == word):
            options.expiry = (word, value)
            at += 1
        elif compares and word in COMPARISONS and value is not None and options.compare is None:
            options.compare = (word, value)
            at += 1
        else:
            raise Refused(SYNTAX)
        at += 1
    conditions = len(options.words & {b"nx", b"xx"}) + (options.compare is not None)
    times = len(options.words & {b"keepttl", b"persist"}) + (options.expiry is not None)
    if conditions > 1 or times > 1:
        raise Refused(SYNTAX)
    return options


def redis_expiry(expiry, command, now_ms):
    if expiry is None:
        return None
    unit, text = expiry
    factor, relative = UNITS[unit]
    number = integer(text)
    if number is None:
        raise Refused(NOT_INTEGER)
    ms = number * factor
    if number <= 0 or ms > MOST - (now_ms if relative else 0):
        raise Refused(f"ERR invalid expire time in '{command}' command")
    return Expiry(ms + (now_ms if relative else 0), not relative)


def tair_options(words, now_ms, flags=(), values=()):
    """Each option with a value once; all that is wrong is a syntax error, but for limits of our own."""
    options, at, faults = Options(), 0, []
    while at < len(words):
        word, value = words[at].lower(), words[at + 1] if at + 1 < len(words) else None
        if word in flags:
            options.words.add(word)
            at += 1
            continue
        known = word in values or (word in UNITS and b"ex" in values)
        if not known or value is None or word in options.values or (word in UNITS and options.expiry):
            raise Refused(SYNTAX)
        if word in UNITS:
            options.expiry = (word, value)
        options.values[word] = value
        at += 2
    for word in (b"ver", b"abs", b"flags"):
        number = integer(options.values[word]) if word in options.values else 0
        if number is None or number < 0 or word == b"flags" and number > 2 ** 32 - 1:
            raise Refused(SYNTAX)
        options.values[word] = number if word in options.values else None
    if {b"nx", b"xx"} <= options.words or options.expiry and b"keepttl" in options.words:
        raise Refused(SYNTAX)
    if options.values[b"ver"] is not None and options.values[b"abs"] is not None:
        raise Refused(SYNTAX)
    try:
        options.expiry = redis_expiry(options.expiry, "", now_ms)
    except Refused:
        raise Refused(SYNTAX) from None
    if (options.values[b"flags"] or 0) > MOST_FLAGS:
        faults.append("ERR flags beyond 65535 are not supported")
    if options.values[b"abs"] is not None and not 1 <= options.values[b"abs"] <= MOST_VERSION:
        faults.append("ERR version is out of range")
    if faults:
        raise Refused(*faults)
    return options
