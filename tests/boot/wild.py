#!/usr/bin/env python3
"""Random code in real, protected and virtual-8086 mode: whatever it does to its machine, the process lives and answers.

What hangs in a loop with interrupts off is ended by NMIs, what destroys its firmware's tables by a reset. The firmware prints a dot for four
pieces of code. $MYNA_SEED chooses others; where NMIs come is chance.

Usage: wild.py MYNA [test...]
"""
import os
import pathlib
import random
import tempfile
import time

import firmware
import machine


LONGEST = 40  # times as long as on a host that has nothing else to do


def processor_time(m):
    """What the process has had, in seconds: on a busy host the guest goes on as slowly as that does."""
    fields = pathlib.Path(f'/proc/{m.process.pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def disturb(m):
    """NMIs, one behind the other, for some time of the process's."""
    end, count = processor_time(m) + 0.03, 0
    while count < 100 or (processor_time(m) < end and count < 3000):
        m.command('inject-nmi')
        time.sleep(0.0003)
        count += 1


def wild(myna, source, seconds, engine='tcg', cpu='max'):
    seed = int(os.environ.get('MYNA_SEED', 0)) or random.getrandbits(31)
    print(f'MYNA_SEED={seed}')
    with tempfile.TemporaryDirectory() as folder:
        bios = pathlib.Path(firmware.assemble(folder, pathlib.Path(__file__).with_name(source)))
        code = bios.read_bytes()
        assert code.count(b'SEEDSEED') == 1
        bios.write_bytes(code.replace(b'SEEDSEED', seed.to_bytes(8, 'little')))
        with machine.Machine(firmware.system(myna), '-accel', engine, '-nodefaults', '-m', 16, '-bios', bios, '-no-shutdown', '-cpu', cpu,
                             '-device', 'isa-debugcon,iobase=0x402,chardev=fw', '-chardev', 'file,id=fw,path=/dev/stdout', serial=False) as m:
            begin, dots, resets, wanted = time.monotonic(), 0, 0, seconds / 2
            while time.monotonic() < begin + (seconds if dots >= wanted else LONGEST * seconds):
                disturb(m)
                if m.text.count('.') == dots or resets * 3 < processor_time(m):
                    m.command('system_reset')
                    m.command('cont')
                    resets += 1
                dots = m.text.count('.')
            if not m.command('query-status'):
                raise machine.Failure('no answer')
            if dots < wanted:
                raise machine.Failure(f'only {dots * 4} pieces of code, {resets} resets')
            print(f'{dots * 4} pieces of code, {resets} resets')


REAL, PROTECTED = 'wild-real.S', 'wild-protected.S'
TESTS = {
    'real': lambda myna: wild(myna, REAL, 6),
    'protected': lambda myna: wild(myna, PROTECTED, 8),
    'real-long': lambda myna: wild(myna, REAL, 60),
    'real-hot': lambda myna: wild(myna, REAL, 60, 'tcg,sites=all'),
    'real-verified': lambda myna: wild(myna, REAL, 60, 'tcg,verify=1'),
    'real-interpreted': lambda myna: wild(myna, REAL, 30, 'tcg,interp=on'),
    'real-pentium': lambda myna: wild(myna, REAL, 30, cpu='pentium'),
    'protected-long': lambda myna: wild(myna, PROTECTED, 120),
    'protected-hot': lambda myna: wild(myna, PROTECTED, 60, 'tcg,sites=all'),
    'protected-verified': lambda myna: wild(myna, PROTECTED, 60, 'tcg,verify=1'),
    'protected-interpreted': lambda myna: wild(myna, PROTECTED, 30, 'tcg,interp=on'),
    'protected-pentium': lambda myna: wild(myna, PROTECTED, 30, cpu='pentium'),
}

if __name__ == '__main__':
    machine.main(TESTS)
