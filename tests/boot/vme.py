#!/usr/bin/env python3
"""Virtual interrupts (CR4.VME, CR4.PVI) and redirected software interrupts: a firmware of checks.

Usage: vme.py MYNA [test...]
"""
import firmware
import machine


TESTS = {
    'checks': lambda myna: firmware.checks(myna, 'vme.S', '-cpu', 'max'),
    'checks-32': lambda myna: firmware.checks(myna, 'vme.S', '-cpu', 'pentium'),
    'checks-interpreted': lambda myna: firmware.checks(myna, 'vme.S', '-cpu', 'max', engine='tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
