#!/usr/bin/env python3
"""Corners of protected mode, MONITOR and MWAIT, code that rewrites its operands, system calls: firmware of checks.

Usage: corners.py MYNA [test...]
"""
import firmware
import machine


CALLS = 0xd000  # it is long

TESTS = {
    'checks': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'max'),
    'checks-32': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'pentium'),
    'mwait': lambda myna: firmware.checks(myna, 'mwait.S', '-cpu', 'max'),
    'mwait-smp': lambda myna: firmware.checks(myna, 'mwait.S', '-cpu', 'phenom', '-smp', 2),
    'checks-interpreted': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'max', engine='tcg,interp=on'),
    'calls': lambda myna: firmware.checks(myna, 'calls.S', '-cpu', 'max', start=CALLS),
    'calls-verified': lambda myna: firmware.checks(myna, 'calls.S', '-cpu', 'EPYC', engine='tcg,verify=1', start=CALLS),
    'calls-interpreted': lambda myna: firmware.checks(myna, 'calls.S', '-cpu', 'max', engine='tcg,interp=on', start=CALLS),
    'patched': lambda myna: firmware.checks(myna, 'patched.S'),
    'patched-smp': lambda myna: firmware.checks(myna, 'patched.S', '-smp', 2),
    'patched-interpreted': lambda myna: firmware.checks(myna, 'patched.S', engine='tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
