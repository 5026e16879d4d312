#!/usr/bin/env python3
"""What Myna says when KVM does not work: each way with its reason and what to do. Usage: kvm-errors.py MYNA FAKE-KVM.SO"""
import os
import re
import subprocess
import sys
import time

ERRORS = [  # what the fake kernel does, arguments, what is said
    ('version', ['-accel', 'kvm'], r'speaks version 11 of its interface, not 12'),
    ('capability', ['-accel', 'kvm'], r"too old: it lacks 'immediate exit' \(Linux 4\.13"),
    ('busy', ['-accel', 'kvm'], r'another hypervisor'),
    ('limit', ['-accel', 'kvm', '-smp', '2'], r'at most 1 vCPUs a machine, not 2: use -smp 1'),
    ('', ['-accel', 'kvm,kernel-irqchip=none'], r'there are on, split and off'),
    ('', ['-accel', 'kvm,speed=high'], r"no option 'speed'"),
    ('', ['-accel', 'kvm,dirty-ring-size=1000'], r'power of two'),
    ('efault', ['-accel', 'kvm'], r'cannot run: Bad address; a page of the guest.*EIP='),
    ('entry', ['-accel', 'kvm'], r'refuses to enter the guest, reason 80000021.*emulate_invalid_guest_state.*EIP='),
    ('emulation', ['-accel', 'kvm'], r'cannot emulate an instruction.*-accel tcg.*pointer: ab cd ef\n.*EIP='),
    ('delivery', ['-accel', 'kvm'], r'suberror 3: an exit while an interrupt.*data 8000030e.*EIP='),
    ('unknown', ['-accel', 'kvm'], r'reason that this program does not know, 999.*EIP='),
]


def said(myna, library, what, args):
    argv = [myna, *args, '-nodefaults', '-display', 'none', '-monitor', 'stdio', '-m', '16']
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, LD_PRELOAD=library, FAKE_KVM=what)) as process:
        text = ''
        if what in ('efault', 'entry', 'emulation', 'delivery', 'unknown'):
            while 'EIP=' not in text:
                line = process.stdout.readline()
                if not line:
                    return text
                text += line
            for _ in range(100):  # the main loop stops the machine soon after
                process.stdin.write('info status\n')
                process.stdin.flush()
                while 'VM status' not in (line := process.stdout.readline()) and line:
                    text += line
                text += line
                if 'internal-error' in line or not line:
                    break
                time.sleep(0.1)
        try:
            return text + process.communicate('quit\n', timeout=60)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return text + 'it did not end'


def main(myna, library):
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
    except OSError as error:
        print(f'SKIP: /dev/kvm: {error.strerror}')
        sys.exit(77)
    for what, args, pattern in ERRORS:
        text = said(myna, library, what, args)
        if not re.search(pattern, text, re.S) or ('EIP=' in pattern and 'internal-error' not in text):
            sys.exit(f'{what} {args}: {text}')
        print(f'ok {what or args[1]}')


if __name__ == '__main__':
    main(*sys.argv[1:])
