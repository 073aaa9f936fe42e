"""Tair's commands of a model (version_model.py): EXGET, EXSET, EXAPPEND, EXINCRBY, EXCAS, EXCAD, EXSETVER."""

from version_options import MOST, MOST_VERSION, OVERFLOW, SYNTAX, Refused, integer, tair_options
from version_replies import NULL, OK, Begin, Error, Status, Version

NOT_INTEGER = "ERR value is not an integer"
STALE = "ERR update version is stale"


class TairCommands:
    """Of a Model, which has the keys."""

    def do_exget(self, key, *words):
        if len(words) > 1:
            return self.wrong_number("exget")
        if words and words[0].lower() != b"withflags":
            return Error(SYNTAX)
        if key not in self.keys:
            return NULL
        entry = self.keys[key]
        return [entry.value, entry.version] + ([entry.flags] if words else [])

    def unmet(self, options, key):
        """The reply of a command whose conditions are not met; None: they are."""
        entry, wanted_version = self.keys.get(key), options.values[b"ver"]
        if b"nx" in options.words:
            return NULL if entry else None
        if entry is None:
            return NULL if b"xx" in options.words else None
        if wanted_version and not entry.version.is_(wanted_version):
            return Error(STALE)
        return None

    def change_as_told(self, key, value, options, expiry):
        flags = options.values[b"flags"]
        number = options.values[b"abs"]
        version = None if number is None else Version(Begin(0, number))
        return self.put(key, value, self.flags_of(key) if flags is None else flags, expiry, version)

    def kept_expiry(self, key, options):
        return self.expiry_of(key) if b"keepttl" in options.words else options.expiry

    def do_exset(self, key, value, *words):
        options = tair_options(words, self.now_ms, (b"nx", b"xx", b"keepttl", b"withversion"),
                               (b"ex", b"ver", b"abs", b"flags"))
        unmet = self.unmet(options, key)
        if unmet is not None:
            return unmet
        version = self.change_as_told(key, value, options, self.kept_expiry(key, options))
        return version if b"withversion" in options.words else OK

    def do_exappend(self, key, value, *words):
        options = tair_options(words, self.now_ms, (b"nx", b"xx"), (b"ver", b"abs"))
        unmet = self.unmet(options, key)
        if unmet is not None:
            return unmet
        before = self.keys[key].value if key in self.keys else b""
        return self.change_as_told(key, before + value, options, self.expiry_of(key))

    def do_exincrby(self, key, text, *words):
        faults, options, by = [], None, integer(text)
        if by is None:
            faults.append(NOT_INTEGER)
        try:
            options = tair_options(words, self.now_ms, (b"nx", b"xx", b"keepttl", b"withversion", b"nonegative"),
                                   (b"ex", b"ver", b"abs", b"def", b"min", b"max"))
            initial, least, most = self.bounds(options, faults)
        except Refused as refused:
            faults += refused.texts
        if faults:
            return Error(*faults)
        unmet = self.unmet(options, key)
        if unmet is not None:
            return unmet
        before = integer(self.keys[key].value) if key in self.keys else 0
        if before is None:
            return Error(NOT_INTEGER)
        begins = key not in self.keys and initial is not None  # as it is told, whatever the bounds
        number = initial if begins else before + by
        if not begins and not least <= number <= most:
            return Error(OVERFLOW)
        if b"nonegative" in options.words:
            number = max(number, 0)
        version = self.change_as_told(key, b"%d" % number, options, self.kept_expiry(key, options))
        return [number, version] if b"withversion" in options.words else number

    @staticmethod
    def bounds(options, faults):
        def read(name, otherwise, fault):
            if name not in options.values:
                return otherwise
            number = integer(options.values[name])
            if number is None:
                faults.append(fault)
                return otherwise
            return number

        bad = "ERR min or max is specified, but not valid"
        initial = read(b"def", None, NOT_INTEGER)
        least, most = read(b"min", -MOST - 1, bad), read(b"max", MOST, bad)
        if most < least:
            faults.append(bad)
        return initial, least, most

    def do_excas(self, key, value, text, *words):
        faults, options, version = [], None, integer(text)
        try:
            options = tair_options(words, self.now_ms, (b"keepttl",), (b"ex",))
        except Refused as refused:
            faults += refused.texts
        if version is None:
            faults.append("ERR version should be integer")
        elif version < 0:
            faults.append(SYNTAX)
        if faults:
            return Error(*faults)
        entry = self.keys.get(key)
        if entry is None:
            return -1
        if not entry.version.is_(version):
            return [Status("CAS_FAILED"), entry.value, entry.version]
        return [OK, Status(""), self.put(key, value, entry.flags, self.kept_expiry(key, options))]

    def do_excad(self, key, text):
        version = integer(text)
        if version is None:
            return Error(SYNTAX)
        if key not in self.keys:
            return -1
        if not self.keys[key].version.is_(version):
            return 0
        self.remove(key)
        return 1

    def do_exsetver(self, key, text):
        if key not in self.keys:
            return 0
        version = integer(text)
        if version is None or version <= 0:
            return Error(SYNTAX)
        if version > MOST_VERSION:
            return Error("ERR version is out of range")
        self.keys[key].version = Version(Begin(0, version))
        return 1
