#!/usr/bin/env python3
"""What no PowerPC machine can start is said in one line, with status 1: kernels of others, processors, firmware; and discs, by the firmware.

Usage: wrong_ppc.py MYNA [test...]
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import firmware
import mac
import machine
import pseries

BOARDS = (('ppc', 'mac99'), ('ppc', 'g3beige'), ('ppc', 'bamboo'), ('ppc', 'ppce500'), ('ppc64', 'mac99'), ('ppc64', 'pseries'))


def refuse(argv, says):
    """Ends at once, with one line that says so."""
    run = subprocess.run([*map(str, argv), '-display', 'none', '-serial', 'none', '-monitor', 'none'], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60 * machine.PATIENCE)
    if run.returncode != 1 or run.stderr.count('\n') != 1 or not re.search(says, run.stderr):
        raise machine.Failure(f'{argv}: status {run.returncode}, {run.stderr!r} without {says!r}')


def kernels(myna):
    """Of the other byte order, of other processors and machines, and no kernels at all; the message names the file."""
    x86, no_elf = mac.elf(62, byte_order=1, wide=True), r'is no ELF|neither a U-Boot image \(uImage\) nor an ELF'
    kinds = {
        'pc': (x86, r'little-endian|for another processor'),
        'big-foreign': (mac.elf(2), r'not for PowerPC|for another processor'),
        'text': (b'#!/bin/sh\n' * 100, no_elf),
        'bzimage': (bytes(0x1fe) + b'\x55\xaa\xeb\x66HdrS' + bytes(2000), no_elf),
        'empty': (b'', no_elf),
        'other': (mac.elf(text=b'Linux version 6.1 for nothing here'), r'for another machine|32-bit processors'),
        'wide': (mac.elf(21, wide=True), '64-bit'),
        'little': (mac.elf(byte_order=1), r'little-endian|32-bit processors|another processor'),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, _) in kinds.items():
            pathlib.Path(folder, name).write_bytes(data)
        for arch, board in BOARDS:
            binary = [firmware.system(myna, arch), '-M', board]
            for name, (_, says) in kinds.items():
                if (name, arch) == ('wide', 'ppc64') or (name, board) == ('other', 'pseries'):
                    continue  # these may be programs of its own
                refuse([*binary, '-kernel', os.path.join(folder, name)], rf"'{folder}/{name}' .*(?:{says})")
            refuse([*binary, '-kernel', folder], rf"cannot read kernel '{folder}'.*(?i:is a directory)")
            refuse([*binary, '-kernel', '/nowhere/vmlinux'], "'/nowhere/vmlinux'.*(?:does not exist|No such file)")


def processors(myna):
    for arch, board in BOARDS:
        binary = [firmware.system(myna, arch), '-M', board]
        refuse([*binary, '-cpu', 'nosuch'], "no PowerPC processor 'nosuch'; -cpu help lists them")
        for other in ('440ep', 'power9') if board in ('mac99', 'g3beige') else ('7400', '970fx'):
            refuse([*binary, '-cpu', other], f"'?{board}'? .*not a '{other}'|has POWER7 and later processors")


def no_firmware(myna):
    """Where Debian's is not installed: a file system of its own hides it."""
    hide = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /usr/share/qemu && exec "$0" "$@"']
    if not shutil.which('unshare') or subprocess.run([*hide, 'true'], capture_output=True).returncode:
        machine.skip('nothing can be mounted here')
    for arch, board, name in (('ppc', 'mac99', 'openbios-ppc'), ('ppc', 'g3beige', 'openbios-ppc'), ('ppc64', 'mac99', 'openbios-ppc'),
                              ('ppc64', 'pseries', 'slof.bin')):
        refuse([*hide, firmware.system(myna, arch), '-M', board], rf"firmware '{name}' not found \(Debian package qemu-system-data\)")


def discs(myna):
    """A CD-ROM with files that nothing starts from, and one of a PC: the firmware says so, and its prompt answers."""
    if not shutil.which('xorriso'):
        machine.skip('xorriso is not installed (Debian package xorriso)')
    mac.need_firmware()
    pseries.need_slof()
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, 'plain.iso')
        pathlib.Path(folder, 'files').mkdir()
        pathlib.Path(folder, 'files/readme').write_text('nothing\n')
        subprocess.run(['xorriso', '-as', 'mkisofs', '-quiet', '-o', plain, os.path.join(folder, 'files')], check=True, capture_output=True)
        for image in (plain, machine.mini_iso('amd64')):
            for arch, board, says in (('ppc', 'mac99', 'No valid state has been set by load or init-program'),
                                      ('ppc', 'g3beige', 'No valid state has been set by load or init-program'),
                                      ('ppc64', 'pseries', r'E3\d\d\d|No valid|not found|failed')):
                with machine.Machine(firmware.system(myna, arch), '-M', board, '-cdrom', image, '-boot', 'd', '-nic', 'none', '-nographic') as m:
                    m.expect(rf'(?s)(?:{says}).*0 > ', 200)
                    m.send('2 3 * 1 + .\r')
                    m.expect(r' 7  ok', 30)


TESTS = {'kernels': kernels, 'processors': processors, 'no-firmware': no_firmware, 'discs': discs}

if __name__ == '__main__':
    machine.main(TESTS)
