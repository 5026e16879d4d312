#!/usr/bin/env python3
"""Local APICs of four processors, MTRRs and the PAT: firmwares of checks.

Usage: apic.py MYNA [test...]
"""
import firmware
import machine


TESTS = {
    'checks': lambda myna: firmware.checks(myna, 'apic.S', '-M', 'pc,smm=on', '-cpu', 'max', '-smp', '4', start=0x8000),
    'checks-interpreted': lambda myna: firmware.checks(myna, 'apic.S', '-M', 'pc,smm=on', '-cpu', 'max', '-smp', '4', start=0x8000, engine='tcg,interp=on'),
    'mtrr': lambda myna: firmware.checks(myna, 'mtrr.S', '-cpu', 'max'),
    'mtrr-32': lambda myna: firmware.checks(myna, 'mtrr.S', '-cpu', 'pentium3'),
    'no-mtrr': lambda myna: firmware.checks(myna, 'mtrr.S', '-cpu', 'pentium'),
}

if __name__ == '__main__':
    machine.main(TESTS)
