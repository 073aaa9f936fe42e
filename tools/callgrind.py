"""Programs under valgrind's callgrind, for tools/count-instructions."""

import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "integration"))
from programs import Program  # noqa: E402


def total_of(profile):
    """The instructions counted in a profile."""
    return int(re.search(r"^(?:totals|summary): (\d+)", profile.read_text(), re.M).group(1))


class Counted:
    """A program under callgrind."""

    def __init__(self, folder, *argv):
        self.folder, self.name = folder, pathlib.Path(argv[0]).name
        self.program = Program(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/{self.name}.%p",
                                "--dump-line=no", *argv])

    def control(self, *words):
        subprocess.run(["callgrind_control", *words, str(self.program.pid)], check=True, capture_output=True)

    def reset(self):
        self.control("-z")

    def take(self, label):
        """Instructions since the last reset, and the profile that says where."""
        before = set(self.folder.iterdir())
        self.control(f"--dump={label}")
        fresh = [path for path in self.folder.iterdir()
                 if path not in before and path.name.startswith(self.name)]
        assert len(fresh) == 1, fresh
        kept = fresh[0].rename(self.folder / f"{self.name}.{label}.callgrind")
        return total_of(kept), kept

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.stop()


def top_functions(profile, count, operations):
    text = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", str(profile)], check=True,
                          capture_output=True, text=True).stdout
    rows = re.findall(r"^ *([\d,]+) \( *[\d.]+%\)  (\S.*)$", text, re.M)
    for instructions, where in rows[1:count + 1]:
        function = re.sub(r" \[.*\]$", "", where.split(":", 1)[-1])
        print(f"      {int(instructions.replace(',', '')) / operations:9.1f}  {function[:110]}")
