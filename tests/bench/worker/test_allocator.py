"""In a process of its own: the allocator's state can only be changed once."""

import platform
import subprocess
import sys

from bench.planning.plan import ROOT
from bench.worker import allocator

PROGRAM = """
import resource, sys
from bench.worker import allocator
if sys.argv[1] == "settled":
    print(allocator.settle())
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(15 << 20)[::4096] = bytes(15 << 8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def test_settling_ends_the_page_faults_of_large_blocks() -> None:
    def faults(state: str) -> int:
        command = [sys.executable, "-c", PROGRAM, state]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        return int(told.stdout.split()[-1])

    glibc = platform.libc_ver()[0] == "glibc"
    assert faults("settled") < 100 or not glibc
    assert faults("fresh") > 1000 or not glibc  # what `settle` is there for


def test_it_says_what_allocator_this_is() -> None:
    assert platform.libc_ver()[1] in allocator.settle()
