"""What the process is told before it computes."""

import platform
import subprocess
import sys

import pytest
import torch

from gan import numerics

# Pieces of a batch's size, one after the other, as the operations of a step make and drop them.
_CHURN = """
import resource, sys, torch
from gan import numerics
if sys.argv[1] == "configured":
    numerics.configure(1)
def churn():
    for _ in range(50):
        kept = [torch.ones(2**20) for _ in range(4)]
churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that the kernel handed out for 50 times 16 MiB, the second time round."""
    done = subprocess.run(
        [sys.executable, "-c", _CHURN, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed")
def test_freed_memory_is_kept_for_the_next_tensors() -> None:
    # Whether transparent huge pages are on decides how many faults there are without this.
    assert faults("configured") < 100


def test_kept_memory_changes_no_bit() -> None:
    found = []
    for keep in (True, False, True):
        done = numerics.keep_memory(keep)
        generator = torch.Generator().manual_seed(0)
        first = torch.randn(3000, 3000, generator=generator)  # 36 MB: above what is mapped
        found.append((done, (first @ first[:, :8]).sum(0)))
    assert {done for done, _ in found} in ({True}, {False})
    assert all(torch.equal(found[0][1], other) for _, other in found[1:])
