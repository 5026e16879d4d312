#!/usr/bin/env python3
"""Debug registers in real mode: port and data breakpoints, with a firmware made of debug.S.

Usage: debug.py MYNA
"""
import os
import pathlib
import subprocess
import tempfile

import machine

SIZE, START = 0x10000, 0xe000


def write_firmware(folder):
    paths = [os.path.join(folder, name) for name in ('debug.o', 'debug.elf', 'debug.bin', 'bios')]
    source = pathlib.Path(__file__).with_suffix('.S')
    try:
        subprocess.run(['as', '--32', '-o', paths[0], source], check=True)
        subprocess.run(['ld', '-m', 'elf_i386', '-N', '--no-warn-rwx-segments', '-Ttext', hex(START), '-e', 'start', '-o', *paths[1::-1]], check=True)
        subprocess.run(['objcopy', '-O', 'binary', '-j', '.text', '-j', '.rodata', *paths[1:3]], check=True)
    except OSError:
        machine.skip('as, ld and objcopy are missing (Debian package binutils)')
    code = pathlib.Path(paths[2]).read_bytes()
    image = bytearray(SIZE)
    image[START:START + len(code)] = code
    image[0xfff0:0xfff5] = b'\xea' + START.to_bytes(2, 'little') + b'\x00\xf0'
    pathlib.Path(paths[3]).write_bytes(image)
    return paths[3]


def registers(myna, *args):
    with tempfile.TemporaryDirectory() as folder:
        with machine.Machine(myna, '-nodefaults', '-bios', write_firmware(folder), *args) as m:
            if m.expect(r'DEBUG-(\w+)', 20)[1] != 'GOOD':
                raise machine.Failure('traps are missing, or others came: ' +
                                      m.command('human-monitor-command', **{'command-line': 'xp /48xh 0x600'}))


TESTS = {
    'registers': registers,
    'registers-interpreted': lambda myna: registers(myna, '-accel', 'tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
