#!/usr/bin/env python3
"""System management mode: a firmware of checks for both layouts of the save area, SeaBIOS' 32-bit calls, Linux' ACPI.

Usage: smm.py MYNA [test...]
"""
import os
import pathlib
import re
import tempfile

import firmware
import linux
import machine

def checks(myna, cpu, engine='tcg'):
    firmware.checks(myna, 'smm.S', '-M', 'pc,smm=on', '-cpu', cpu, engine=engine)


def seabios(myna):
    """SeaBIOS reads disks on AHCI by 32-bit code, which it enters and leaves by SMIs."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, 'log')
        disk = os.path.join(firmware.grub_folder(), 'grub-rescue-floppy.img')
        firmware.grub(myna, '-M', 'q35,smm=on', '-accel', 'tcg', '-d', 'int', '-D', log, '-drive',
                      f'file={disk},format=raw,snapshot=on', patience=3)
        text = pathlib.Path(log).read_text()
        if len(re.findall('RSM to 0008:', text)) < 10 or len(re.findall('RSM to f000:', text)) < 10:
            raise machine.Failure('SeaBIOS made no 32-bit calls by SMIs')


def acpi(myna, board):
    """Linux turns ACPI on by an SMI, in 64-bit code with paging."""
    with linux.boot(myna, 'amd64', 'dmesg | grep -i "acpi" | sed "s/^/BOOT-ACPI /"; echo BOOT-END; poweroff -f\n', smp=2,
                    append='no_timer_check', args=['-M', f'{board},smm=on', '-nic', 'none']) as m:
        m.expect('BOOT-END', 400)
        if m.wait_exit(60) != 0 or re.search('BOOT-ACPI.*(rror|nable to)', m.text):
            raise machine.Failure(f'{board}: no ACPI')


TESTS = {
    'checks': lambda myna: checks(myna, 'qemu64'),
    'checks-32': lambda myna: checks(myna, 'qemu32'),
    'checks-interpreted': lambda myna: checks(myna, 'qemu64', 'tcg,interp=on'),
    'seabios': seabios,
    'acpi': lambda myna: acpi(myna, 'pc'),
    'acpi-q35': lambda myna: acpi(myna, 'q35'),
}

if __name__ == '__main__':
    machine.main(TESTS)
