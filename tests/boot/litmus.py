#!/usr/bin/env python3
"""Litmus tests (litmus.c) on the processors of translated guests: no outcome that x86 forbids.

Usage: litmus.py MYNA [test...]
"""
import pathlib
import re
import shutil
import subprocess
import tempfile

import linux
import machine

COMPILERS = {'amd64': ['gcc', '-m64'], 'i386': ['i686-linux-gnu-gcc', '-msse2']}


def run(myna, arch, processors, seconds):
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / 'litmus'
        if not shutil.which(COMPILERS[arch][0]):
            machine.skip(f'{COMPILERS[arch][0]} is not installed (Debian package gcc-i686-linux-gnu)')
        subprocess.run([*COMPILERS[arch], '-O2', '-static', '-pthread', '-o', program,
                        pathlib.Path(__file__).with_name('litmus.c')], check=True)
        task = f'litmus {seconds} {processors}\ndmesg -r | grep "^<[0-3]>" | sed "s/^/BOOT-WARNING /"\necho BOOT-END\npoweroff -f\n'
        with linux.boot(myna, arch, task, smp=processors, programs=[program], append='no_timer_check', args=['-nic', 'none']) as m:
            m.expect('BOOT-UP', 300)
            m.expect(r'LITMUS-END \d', 300 + 40 * seconds)
            m.expect('BOOT-END', 60)
            lines = re.findall(r'LITMUS (\S+) rounds (\d+) weak (\d+) forbidden (\d+)', m.text)
            for name, rounds, weak, forbidden in lines:
                print(f'  {name}: {rounds} rounds, {weak} weak, {forbidden} forbidden', flush=True)
            if 'LITMUS-END 0' not in m.text or len(lines) < 17:
                raise machine.Failure('forbidden outcomes')
            bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not linux.HARMLESS.search(line)]
            if bad:
                raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))


TESTS = {
    'short': lambda myna: run(myna, 'amd64', 4, 1),
    'amd64-2': lambda myna: run(myna, 'amd64', 2, 10),
    'amd64-4': lambda myna: run(myna, 'amd64', 4, 10),
    'i386-2': lambda myna: run(myna, 'i386', 2, 10),
    'i386-4': lambda myna: run(myna, 'i386', 4, 10),
}

if __name__ == '__main__':
    machine.main(TESTS)
