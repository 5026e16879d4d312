#!/usr/bin/env python3
"""Panics that a Debian kernel tells of, and watchdogs that it no longer feeds.

Usage: incidents.py MYNA [test...]
"""
import linux
import machine

APPEND = 'no_timer_check'


def panic(myna, device, module, action, options=()):
    task = '''
[ $(cat /sys/bus/*/drivers/pvpanic*/*/capability) = 3 ] || echo BOOT-FAIL capability
echo BOOT-READY
read line
echo c > /proc/sysrq-trigger
'''
    with linux.boot(myna, 'amd64', task, modules=[module], append='panic=0 ' + APPEND, restart=action == 'pause',
                    args=['-nic', 'none', '-device', device, '-action', f'panic={action}', *options]) as m:
        m.expect('BOOT-READY', 200)
        if 'BOOT-FAIL' in m.text:
            raise machine.Failure('capability')
        m.command('query-status')
        m.send('go\n')
        told = {'pause': 'pause', 'shutdown': 'poweroff', 'exit-failure': 'poweroff', 'none': 'run'}[action]
        if action in ('shutdown', 'exit-failure'):
            if m.wait_exit(60) != (action == 'exit-failure'):
                raise machine.Failure(f'{action}: exit status {m.process.returncode}')
            events = m.qmp.read()
            if '"GUEST_PANICKED"' not in events or 'guest-panic' not in events:
                raise machine.Failure(f'{action}: events {events}')
            return
        m.wait_event('GUEST_PANICKED', 60, action=told)
        want = 'guest-panicked' if action == 'pause' else 'running'
        if m.command('query-status')['status'] != want:
            raise machine.Failure(f'{action}: {m.command("query-status")}')
        if action == 'pause': # a reset makes it whole
            m.command('system_reset')
            m.command('cont')
            m.expect('(?s)BOOT-READY.*BOOT-READY', 200)


def watchdog(myna, device, module, parameters, action='reset'):
    """The guest opens the watchdog, feeds it for longer than its time, and stops."""
    task = f'''
exec 3> /dev/watchdog
for i in 1 2 3 4 5 6; do sleep 1; echo fed >&3; done
echo BOOT-HUNGRY
sleep 100
echo BOOT-FAIL nothing happened
'''
    with linux.boot(myna, 'amd64', task, modules=[module], parameters={module: parameters}, append=APPEND, restart=True,
                    args=['-nic', 'none', '-device', device, '-watchdog-action', action]) as m:
        m.expect('BOOT-UP', 200)
        m.connect()
        m.expect('BOOT-HUNGRY', 60)
        m.wait_event('WATCHDOG', 60, action=action)
        if action == 'reset':
            m.expect('(?s)BOOT-HUNGRY.*BOOT-UP', 200)
        elif action == 'pause':
            if m.command('query-status')['status'] != 'watchdog':
                raise machine.Failure('not paused')
            m.command('watchdog-set-action', action='none')
            m.command('cont')
        elif action == 'inject-nmi':
            m.expect('(?i)nmi', 20)
        elif action == 'poweroff':
            m.wait_exit(30)


TESTS = {
    'pvpanic-pause': lambda myna: panic(myna, 'pvpanic', 'pvpanic_mmio', 'pause'),
    'pvpanic-shutdown': lambda myna: panic(myna, 'pvpanic', 'pvpanic_mmio', 'shutdown'),
    'pvpanic-pci-exit': lambda myna: panic(myna, 'pvpanic-pci', 'pvpanic_pci', 'exit-failure'),
    'pvpanic-pci-none': lambda myna: panic(myna, 'pvpanic-pci', 'pvpanic_pci', 'none'),
    'i6300esb-reset': lambda myna: watchdog(myna, 'i6300esb', 'i6300esb', 'heartbeat=4'),
    'i6300esb-pause': lambda myna: watchdog(myna, 'i6300esb', 'i6300esb', 'heartbeat=4', 'pause'),
    'ib700-reset': lambda myna: watchdog(myna, 'ib700', 'ib700wdt', 'timeout=4'),
    'ib700-nmi': lambda myna: watchdog(myna, 'ib700', 'ib700wdt', 'timeout=4', 'inject-nmi'),
}

if __name__ == '__main__':
    machine.main(TESTS)
