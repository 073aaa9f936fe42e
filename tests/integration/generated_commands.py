"""Commands made at random from the syntax that redis-server tells of them (COMMAND DOCS), most of them right and
some broken. Nothing that is made expires by itself, blocks, or takes much memory.
"""

from differential import FAR, FAR_MS
from resp import decode

FAR_DATE = 4102444800  # 2100; seconds
NUMBERS = ["0", "1", "-1", "2", "7", "10", "100", "-100", "4294967296", "9223372036854775807", "-9223372036854775808",
           "9223372036854775808", "x", "", "1.5", " 1", "+1", "01"]
DOUBLES = ["0", "1", "1.5", "-2.25", "1e3", "3.0e-5", "inf", "-inf", "nan", "1e4900", "x", "", "0x10", " 1", "17179869184.25"]
JUNK = ["", "x", "-1", "0", b"\xff\0", "9223372036854775808", "NX", "GET", "*", "KEEPTTL", "abc def"]
RULES = ["on", "off", "nopass", "resetpass", ">one", "<one", ">two", "#" + "a" * 64, "!" + "a" * 64, "#abc", "~*", "~k*", "~{t}*",
         "%R~a*", "%W~b*", "%RW~{t}a", "%X~a", "allkeys", "resetkeys", "+@all", "-@all", "+get", "-get", "+set", "-set", "+@read",
         "-@read", "+@write", "-@write", "-@dangerous", "+@string", "-@string", "+@fast", "-@slow", "+@connection", "-@admin",
         "+@nosuch", "+nosuch", "+client|id", "-client|id", "-client|nosuch", "+client", "-client", "-config", "+config|get",
         "+config|set", "+acl|whoami", "+select|0", "+@transaction", "+@keyspace", "+@bitmap", "allcommands", "nocommands", "&*", "&a",
         "allchannels", "resetchannels", "reset", "clearselectors", "(+get ~k*)", "(+@read %R~{t}*)", "(+set", "()", "(on)",
         "(+@all -@write ~*)", "sanitize-payload", "skip-sanitize-payload", "", "nosuch", "+MGET", "+mget", "-mset"]
PARAMETERS = {
    "slowlog-max-len": ["128", "0", "1000", "x", "-1"], "acllog-max-len": ["128", "10", "x", "-1"],
    "slowlog-log-slower-than": ["10000", "1000000", "-1", "x"], "latency-tracking": ["yes", "no", "maybe"],
    "latency-monitor-threshold": ["0", "100000", "-1", "x"], "loglevel": ["notice", "warning", "verbose", "loud"],
    "maxclients": ["0", "x", "-1"], "appendonly": ["no"], "databases": ["x"], "nosuch": ["1"],
    "client-query-buffer-limit": ["x", "1"], "proto-max-bulk-len": ["x"], "tcp-keepalive": ["300", "-1", "x"],
    "client-output-buffer-limit": ["x", "normal 0 0", "normal x 0 0", "nosuch 0 0 0"], "timeout": ["0", "x", "-1"],
}


def fields(flat):
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


class Argument:
    """One of COMMAND DOCS, with those it is made of."""

    def __init__(self, flat):
        told = fields(flat)
        self.name = told["name"].decode()
        self.type = told["type"].decode()
        self.token = told.get("token", b"").decode()
        self.flags = {flag.decode() if isinstance(flag, bytes) else flag.lstrip("+") for flag in told.get("flags", [])}
        self.parts = [Argument(part) for part in told.get("arguments", [])]

    def words(self, values, command):
        if "optional" in self.flags and values.random.random() < 0.6:
            return []
        result = []
        for number in range(values.random.choice((1, 1, 2, 3)) if "multiple" in self.flags else 1):
            if self.token and (number == 0 or "multiple_token" in self.flags):
                result.append(values.any_case(self.token))
            if self.type == "oneof":
                result += values.random.choice(self.parts).words(values, command)
            elif self.type == "block":
                result += [word for part in self.parts for word in part.words(values, command)]
            elif self.type != "pure-token":
                result += values.of(self, command)
        return result


class Grammar:
    """Of the commands that both have: `ours` is the proxy's COMMAND LIST, `connection` leads to redis-server."""

    def __init__(self, connection, ours, left_out):
        self.commands = {}  # "client|id": its arguments
        self.group = {}
        docs = decode(connection.call("COMMAND", "DOCS"))
        for name, flat in zip(docs[::2], docs[1::2]):
            self._add(name.decode(), fields(flat), ours, left_out)
        self.names = sorted(self.commands)

    def _add(self, name, told, ours, left_out):
        subcommands = told.get("subcommands", [])
        for sub, flat in zip(subcommands[::2], subcommands[1::2]):
            self._add(sub.decode(), fields(flat), ours, left_out)
        if subcommands or name not in ours or name in left_out:
            return
        self.commands[name] = [Argument(flat) for flat in told.get("arguments", [])]
        self.group[name] = told["group"].decode()

    def command(self, values, name, broken=0.12):
        """Its words."""
        words = [values.any_case(word) for word in name.split("|")]
        start = len(words)
        for argument in self.commands[name]:
            words += argument.words(values, name)
        if name in ("command|getkeys", "command|getkeysandflags", "acl|dryrun"):
            words = words[:start + (name == "acl|dryrun")]
            inner = [one for one in self.names if one != name and "dryrun" not in one]
            words += self.command(values, values.random.choice(inner))
        elif values.random.random() < broken:
            words = values.broken(words, start, name)
        return [word if isinstance(word, bytes) else str(word).encode() for word in words]


