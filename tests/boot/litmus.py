#!/usr/bin/env python3
"""Litmus tests (litmus.c) on the processors of translated guests: no outcome that x86, or PowerPC, forbids.

Usage: litmus.py MYNA [test...]
"""
import pathlib
import re
import shutil
import subprocess
import tempfile

import linux
import machine
import pseries

COMPILERS = {'amd64': ['gcc', '-m64'], 'i386': ['i686-linux-gnu-gcc', '-msse2'], 'ppc64el': ['powerpc64le-linux-gnu-gcc']}
PACKAGES = {'amd64': 'gcc', 'i386': 'gcc-i686-linux-gnu', 'ppc64el': 'gcc-powerpc64le-linux-gnu, libc6-dev-ppc64el-cross'}
# Lines that have to be there: fewer with two processors, and before POWER9, which has atomic memory operations.
LEAST = {'amd64': 17, 'i386': 17, 'ppc64el': 27}


def build(arch, folder):
    program = pathlib.Path(folder) / 'litmus'
    if not shutil.which(COMPILERS[arch][0]):
        machine.skip(f'{COMPILERS[arch][0]} is not installed (Debian package {PACKAGES[arch]})')
    subprocess.run([*COMPILERS[arch], '-O2', '-static', '-pthread', '-o', program,
                    *(pathlib.Path(__file__).with_name(f'litmus{part}.c') for part in ('', '-ppc' if arch == 'ppc64el' else '-x86'))],
                   check=True)
    return program


def check(m, seconds, least):
    m.expect('BOOT-UP', 300)
    m.expect(r'LITMUS-END \d', 300 + 50 * seconds)
    m.expect('BOOT-END', 60)
    lines = re.findall(r'LITMUS (\S+) rounds (\d+) weak (\d+) forbidden (\d+)', m.text)
    for name, rounds, weak, forbidden in lines:
        print(f'  {name}: {rounds} rounds, {weak} weak, {forbidden} forbidden', flush=True)
    if 'LITMUS-END 0' not in m.text or len(lines) < least:
        raise machine.Failure('forbidden outcomes')


def run(myna, arch, processors, seconds):
    with tempfile.TemporaryDirectory() as folder:
        task = f'litmus {seconds} {processors}\ndmesg -r | grep "^<[0-3]>" | sed "s/^/BOOT-WARNING /"\necho BOOT-END\npoweroff -f\n'
        with linux.boot(myna, arch, task, smp=processors, programs=[build(arch, folder)], append='no_timer_check',
                        args=['-nic', 'none']) as m:
            check(m, seconds, LEAST[arch])
            bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not linux.HARMLESS.search(line)]
            if bad:
                raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))


def partition(myna, cpu, processors, seconds):
    """On pseries: POWER8 has hashed page tables, whose entries go by hypercalls, the others radix trees and tlbie."""
    with tempfile.TemporaryDirectory() as folder:
        task = f'litmus {seconds} {processors}\necho BOOT-END\npoweroff -f\n'
        with pseries.boot(myna, task, 'kernel', '-nic', 'none', cpu=cpu, cpus=processors,
                          files={'bin/litmus': build('ppc64el', folder)}) as m:
            check(m, seconds, LEAST['ppc64el'])


TESTS = {
    'short': lambda myna: run(myna, 'amd64', 4, 1),
    'amd64-2': lambda myna: run(myna, 'amd64', 2, 10),
    'amd64-4': lambda myna: run(myna, 'amd64', 4, 10),
    'i386-2': lambda myna: run(myna, 'i386', 2, 10),
    'i386-4': lambda myna: run(myna, 'i386', 4, 10),
    'power9-short': lambda myna: partition(myna, 'power9', 2, 1),
    'power8-2': lambda myna: partition(myna, 'power8', 2, 5),
    'power8-4': lambda myna: partition(myna, 'power8', 4, 5),
    'power9-2': lambda myna: partition(myna, 'power9', 2, 5),
    'power9-4': lambda myna: partition(myna, 'power9', 4, 5),
    'power10-4': lambda myna: partition(myna, 'power10', 4, 5),
}

if __name__ == '__main__':
    machine.main(TESTS)
