#!/usr/bin/env python3
"""AMD-V as the translator has it: a firmware of checks, and Debian's kvm-amd with and without nested paging.

Usage: svm.py MYNA [test...]
"""
import os
import pathlib
import random
import tempfile
import time

import firmware
import linux
import machine

GOOD = 0x10 << 1 | 1  # isa-debug-exit's status
START = 0x8000


def checks(myna, *args):
    with tempfile.TemporaryDirectory() as folder:
        bios = firmware.assemble(folder, pathlib.Path(__file__).with_name('svm.S'), START)
        with machine.Machine(firmware.system(myna), '-accel', 'tcg', '-nodefaults', '-m', 16, '-bios', bios,
                             '-device', 'isa-debug-exit,iobase=0x501', '-device', 'isa-debugcon,iobase=0x402,chardev=fw',
                             '-chardev', 'file,id=fw,path=/dev/stdout', '-cpu', 'qemu64,+svm', *args, serial=False) as m:
            if m.wait_exit(60) != GOOD:
                raise machine.Failure('number, exit code, EXITINFO1 and 2, RIP, next RIP, EXITINTINFO, RAX:\n' + m.text)


def fuzz(myna, seconds):
    """Random control blocks, nested tables and code: whatever it does to its machine, the process lives and answers."""
    seed = int(os.environ.get('MYNA_SEED', 0)) or random.getrandbits(63)
    print(f'MYNA_SEED={seed}')
    with tempfile.TemporaryDirectory() as folder:
        bios = pathlib.Path(firmware.assemble(folder, pathlib.Path(__file__).with_name('svm-fuzz.S'), START))
        bios.write_bytes(bios.read_bytes().replace(b'SEEDSEED' + bytes(8), b'SEEDSEED' + seed.to_bytes(8, 'little')))
        with machine.Machine(firmware.system(myna), '-accel', 'tcg', '-nodefaults', '-m', 64, '-bios', bios, '-no-shutdown',
                             '-device', 'isa-debugcon,iobase=0x402,chardev=fw', '-chardev', 'file,id=fw,path=/dev/stdout',
                             '-cpu', 'max,+svm', serial=False) as m:
            end, rounds, stalls = time.monotonic() + seconds, 0, 0
            while time.monotonic() < end:
                for _ in range(100):  # ends what waits, or loops with interrupts off
                    m.command('inject-nmi')
                    time.sleep(0.002)
                dots = m.text.count('.')
                if dots == rounds:  # a guest has destroyed the firmware
                    m.command('system_reset')
                    m.command('cont')
                    stalls += 1
                rounds = dots
            if not m.command('query-status'):
                raise machine.Failure('no answer')
            if rounds < seconds:
                raise machine.Failure(f'only {rounds * 64} rounds')
            print(f'{rounds * 64} rounds, {stalls} resets')


def module(myna, npt):
    """Linux takes the processor for one with AMD-V, and its module finds all that it wants."""
    task = f'''
echo BOOT-NPT $(cat /sys/module/kvm_amd/parameters/npt)
[ -c /dev/kvm ] && echo BOOT-DEVICE
dmesg -r | grep "^<[0-4]>.*\\(kvm\\|SVM\\)" | sed "s/^/BOOT-WARNING /"
echo BOOT-END
poweroff -f
'''
    with linux.boot(myna, 'amd64', task, modules=['kvm_amd'], parameters={'kvm_amd': f'npt={npt}'},
                    args=['-nic', 'none', '-accel', 'tcg', '-cpu', 'max,+svm']) as m:
        m.expect('BOOT-END', 150)
        if 'BOOT-DEVICE' not in m.text or f'BOOT-NPT {"NY"[npt]}' not in m.text:
            raise machine.Failure('kvm-amd made no /dev/kvm')
        if 'BOOT-WARNING' in m.text or 'BOOT-FAIL' in m.text:
            raise machine.Failure('kvm-amd complains')


TESTS = {
    'checks': checks,
    'checks-interpreted': lambda myna: checks(myna, '-accel', 'tcg,interp=on'),
    'fuzz': lambda myna: fuzz(myna, 10),
    'fuzz-long': lambda myna: fuzz(myna, 120),
    'npt': lambda myna: module(myna, 1),
    'no-npt': lambda myna: module(myna, 0),
}

if __name__ == '__main__':
    machine.main(TESTS)
