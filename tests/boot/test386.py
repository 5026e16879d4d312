#!/usr/bin/env python3
"""test386.asm: a 386's instructions, protection, paging and tasks, from a ROM in the firmware's place.

Usage: test386.py MYNA [test...]
"""
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import firmware
import machine
import suites

POST_PORT, TEXT_PORT = 0x190, 0xe9
FINISHED = 0xff


def assemble(folder):
    """The 128 KiB ROM, which has the tests of task switches, and what its results are compared with."""
    source = suites.source('test386.asm', 'https://github.com/barotto/test386.asm')
    shutil.copytree(source / 'src', folder / 'src')
    config = folder / 'src/configuration.asm'
    text = config.read_text()
    for name, value in ('POST_PORT', POST_PORT), ('OUT_PORT', TEXT_PORT), ('ROM128', 1):
        text = re.sub(rf'(?m)^{name} equ .*$', f'{name} equ {value}', text)
    config.write_text(text)
    rom = folder / 'rom'
    try:
        subprocess.run(['nasm', '-i./src/', '-f', 'bin', 'src/test386.asm', '-w-all', '-o', rom], cwd=folder, check=True)
    except OSError:
        machine.skip('nasm is not installed (Debian package nasm)')
    return rom, source / 'test386-EE-reference.txt'


def wait_code(m, codes, timeout):
    """The last POST code. The ROM halts for good at its end, and after a failure with the code of what failed."""
    end = time.monotonic() + timeout * machine.PATIENCE
    while time.monotonic() < end:
        time.sleep(0.5)
        data = codes.read_bytes()
        if data and (data[-1] == FINISHED or 'HLT=1' in m.command('human-monitor-command', **{'command-line': 'info registers'})):
            return codes.read_bytes()[-1]
    raise machine.Failure(f'does not end, POST codes {data.hex(" ")}')


def run(myna, board, *args):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rom, reference = assemble(folder)
        codes, text = folder / 'codes', folder / 'text'
        with machine.Machine(firmware.system(myna, 'i386'), '-M', board, '-nodefaults', '-bios', rom,
                             '-device', f'isa-debugcon,iobase={POST_PORT:#x},chardev=codes',
                             '-chardev', f'file,id=codes,path={codes}',
                             '-device', f'isa-debugcon,iobase={TEXT_PORT:#x},chardev=text',
                             '-chardev', f'file,id=text,path={text}', *args, serial=False) as m:
            last = wait_code(m, codes, 240)
        if last != FINISHED:
            raise machine.Failure(f'stopped at POST code {last:02x}h')
        if text.read_bytes() != reference.read_bytes():
            raise machine.Failure('results differ from test386-EE-reference.txt')


TESTS = {
    'pc': lambda myna: run(myna, 'pc'),
    'isapc': lambda myna: run(myna, 'isapc'),
    'verified': lambda myna: run(myna, 'pc', '-accel', 'tcg,verify=5'),
    'interpreted': lambda myna: run(myna, 'pc', '-accel', 'tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
