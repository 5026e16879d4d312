#!/usr/bin/env python3
"""Corners of protected mode: a firmware of checks; another of MONITOR and MWAIT.

Usage: corners.py MYNA [test...]
"""
import firmware
import machine


TESTS = {
    'checks': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'max'),
    'checks-32': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'pentium'),
    'mwait': lambda myna: firmware.checks(myna, 'mwait.S', '-cpu', 'max'),
    'mwait-smp': lambda myna: firmware.checks(myna, 'mwait.S', '-cpu', 'phenom', '-smp', 2),
    'checks-interpreted': lambda myna: firmware.checks(myna, 'corners.S', '-cpu', 'max', engine='tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
