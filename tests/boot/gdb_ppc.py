#!/usr/bin/env python3
"""The gdb server of PowerPC machines with the real gdb: FPRs, AltiVec and VSX in both byte orders, single steps.

usage: gdb_ppc.py MYNA [test...]
"""
import pathlib
import shutil
import subprocess
import tempfile
import time

import machine

GDB = ['gdb-multiarch', '-q', '-nx', '-batch']


def debug(myna, name, args, commands, expected):
    """Runs gdb's commands on a machine that stands before its first instruction; each expected line is in what they print."""
    if not shutil.which(GDB[0]):
        machine.skip('gdb-multiarch is not installed (Debian package gdb-multiarch)')
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/gdb'
        program = pathlib.Path(myna).with_name(name)
        with machine.Machine(str(program), *args, '-m', 256, '-nic', 'none', '-S', '-gdb', f'unix:{path},server=on,wait=off') as m:
            for _ in range(100):
                if pathlib.Path(path).exists():
                    break
                time.sleep(0.1)
            given = [f'target remote {path}', 'set endian big', *commands]
            run = subprocess.run([*GDB, *(word for line in given for word in ('-ex', line))], capture_output=True, text=True,
                                 timeout=120, check=False)
    for line in expected:
        if line not in run.stdout.splitlines():
            raise machine.Failure(f'gdb does not say "{line}":\n{run.stdout}{run.stderr}')


def need(*files):
    for name in files:
        if not pathlib.Path('/usr/share/qemu', name).exists():
            machine.skip(f'{name} is not installed (Debian package qemu-system-data)')


def pseries(myna):
    need('slof.bin')
    commands = ['set $vr3.v4_int32[0] = 0x11223344', 'set $vr3.v4_int32[3] = 0x55667788', 'p/x $vr3.uint128', 'p/x $vs35.uint128',
                'set $f5 = 1.5', 'set $vs5.v4_int32[3] = 7', 'p/x $vs5.uint128', 'set $vscr = 0x10000', 'p/x $vscr', 'set $dscr = 5',
                'p $dscr', 'set $msr = $msr | 1', 'set endian little', 'p/x $vs5.uint128', 'set $vs6.v4_int32[0] = 9',
                'p/x $vs6.uint128', 'set $r3 = 0x1122334455667788', 'p/x $r3', 'p/x $cr']
    debug(myna, 'myna-system-ppc64', ['-M', 'pseries', '-vga', 'none'], commands,
          ['$1 = 0x11223344000000000000000055667788', '$2 = 0x11223344000000000000000055667788', '$3 = 0x3ff80000000000000000000000000007',
           '$4 = 0x10000', '$5 = 5', '$6 = 0x3ff80000000000000000000000000007', '$7 = 0x9', '$8 = 0x1122334455667788', '$9 = 0x0'])


def mac(myna):
    need('openbios-ppc')
    commands = ['info registers pc', 'set $vr31.v16_int8[15] = 0x21', 'p/x $vr31.uint128', 'set $vrsave = 1', 'p $vrsave', 'set $f1 = -2',
                'p $f1', 'stepi', 'p/x $pc', 'p $vs0']
    debug(myna, 'myna-system-ppc', ['-M', 'mac99', '-cpu', '7400'], commands,
          ['$1 = 0x21', '$2 = 1', '$3 = -2', '$5 = void'])


def no_vectors(myna):
    need('openbios-ppc')
    debug(myna, 'myna-system-ppc', ['-M', 'g3beige'], ['set $f31 = 0.5', 'p $f31', 'p $vr0', 'p $fpscr'], ['$1 = 0.5', '$2 = void', '$3 = 0'])


TESTS = {'pseries': pseries, 'mac': mac, 'no-vectors': no_vectors}

if __name__ == '__main__':
    machine.main(TESTS)
