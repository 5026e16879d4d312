#!/usr/bin/env python3
"""Corners of real and protected mode, MONITOR and MWAIT, code that rewrites its operands, system calls: firmware of checks.

Usage: corners.py MYNA [test...]
"""
import pathlib
import tempfile
import time

import firmware
import machine

CALLS = 0xc000  # it is long


def resets(myna, engine):
    """Wherever a reset finds a guest whose frames overwrite the code that it runs, the guest begins anew."""
    with tempfile.TemporaryDirectory() as folder:
        bios = firmware.assemble(folder, pathlib.Path(__file__).with_name('frames.S'))
        with machine.Machine(firmware.system(myna), '-accel', engine, '-nodefaults', '-m', 16, '-bios', bios, '-device',
                             'isa-debugcon,iobase=0x402,chardev=fw', '-chardev', 'file,id=fw,path=/dev/stdout', serial=False) as m:
            for n in range(1, 31):
                m.expect('R' * n, 30)
                time.sleep(0.03)
                m.command('system_reset')


def number(myna):
    """A check that fails has failed, whatever its number is."""
    try:
        firmware.checks(myna, 'number.S')
    except machine.Failure as e:
        if str(e) == 'check 144 failed':
            return
        raise
    raise machine.Failure('a check that fails was taken for one that does not')


TESTS = {
    'checks': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'max'),
    'checks-32': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'pentium'),
    'mwait': lambda myna: firmware.checks(myna, 'mwait.S', '-cpu', 'max'),
    'mwait-smp': lambda myna: firmware.checks(myna, 'mwait.S', '-cpu', 'phenom', '-smp', 2),
    'checks-interpreted': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'max', engine='tcg,interp=on'),
    'calls': lambda myna: firmware.checks(myna, 'calls.S', '-cpu', 'max', start=CALLS),
    'calls-verified': lambda myna: firmware.checks(myna, 'calls.S', '-cpu', 'EPYC', engine='tcg,verify=1', start=CALLS),
    'calls-interpreted': lambda myna: firmware.checks(myna, 'calls.S', '-cpu', 'max', engine='tcg,interp=on', start=CALLS),
    'real': lambda myna: firmware.checks(myna, 'real.S', '-cpu', 'max'),
    'real-interpreted': lambda myna: firmware.checks(myna, 'real.S', '-cpu', 'max', engine='tcg,interp=on'),
    'resets': lambda myna: resets(myna, 'tcg'),
    'resets-interpreted': lambda myna: resets(myna, 'tcg,interp=on'),
    'number': number,
    'patched': lambda myna: firmware.checks(myna, 'patched.S'),
    'patched-smp': lambda myna: firmware.checks(myna, 'patched.S', '-smp', 2),
    'patched-interpreted': lambda myna: firmware.checks(myna, 'patched.S', engine='tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
