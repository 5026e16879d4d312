#!/usr/bin/env python3
"""Debian's perf in a guest whose processor has performance counters: counting, sampling, and the kernel's own watchdog.

Usage: perf.py MYNA [test...]
"""
import pathlib
import re
import shutil
import subprocess

import initramfs
import linux
import machine

# A loop of the shell's, whose user instructions are the same each time but for a few.
LOOP = 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done'
TASK = f'''
export LD_LIBRARY_PATH=/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu
cd /tmp; export PERF_BUILDID_DIR=/tmp
echo 0 > /proc/sys/kernel/perf_cpu_time_max_percent # no fewer samples for an interrupt that a busy host delayed
run() {{ perf "$@" 2>&1 | sed "s/^/BOOT-PERF /"; }}
run stat -x, -e instructions:u,instructions:k,instructions,branches,cycles busybox sh -c '{LOOP}'
run stat -x, -e instructions:u busybox sh -c '{LOOP}'
echo BOOT-RECORD
perf record -q -e instructions:u -c 100000 -o /tmp/a busybox sh -c '{LOOP} #instructions'
perf record -q -e cycles -F 500 -o /tmp/b busybox sh -c '{LOOP} #cycles'
for f in a b; do echo BOOT-SAMPLES $f $(perf script -F ip -i /tmp/$f 2>/dev/null | grep -c .); done
run report --stdio -i /tmp/a --sort dso
cat /proc/sys/kernel/nmi_watchdog | sed "s/^/BOOT-WATCHDOG /"
grep NMI /proc/interrupts | sed "s/^/BOOT-NMI /"
dmesg -r | grep "^<[0-4]>" | sed "s/^/BOOT-WARNING /"
echo BOOT-END
poweroff -f
'''


def counted(text, event):
    found = re.findall(rf'BOOT-PERF (\d+|<[a-z ]+>),,{event},', text)
    if not found or not found[0].isdigit():
        raise machine.Failure(f'{event} was not counted: {found}')
    return [int(n) for n in found]


def guest(myna, cpu, driver):
    program = shutil.which('perf')
    if not program or 'not found' in subprocess.run(['ldd', program], capture_output=True, text=True, check=False).stdout:
        machine.skip('perf is missing (Debian package linux-perf)')
    files = initramfs.libraries(pathlib.Path(program))
    files['bin/perf'] = pathlib.Path(program)
    with linux.boot(myna, 'amd64', TASK, memory=512, files=files, append='nmi_watchdog=1 no_timer_check', args=['-nic', 'none', '-cpu', cpu]) as m:
        m.expect('BOOT-END', 500)
        text = m.text.replace('\r', '')
    if not re.search(f'Performance Events: .*{driver}', text):
        raise machine.Failure('the kernel has no driver: ' + ' '.join(re.findall('Performance Events: .*', text)))
    user, again = counted(text, 'instructions:u')
    system, both = counted(text, 'instructions:k')[0], counted(text, 'instructions')[0]
    branches, cycles = counted(text, 'branches')[0], counted(text, 'cycles')[0]
    samples = dict(re.findall(r'BOOT-SAMPLES (\w) (\d+)', text))
    print(f'  {cpu}: {user} and {again} user instructions, {system} of the kernel, {branches} branches, {cycles} cycles; '
          f'samples: {samples}')
    if abs(user - again) > 0.001 * user or abs(user + system - both) > 0.001 * both:
        raise machine.Failure('instructions are not the same each time')
    if not 0.05 * both < branches < 0.4 * both or not 0.3 * both < cycles:
        raise machine.Failure('branches or cycles make no sense')
    expected = user / 100000
    if not 0.9 * expected - 2 < int(samples['a']) < 1.1 * expected + 2:
        raise machine.Failure(f'{expected:.0f} samples were expected')
    if int(samples['b']) < 3:
        raise machine.Failure('cycles were not sampled')
    if not re.search('BOOT-PERF .*%.*busybox', text):
        raise machine.Failure('perf report does not name the program')
    known = re.compile('CPUID marked event|Dynamic interrupt throttling disabled') # events that there are not; the task's wish
    bad = [line for line in re.findall(r'BOOT-WARNING (.*)', text) if not linux.HARMLESS.search(line) and not known.search(line)]
    if bad:
        raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))


TESTS = {
    'intel': lambda myna: guest(myna, 'Haswell,pmu=on', 'Haswell events'),
    'amd': lambda myna: guest(myna, 'EPYC,pmu=on', 'AMD PMU driver'),
}

if __name__ == '__main__':
    machine.main(TESTS)
