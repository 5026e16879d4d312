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


def files_of(arch):
    root = machine.guest(f'stress-ng-{arch}')
    program = root / 'usr/bin/stress-ng'
    if arch == 'i386':
        return initramfs.libraries_in(root, program) | {'bin/stress-ng': program}
    try:
        files = initramfs.libraries(program)
    except subprocess.CalledProcessError:
        machine.skip('this machine cannot say what stress-ng needs')
    missing = subprocess.run(['ldd', program], capture_output=True, text=True, check=True).stdout
    if 'not found' in missing:
        machine.skip('the libraries of stress-ng are not installed (Debian package stress-ng)')
    return files | {'bin/stress-ng': program}


def run(myna, arch, seconds):
    files = files_of(arch)
    triplet = {'amd64': 'x86_64', 'i386': 'i386'}[arch] + '-linux-gnu'
    task = f'''
export LD_LIBRARY_PATH=/lib/{triplet}:/usr/lib/{triplet}
mkdir -p /dev/shm; cd /tmp; dmesg -c > /dev/null
stress-ng --verify --temp-path /tmp --cpu 2 --cpu-method all --vm 2 --vm-bytes 128M --vm-method all --atomic 2 --membarrier 2 \\
    --timeout {seconds} --metrics-brief
echo BOOT-STATUS $?
dmesg -r | grep "^<[0-4]>" | sed "s/^/BOOT-WARNING /"
echo BOOT-END
poweroff -f
'''
    with linux.boot(myna, arch, task, smp=4, memory=1024, files=files, append='no_timer_check',
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


TESTS = {'amd64': lambda myna: run(myna, 'amd64', SECONDS), 'amd64-brief': lambda myna: run(myna, 'amd64', 60),
         'i386': lambda myna: run(myna, 'i386', SECONDS), 'i386-brief': lambda myna: run(myna, 'i386', 60)}

if __name__ == '__main__':
    machine.main(TESTS)
