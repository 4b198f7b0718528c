"""A program that starts quickly still frees what it no longer needs."""

import subprocess
import sys

import pytest

PROGRAM = """\
import weakref
from twostage.startup import quick_start

quick_start()

class Node:
    pass

nodes = []
for _ in range(100_000):
    node = Node()
    node.itself = node
    nodes.append(weakref.ref(node))
print(sum(node() is not None for node in nodes))
"""


def test_cycles_are_still_collected_while_a_program_runs():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("", []),
        ("sys.exit('error: the reason')", ["error: the reason"]),
        ("raise ValueError('the reason')", ["ValueError: the reason"]),
    ],
)
def test_nothing_is_written_after_the_last_line_of_a_program(end, said):
    pytest.importorskip("triton")
    program = f"import sys\nfrom twostage.startup import quick_start\nquick_start()\nimport triton\n{end}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1:] == said
