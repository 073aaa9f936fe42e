"""A Redis client on a bare socket that hands out replies as the bytes that came. Standard library only."""

import socket


def encode(*arguments):
    """A command as client libraries send it."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Closed(Exception):
    """The other end closed the connection."""


class Connection:
    def __init__(self, port, protocol=2, host="127.0.0.1", patience=120):
        self.socket = socket.create_connection((host, port), patience)
        self.buffer = b""
        if protocol == 3:
            self.call("HELLO", 3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, *arguments):
        self.send(encode(*arguments))
        return self.reply()

    def _more(self):
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(self.buffer)
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line + b"\r\n"

    def read(self, count):
        """So many bytes of replies."""
        pieces = []
        while count > 0:
            if not self.buffer:
                self._more()
            piece, self.buffer = self.buffer[:count], self.buffer[count:]
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def reply(self):
        """One whole reply, unparsed."""
        line = self._line()
        kind, rest = line[:1], line[1:-2]
        if kind in b"$=!" and rest != b"-1":
            return line + self.read(int(rest) + 2)
        if kind in b"*~>" and rest != b"-1":
            return line + b"".join(self.reply() for _ in range(int(rest)))
        if kind == b"%":
            return line + b"".join(self.reply() for _ in range(2 * int(rest)))
        return line

    def rest(self):
        """Everything until the other end closes."""
        try:
            while True:
                self._more()
        except Closed:
            data, self.buffer = self.buffer, b""
            return data


def decode(data):
    """A raw reply as Python values; maps as lists of pairs, errors and statuses as text."""
    value, rest = _decode(data)
    assert not rest, rest
    return value


def _decode(data):
    line, _, rest = data.partition(b"\r\n")
    kind, text = line[:1], line[1:]
    if kind in b"$=" and text != b"-1":
        length = int(text)
        body = rest[:length]
        return (body[4:] if kind == b"=" else body), rest[length + 2:]
    if kind in b"*~>%" and text != b"-1":
        items = []
        for _ in range(int(text) * (2 if kind == b"%" else 1)):
            item, rest = _decode(rest)
            items.append(item)
        return items, rest
    if kind == b":":
        return int(text), rest
    if kind in b"+-":
        return line, rest
    return None, rest
