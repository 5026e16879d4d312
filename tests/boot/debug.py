#!/usr/bin/env python3
"""Debug registers in real mode: port and data breakpoints, with a firmware made of debug.S.

Usage: debug.py MYNA
"""
import pathlib
import tempfile

import firmware
import machine

def registers(myna, *args):
    with tempfile.TemporaryDirectory() as folder:
        with machine.Machine(myna, '-nodefaults', '-bios', firmware.assemble(folder, pathlib.Path(__file__).with_suffix('.S')), *args) as m:
            if m.expect(r'DEBUG-(\w+)\n', 20)[1] != 'GOOD':
                raise machine.Failure('traps are missing, or others came: ' +
                                      m.command('human-monitor-command', **{'command-line': 'xp /48xh 0x600'}))


TESTS = {
    'registers': registers,
    'registers-interpreted': lambda myna: registers(myna, '-accel', 'tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
