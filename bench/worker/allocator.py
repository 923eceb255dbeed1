"""Brings the C allocator to the state that a long training process reaches anyway.

glibc maps large blocks anew from the kernel, page fault by page fault, until the program has
freed one of that size; then it keeps such blocks (mallopt(3), "dynamic mmap threshold"). The
threshold only ever rises, to at most 32 MiB. So the same training ran at 60 ms or 48 ms a step
under torch, depending only on whether the process had freed a large array before, which a short
timed slot in a fresh process has not, and a script that normalised its test images has.
"""

import ctypes
import platform

LARGEST_THRESHOLD_BYTES = 32 << 20
HEADER_BYTES = 8192  # the block's own header, rounded up to pages, must fit under the maximum


def settle() -> str:
    """Free one block of the largest size that counts; say what allocator this is."""
    name, version = platform.libc_ver()
    if name != "glibc":
        return f"{name or 'unknown C library'} {version}".strip()
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free(libc.malloc(LARGEST_THRESHOLD_BYTES - HEADER_BYTES))
    return f"glibc {version}, dynamic threshold settled at 32 MiB"
