#!/usr/bin/env python3
"""What translators like least (storm.c) on all processors of Linux guests, with the engine's ways of translating one after the other.

Usage: storm.py MYNA [test...]
"""
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import initramfs
import linux
import mac
import machine
import pseries

COMPILERS = {
    'amd64': ('gcc', ['-m64', '-no-pie'], 'gcc'),
    'i386': ('i686-linux-gnu-gcc', ['-msse2', '-mfpmath=sse', '-no-pie'], 'gcc-i686-linux-gnu'),
    'ppc': ('powerpc-linux-gnu-gcc', [], 'gcc-powerpc-linux-gnu, libc6-dev-powerpc-cross'),
    'ppc64el': ('powerpc64le-linux-gnu-gcc', [], 'gcc-powerpc64le-linux-gnu, libc6-dev-ppc64el-cross'),
}
X86_ONLY = {'changed', 'extended', 'narrow'}
SECONDS = 5


def build(arch, folder):
    compiler, options, package = COMPILERS[arch]
    program = os.path.join(folder, 'storm')
    if not shutil.which(compiler):
        machine.skip(f'{compiler} is not installed (Debian package {package})')
    subprocess.run([compiler, *options, '-O2', '-ffp-contract=off', '-static', '-pthread', '-o', program,
                    pathlib.Path(__file__).with_name('storm.c')], check=True)
    return program


def values(text):
    return dict(re.findall(r'STORM-VALUE (\w+) ([0-9a-f]{16})', text))


def host_values(arch, folder):
    """What the tasks compute on the host's processor; they are the same everywhere but for the byte order of text."""
    if not shutil.which('gcc'):
        machine.skip('gcc is not installed')
    os.mkdir(os.path.join(folder, 'host'))
    done = subprocess.run([build('amd64', os.path.join(folder, 'host')), '0', '1'], capture_output=True, text=True)
    found = values(done.stdout)
    if 'extended' in found and 'narrow' not in found:
        print('narrow: not compared with the host, whose kernel runs no 16-bit code', flush=True)
    elif 'STORM-END 0' not in done.stdout:
        machine.skip(f'storm does not run on this host: status {done.returncode} {done.stderr}')
    return {name: value for name, value in found.items() if arch in ('amd64', 'i386') or name not in X86_ONLY}


def check(m, expected, seconds):
    m.expect('STORM-VALUE', 400)
    m.expect(r'STORM-END \d+\n', 300 + 10 * seconds)
    m.expect('BOOT-END|CORPUS-RUN-STATUS|Power down', 60)
    print('\n'.join(re.findall(r'(?m)^STORM \w.*', m.text)), flush=True)
    computed = values(m.text)
    if {name: computed.get(name) for name in expected} != expected:
        raise machine.Failure(f'the host computes {expected}')
    if 'STORM-END 0\n' not in m.text or len(re.findall(r'STORM \w+ rounds [1-9]\d* wrong 0\n', m.text)) != len(computed):
        raise machine.Failure('something else was computed in the storm than in peace')


def run(myna, arch, processors, engine='tcg', seconds=SECONDS):
    with tempfile.TemporaryDirectory() as folder:
        task = f'storm {seconds} {processors}\ndmesg -r | grep "^<[0-3]>" | sed "s/^/BOOT-WARNING /"\necho BOOT-END\npoweroff -f\n'
        with linux.boot(myna, arch, task, smp=processors, programs=[build(arch, folder)], append='no_timer_check quiet',
                        args=['-nic', 'none', '-accel', engine]) as m:
            check(m, host_values(arch, folder), seconds)
            bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not linux.HARMLESS.search(line)]
            if bad:
                raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))


def partition(myna, cpu, processors, engine='tcg', seconds=SECONDS):
    with tempfile.TemporaryDirectory() as folder:
        task = f'storm {seconds} {processors}\necho BOOT-END\npoweroff -f\n'
        with pseries.boot(myna, task, 'kernel', '-nic', 'none', '-accel', engine, cpu=cpu, cpus=processors,
                          files={'bin/storm': build('ppc64el', folder)}) as m:
            check(m, host_values('ppc64el', folder), seconds)


def macintosh(myna, board, engine='tcg', seconds=SECONDS):
    with tempfile.TemporaryDirectory() as folder:
        initrd = os.path.join(folder, 'initrd')
        cpio = initramfs.Cpio()
        cpio.folder('t')
        cpio.file('t/storm', pathlib.Path(build('ppc', folder)).read_bytes(), 0o755)
        cpio.file('t/run', f'#!/bin/sh\nexec ./storm {seconds} 1\n'.encode(), 0o755)
        with open(initrd, 'wb') as f:
            f.write(mac.ppc_guest('initrd-ppc32.gz').read_bytes())
            f.write(gzip.compress(cpio.finish()))
        mac.need_firmware()
        with machine.Machine(mac.firmware.system(myna, 'ppc'), '-M', board, '-accel', engine, '-kernel', mac.ppc_guest('vmlinux-pmac32'),
                             '-initrd', initrd, '-append', 'console=ttyPZ0 t=run', '-nic', 'none') as m:
            check(m, host_values('ppc', folder), seconds)


ENGINES = {'all': 'tcg,sites=all', 'off': 'tcg,sites=off', 'verify': 'tcg,verify=20', 'single': 'tcg,thread=single',
           'interp': 'tcg,interp=on'}
TESTS = {}
for arch_ in ('amd64', 'i386'):
    for processors_ in (1, 4):
        TESTS[f'{arch_}-{processors_}'] = lambda myna, a=arch_, n=processors_: run(myna, a, n)
    for name_, engine_ in ENGINES.items():
        TESTS[f'{arch_}-{name_}'] = lambda myna, a=arch_, e=engine_: run(myna, a, 4, e)
for cpu_ in ('power8', 'power9', 'power10'):
    TESTS[f'{cpu_}-4'] = lambda myna, c=cpu_: partition(myna, c, 4)
for name_, engine_ in ENGINES.items():
    TESTS[f'power9-{name_}'] = lambda myna, e=engine_: partition(myna, 'power9', 4, e)
    TESTS[f'mac99-{name_}'] = lambda myna, e=engine_: macintosh(myna, 'mac99', e)
TESTS['mac99'] = lambda myna: macintosh(myna, 'mac99')
TESTS['g3beige'] = lambda myna: macintosh(myna, 'g3beige')

if __name__ == '__main__':
    machine.main(TESTS)
