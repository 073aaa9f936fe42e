"""The options of the tests that make sessions of commands at random: the same seed makes the same ones."""

import argparse
import random
import time

from programs import Stack
from several_servers import Servers


def parse(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(2 ** 32))
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--session", type=int)
    parser.add_argument("--length", type=int, default=300, help="commands of a session")
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("--servers", type=int, default=1, help="of two workers each, behind the proxy")
    return parser.parse_args()


def programs(options):
    """Of this project, to be entered."""
    return Stack(workers=2, threads=2, memory=256) if options.servers == 1 else Servers(options.servers)


def numbers(options):
    """Of the sessions to run."""
    if options.session is not None:
        yield options.session
        return
    end = options.minutes and time.monotonic() + 60 * options.minutes
    number = 0
    while time.monotonic() < end if end else number < options.sessions:
        yield number
        number += 1


class Finding(Exception):
    """What is wrong; begins with the name of the command and a colon."""


class Findings:
    """The first of each command is shown."""

    def __init__(self, options):
        self.options, self.commands = options, set()

    def add(self, finding, number, past):
        """False: this is enough."""
        command = str(finding).split(":")[0]
        if command not in self.commands:
            self.commands.add(command)
            print(f"FINDING, --seed {self.options.seed} --session {number}: {finding}\n  " + "\n  ".join(past), flush=True)
        return self.options.go_on
