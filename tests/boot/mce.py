#!/usr/bin/env python3
"""Machine checks that a monitor's user injects, as Debian's kernel sees them: one that was corrected, one that is fatal.

Usage: mce.py MYNA [test...]
"""
import linux
import machine

VALID, UNCORRECTED, ENABLED, MISC_VALID, ADDRESS_VALID, CORRUPT = (1 << n for n in (63, 61, 60, 59, 58, 57))
CACHE_ERROR = 0x0134  # a compound code: data read, level 1
TASK = '''
echo 1 > /sys/devices/system/machinecheck/machinecheck0/check_interval
echo BOOT-READY
sleep 1000
'''


def linux_guest(myna, cpu):
    with linux.boot(myna, 'amd64', TASK, smp=2, append='no_timer_check', args=['-nic', 'none', '-cpu', cpu]) as m:
        def inject(*words):
            answer = m.command('human-monitor-command', **{'command-line': 'mce ' + ' '.join(str(w) for w in words)})
            if answer:
                raise machine.Failure(f'mce {words}: {answer}')

        m.expect('BOOT-READY', 300)
        if 'no such' not in m.command('human-monitor-command', **{'command-line': 'mce 0 99 0 0 0 0'}):
            raise machine.Failure('a bank that is not there')
        inject(0, 3, VALID | ENABLED | ADDRESS_VALID | CACHE_ERROR, 0, 0x12345000, 0)
        m.expect(r'\[Hardware Error\]: Machine check events logged', 100)
        inject('-b', 0, 2, VALID | UNCORRECTED | ENABLED | CORRUPT | ADDRESS_VALID | CACHE_ERROR, 4, 0x6789000, 0)
        m.expect(r'\[Hardware Error\].*Machine Check Exception: \d+ Bank 2', 100)
        m.expect('Kernel panic - not syncing: .*achine check', 100)
        m.wait_exit(60)


TESTS = {
    'linux': lambda myna: linux_guest(myna, 'max'),
}

if __name__ == '__main__':
    machine.main(TESTS)
