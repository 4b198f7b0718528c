"""A program that starts quickly still frees what it no longer needs."""

import subprocess
import sys

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
