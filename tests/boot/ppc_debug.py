#!/usr/bin/env python3
"""Linux' hardware breakpoints, single steps and branch trace (ppc-ptrace.c) on processors with DAWR and with DABR.

Usage: ppc_debug.py MYNA [test...]
"""
import gzip
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

import initramfs
import mac
import machine
import pseries


def build(folder, target):
    """An initial RAM disk with nothing but the program and a console."""
    compiler = f'{target}-linux-gnu-gcc'
    if not shutil.which(compiler):
        machine.skip(f'{compiler} is not installed (Debian package gcc-{target}-linux-gnu)')
    program, image = pathlib.Path(folder) / 'init', pathlib.Path(folder) / 'initrd.gz'
    subprocess.run([compiler, '-Wall', '-Wextra', '-Werror', '-O1', '-static', '-o', program,
                    pathlib.Path(__file__).with_name('ppc-ptrace.c')], check=True)
    cpio = initramfs.Cpio()
    cpio.folder('dev')
    cpio.add('dev/console', stat.S_IFCHR | 0o600, rdev=(5, 1))
    cpio.file('init', program.read_bytes(), 0o755)
    image.write_bytes(gzip.compress(cpio.finish(), 1))
    return image


def run(system, target, kernel, args, expected):
    with tempfile.TemporaryDirectory() as folder:
        image = build(folder, target)
        with machine.Machine(system, *args, '-kernel', kernel, '-initrd', image, '-nic', 'none') as m:
            m.expect('PTRACE-END', 300)
            text = m.text
    for line in re.findall(r'PTRACE-(?:INFO|STEPS|COUNT|COUNTED|MONITOR).*', text):
        print(f'  {line}')
    bad = re.findall(r'PTRACE-\S+ bad', text)
    missing = [name for name in expected if f'PTRACE-{name} ok' not in text]
    if bad or missing:
        raise machine.Failure(f'{bad}, not there: {missing}')


DATA = ['SET', 'WRITE', 'BEFORE', 'DELETED', 'READ', 'BESIDE', 'DABR-SET', 'DABR', 'STEPS']


def little(myna, cpu, expected):
    kernel = machine.one(machine.guest('linux-ppc64el') / 'boot/vmlinux-*')
    run(pseries.program(myna), 'powerpc64le', kernel,
        [*pseries.NO_FIRMWARE, '-cpu', cpu, '-m', 512, '-vga', 'none', '-append', 'console=hvc0 panic=-1'], expected)


def big(myna):
    run(pseries.program(myna), 'powerpc64', mac.ppc_guest('vmlinux-g5'),
        [*pseries.NO_FIRMWARE, '-cpu', 'power7', '-m', 512, '-vga', 'none', '-append', 'console=hvc0 panic=-1'], DATA)


def macintosh(myna, arch, cpu, target, kernel):
    mac.need_firmware()
    run(str(pathlib.Path(myna).with_name(f'myna-system-{arch}')), target, mac.ppc_guest(kernel),
        ['-M', 'mac99', '-cpu', cpu, '-append', 'console=ttyPZ0 panic=-1'], DATA)


TESTS = {
    'power8': lambda myna: little(myna, 'power8', DATA + ['RANGE', 'RANGE-BEFORE', 'PERF', 'PERF-KERNEL']),
    'power10': lambda myna: little(myna, 'power10', DATA + ['RANGE', 'RANGE-BEFORE', 'SECOND-SET', 'SECOND', 'PERF', 'PERF-KERNEL']),
    'power7': big,
    'g4': lambda myna: macintosh(myna, 'ppc', '7400', 'powerpc', 'vmlinux-pmac32'),
    'g5': lambda myna: macintosh(myna, 'ppc64', '970fx', 'powerpc64', 'vmlinux-g5'),
}

if __name__ == '__main__':
    machine.main(TESTS)
