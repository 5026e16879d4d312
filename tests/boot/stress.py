#!/usr/bin/env python3
"""Debian's stress-ng on four processors of a translated guest: it verifies what it computes, and the kernel says nothing.

Usage: stress.py MYNA [test...]
"""
import re
import subprocess

import initramfs
import linux
import machine

SECONDS = 600


def run(myna, seconds):
    program = machine.guest('stress-ng-amd64') / 'usr/bin/stress-ng'
    try:
        files = initramfs.libraries(program)
    except subprocess.CalledProcessError:
        machine.skip('this machine cannot say what stress-ng needs')
    missing = subprocess.run(['ldd', program], capture_output=True, text=True, check=True).stdout
    if 'not found' in missing:
        machine.skip('the libraries of stress-ng are not installed (Debian package stress-ng)')
    files['bin/stress-ng'] = program
    task = f'''
export LD_LIBRARY_PATH=/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu
mkdir -p /dev/shm; cd /tmp; dmesg -c > /dev/null
stress-ng --verify --temp-path /tmp --cpu 2 --cpu-method all --vm 2 --vm-bytes 128M --vm-method all --atomic 2 --membarrier 2 \\
    --timeout {seconds} --metrics-brief
echo BOOT-STATUS $?
dmesg -r | grep "^<[0-4]>" | sed "s/^/BOOT-WARNING /"
echo BOOT-END
poweroff -f
'''
    with linux.boot(myna, 'amd64', task, smp=4, memory=1024, files=files, append='no_timer_check',
                    args=['-nic', 'none', '-cpu', 'max']) as m:
        m.expect('BOOT-UP', 400)
        m.expect(r'BOOT-STATUS \d+', seconds * 3 + 300)
        m.expect('BOOT-END', 100)
        print('\n'.join(re.findall(r'(?m)^stress-ng: .*', m.text)), flush=True)
        if 'BOOT-STATUS 0\n' not in m.text or re.search(r'stress-ng: (?:fail|error)', m.text):
            raise machine.Failure('stress-ng found something')
        bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not linux.HARMLESS.search(line)]
        if bad:
            raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))


TESTS = {'amd64': lambda myna: run(myna, SECONDS), 'amd64-brief': lambda myna: run(myna, 60)}

if __name__ == '__main__':
    machine.main(TESTS)
