#!/usr/bin/env python3
"""Processes that come and go: fork and exec of a dynamically linked program, under several emulators.

Usage: exec_speed.py MYNA [OTHER...]   (OTHER: qemu-system-x86_64, or a different build of Myna)
Processor time of the emulator from power-on to power-off, without and with ROUNDS processes.
"""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import initramfs
import linux

ROUNDS = int(os.environ.get('ROUNDS', 500))

TASK = '''
/bin/dash -c 'i=0; while [ $i -lt $(cat /rounds) ]; do /bin/dtrue; i=$((i+1)); done'
echo BOOT-DONE
poweroff -f
'''


def cpu_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, capture_output=True, text=True, timeout=900).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if 'BOOT-DONE' not in out:
        sys.exit(f'{command[0]}: the guest did not get to its end:\n{out[-2000:]}')
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(*emulators):
    vmlinuz, busybox, root = linux.kernel('amd64')
    times = {}
    with tempfile.TemporaryDirectory() as name:
        for rounds in (0, ROUNDS):
            initrd = f'{name}/initrd{rounds}'
            number = pathlib.Path(name) / 'rounds'
            number.write_text(str(rounds))
            files = {'bin/dash': '/usr/bin/dash', 'bin/dtrue': '/usr/bin/true', 'rounds': str(number)}
            files |= initramfs.libraries('/usr/bin/dash') | initramfs.libraries('/usr/bin/true')
            initramfs.build(initrd, busybox, root, [], TASK, files=files)
            for emulator in emulators:
                times[emulator, rounds] = cpu_seconds([
                    *emulator.split(), '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-nic', 'none', '-m', '384',
                    '-no-reboot', '-kernel', str(vmlinuz), '-initrd', initrd, '-accel', 'tcg',
                    '-append', 'console=ttyS0 panic=-1 quiet no_timer_check'])
    for emulator in emulators:
        empty, full = times[emulator, 0], times[emulator, ROUNDS]
        print(f'{emulator}: {(full - empty) * 1000 / ROUNDS:.2f} ms for a fork and exec; {empty:.2f} s without')


if __name__ == '__main__':
    main(*sys.argv[1:])