class Values:
    """What a session's commands are about: few keys and few values, so that commands meet."""

    def __init__(self, random, one_slot, large):
        self.random = random
        self.keys = ["{t}a", "{t}b", "{t}c", "k{t}"] if one_slot else ["a", "b", "c", "{t}a", "{t}b", "key:1", ""]
        self.strings = ["", "1", "12", "-7", "1.5", "hello", "x" * 300, "9223372036854775807", "\r\n", b"\0\xff\x80"]
        if large:
            self.strings += ["y" * 4096, "z" * 20000]
        self.payloads = [b"", b"junk"]  # what DUMP has answered

    def any_case(self, word):
        return word if self.random.random() < 0.8 else word.lower()

    def seconds(self):
        # Hardly ever the same twice: GT and LT would then tell in which millisecond a server was asked.
        return self.random.choice([self.random.randrange(FAR, 4 * FAR)] * 8 + [0, -1, "x", 9223372036854775807, 2 ** 63 // 1000])

    def of(self, argument, command):
        """The words of an argument that has no parts."""
        pick, name = self.random.choice, argument.name.lower()
        if argument.type == "key":
            return [pick(self.keys)]
        if name in ("seconds", "unix-time-seconds") or argument.type == "unix-time" or "milliseconds" in name:
            return [self.time(argument, name, command)]
        special = {
            "offset": ["0", "1", "7", "8", "100", "5000", "-1", "x", "4294967296", "#1"],
            "encoding": ["u1", "u8", "i8", "u63", "u64", "i64", "i65", "u0", "x"],
            "cursor": ["0", "0", "0", "x", ""], "ttl": ["0", str(FAR_MS), "-1", "x"],
            "serialized-value": self.payloads, "client-id": ["999999999", "x", "-1", "0"],
            "protover": ["2", "3", "4", "x"], "username": ["u1", "u2", "u3", "default", "nosuch", "a b"],
            "password": ["one", "two", "", "three"], "rule": RULES, "bits": ["1", "64", "4096", "5000", "0", "-1", "x"],
            "connection-name": ["me", "you", "", "a b", "\n"], "clientname": ["me", "a b"],
            "categoryname": ["read", "string", "nosuch", "dangerous"], "category": ["read", "string", "nosuch"],
            "command-name": ["get", "set", "client", "client|id", "nosuch", "MGET"], "section": ["server", "x", "all"],
            "pattern": ["*", "k*", "{t}?", "[ab]", "nosuch", "[^a]", "\\*", ""], "event": ["command", "fast-command", "x"],
            "index": ["0", "0", "1", "-1", "x"], "destination-db": ["0", "0", "1", "x"], "module-name": ["x"],
        }
        if command == "scan" and name == "count":
            return [pick(["10", "1000", "0", "-1", "x"])]
        if command == "scan" and name == "type":
            return [pick(["string", "STRING", "list", "x"])]
        if command.startswith("config|") and name == "parameter":
            return [pick(list(PARAMETERS))]
        if command == "config|set" and name == "value":
            return [pick(["0", "x"])]  # config_set() takes better ones
        if command == "acl|deluser" and name == "username":
            return [pick(["u3", "u4", "nosuch"])]  # nobody is connected as these
        if command == "acl|setuser" and name == "username":
            return [pick(["u1", "u2", "u3", "a b"])]  # who is to clean up is "default"
        if command in ("auth", "hello") and name == "username":
            return [pick(["u1", "u2", "default", "nosuch"])]
        if name in special:
            return [pick(special[name])]
        if argument.type == "integer":
            return [pick(NUMBERS)]
        if argument.type == "double":
            return [pick(DOUBLES)]
        return [pick(self.strings)]

    def time(self, argument, name, command):
        if argument.type == "unix-time":
            factor = 1000 if "milli" in name else 1
            # What SET stores as expired already, redis-server counts in DBSIZE until it happens to remove it.
            past = [] if command == "set" else [1]
            return self.random.choice([FAR_DATE * factor, FAR_DATE * factor + 1, *past, 0, -1, "x", 9223372036854775807])
        if "milliseconds" in name:
            value = self.seconds()
            return value * 1000 if isinstance(value, int) and FAR <= value < 4 * FAR else value
        return self.seconds()

    def broken(self, words, start, name):
        """One word too few, too many, or wrong; never the command's name."""
        words = list(words)
        how = self.random.choice(["drop", "add", "replace", "swap", "twice"])
        at = self.random.randrange(start, len(words) + 1)
        if how == "add" or at == len(words):
            words.insert(at, self.random.choice(JUNK))
        elif how == "drop":
            del words[at]
        elif how == "replace":
            words[at] = self.random.choice(JUNK)
        elif how == "twice":
            words.insert(at, words[at])
        elif at + 1 < len(words) and name not in ("setex", "psetex"):  # whose value would be a time
            words[at], words[at + 1] = words[at + 1], words[at]
        return words
