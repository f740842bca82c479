import errno
import platform

import pytest

from autograder.sandbox import syscalls


def decide(program: bytes, description: dict[int, int]) -> int:
    """Run the program as the kernel does."""
    steps, place, value = list(syscalls.INSTRUCTION.iter_unpack(program)), 0, 0
    while True:
        code, if_true, if_false, constant = steps[place]
        place += 1
        if code == syscalls.RETURN:
            return constant
        if code == syscalls.LOAD:
            value = description[constant]
        elif code == syscalls.AND:
            value &= constant
        else:
            is_true = value == constant if code == syscalls.IF_EQUAL else value >= constant
            place += if_true if is_true else if_false


@pytest.mark.parametrize("machine", syscalls.NUMBERS)
@pytest.mark.parametrize("unnamed_shared", [True, False])
def test_the_named_calls_are_refused_and_no_others(machine: str, unnamed_shared: bool):
    program = syscalls._program(machine, unnamed_shared=unnamed_shared)
    own, numbers = syscalls.ARCHITECTURES[machine], syscalls.NUMBERS[machine]

    def is_refused(number: int, flags: int = 0, architecture: int = own) -> bool:
        decision = decide(program, {0: number, 4: architecture, 40: flags})
        assert decision in (syscalls.ALLOW, 0x50000 + errno.EPERM)
        return decision != syscalls.ALLOW

    mmap = numbers["mmap"]
    assert {number for number in range(600) if is_refused(number)} == set(numbers.values()) - {mmap}
    private, shared, shared_checked, of_file = 0x22, 0x21, 0x23, 0x01
    assert [is_refused(mmap, flags) for flags in (private, of_file)] == [False, False]
    assert [is_refused(mmap, flags) for flags in (shared, shared_checked)] == [unnamed_shared] * 2
    assert all(is_refused(number, architecture=0x40000003) for number in (1, 9, 39))  # 32 bits
    assert all(is_refused(number | 0x40000000) for number in numbers.values())


def test_this_machine_is_known():
    assert syscalls.is_known() == (platform.machine() in ("x86_64", "aarch64"))
