"""A seccomp filter: what a process may no longer ask of the kernel, all its threads included.

Chosen over network namespaces because it needs no privilege and no help: a namespace of one's own is refused
to ordinary users on hardened hosts and inside containers, and cannot be entered by a process with threads.

Source: seccomp(2), Linux 3.17; linux/audit.h, linux/filter.h, and the tables of system call numbers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

_Line: TypeAlias = tuple[int, int, int, int]
"""An instruction: code, if true, if false, value."""

_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32: Final = 0x40000000
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_ARCHITECTURES: Final[Mapping[str, tuple[int, int]]] = {
    "x86_64": (0xC000003E, 317),
    "aarch64": (0xC00000B7, 277),
}
"""Name in the kernel's words, and the number of seccomp(2)."""

_NETWORK: Final[Mapping[str, tuple[int, ...]]] = {
    # socket connect accept bind listen socketpair accept4, io_uring_* (opens sockets unseen)
    "x86_64": (41, 42, 43, 49, 50, 53, 288, 425, 426, 427),
    "aarch64": (198, 203, 202, 200, 201, 199, 242, 425, 426, 427),
}
_OTHERS: Final[Mapping[str, tuple[int, ...]]] = {
    # ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal rt_sigqueueinfo
    # rt_tgsigqueueinfo tkill process_madvise process_mrelease, bpf perf_event_open userfaultfd
    # add_key request_key keyctl
    # mount umount2 pivot_root chroot unshare setns open_by_handle_at
    # kexec_load init_module finit_module delete_module reboot
    "x86_64": (101, 310, 311, 434, 438, 424, 129, 297, 200, 440, 448, 321, 298, 323, 248, 249, 250)
    + (165, 166, 155, 161, 272, 308, 304, 246, 175, 313, 176, 169),
    "aarch64": (117, 270, 271, 434, 438, 424, 138, 240, 130, 440, 448, 280, 241, 282, 217, 218, 219)
    + (40, 39, 41, 51, 97, 268, 265, 104, 105, 273, 106, 142),
}
_TO_PROCESS: Final[Mapping[str, tuple[int, ...]]] = {
    # kill tgkill: of oneself only
    "x86_64": (62, 234),
    "aarch64": (129, 131),
}
_LIMITS_OF: Final[Mapping[str, int]] = {"x86_64": 302, "aarch64": 261}
"""prlimit64: of oneself only, whose number may be 0. A limit of CPU time ends a process, too."""
_COMMANDS: Final[Mapping[str, Mapping[int, tuple[int, ...]]]] = {
    # fcntl: F_SETOWN F_SETSIG F_SETOWN_EX, by which a file that becomes readable sends a signal to anybody
    # ioctl: FIOSETOWN SIOCSPGRP, the same for sockets; TIOCSTI TIOCLINUX, which type at the terminal
    "x86_64": {72: (8, 10, 15), 16: (0x8901, 0x8902, 0x5412, 0x541C)},
    "aarch64": {25: (8, 10, 15), 29: (0x8901, 0x8902, 0x5412, 0x541C)},
}
"""Commands, the second argument, that are denied."""
_FILES: Final[Mapping[str, tuple[int, ...]]] = {
    # creat openat2 truncate, rename* mkdir* rmdir unlink* link* symlink* mknod*
    # *chmod* *chown* *xattr utime*, execve execveat
    "x86_64": (85, 437, 76, 82, 264, 316, 83, 258, 84, 87, 263, 86, 265, 88, 266, 133, 259)
    + (90, 91, 268, 452, 92, 93, 94, 260, 188, 189, 190, 197, 198, 199, 132, 235, 261, 280, 59, 322),
    "aarch64": (437, 45, 38, 276, 34, 35, 37, 36, 33)
    + (52, 53, 452, 54, 55, 5, 6, 7, 14, 15, 16, 88, 221, 281),
}
_OPEN: Final[Mapping[str, Mapping[int, int]]] = {
    # open openat, and which argument their flags are
    "x86_64": {2: 1, 257: 2},
    "aarch64": {56: 2},
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def deny(*, network: bool, files: bool) -> None:
    """Give up, for good and for every thread: new privileges, other processes, and what is named.

    What is denied fails with EACCES. Descriptors that are open already stay usable.

    Args:
        network: Sockets of any kind.
        files: Making, changing, removing and executing files.

    Raises:
        OSError: The kernel has no such filter, or this machine's system calls are not known here.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}")
    lines = [_Instruction(*line) for line in _program(machine, network=network, files=files)]
    code = (_Instruction * len(lines))(*lines)
    program = _Program(len(lines), code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    number = _ARCHITECTURES[machine][1]
    thread = libc.syscall(number, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    if thread != 0:
        # a positive answer names a thread that could not be brought in
        raise OSError(ctypes.get_errno() if thread < 0 else errno.ESRCH, "seccomp(SECCOMP_SET_MODE_FILTER)")


def _program(machine: str, *, network: bool, files: bool) -> Iterable[_Line]:
    """The filter; first match wins."""
    yield _load(_ARCHITECTURE_AT)
    yield (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine][0])
    yield _refuse(errno.ENOSYS)
    yield _load(_NUMBER_AT)
    if machine == "x86_64":
        yield (_JUMP_AT_LEAST, 0, 1, _X32)
        yield _refuse(errno.ENOSYS)
    denied = _OTHERS[machine] + (_NETWORK[machine] if network else ()) + (_FILES[machine] if files else ())
    for number in denied:
        yield (_JUMP_EQUAL, 0, 1, number)
        yield _refuse(errno.EACCES)
    for number in _TO_PROCESS[machine]:
        yield from _by_argument(number, 0, [os.getpid()], _allow(), _refuse(errno.EACCES))
    yield from _by_argument(_LIMITS_OF[machine], 0, [0, os.getpid()], _allow(), _refuse(errno.EACCES))
    for number, commands in _COMMANDS[machine].items():
        yield from _by_argument(number, 1, commands, _refuse(errno.EACCES), _allow())
    for number, argument in _OPEN[machine].items() if files else ():
        yield (_JUMP_EQUAL, 0, 4, number)
        yield _load(_ARGUMENTS_AT + 8 * argument)
        yield (_JUMP_ANY_BIT, 0, 1, _WRITING)
        yield _refuse(errno.EACCES)
        yield _allow()
    yield _allow()


def _by_argument(
    number: int, argument: int, values: Sequence[int], listed: _Line, otherwise: _Line
) -> Iterable[_Line]:
    """What comes of a system call where an argument (its lower 32 bits) is one of some values, or is none."""
    yield (_JUMP_EQUAL, 0, 2 * len(values) + 2, number)
    yield _load(_ARGUMENTS_AT + 8 * argument)
    for value in values:
        yield (_JUMP_EQUAL, 0, 1, value)
        yield listed
    yield otherwise


def _allow() -> _Line:
    return (_RETURN, 0, 0, _ALLOW)


def _load(offset: int) -> _Line:
    return (_LOAD, 0, 0, offset)


def _refuse(number: int) -> _Line:
    return (_RETURN, 0, 0, _ERRNO | number)
