#!/usr/bin/env python3
"""The recipes of docs/network.md, as they stand there, with two guests in namespaces.

Usage: network-setups.py MYNA [recipe...]

Each runs in a network namespace of its own that plays the host; its eth0 leads to another one, "outside".
"""
import contextlib
import getpass
import pathlib
import re
import shlex
import subprocess
import time

import linux
import machine
import netlab
import network

DOC = machine.TOP / 'docs/network.md'


def block(title):
    found = re.search(rf'```sh\n# {title}\n(.*?)```', DOC.read_text(), re.S)
    if not found:
        raise machine.Failure(f'docs/network.md has no "{title}"')
    return found[1].replace('user alice', f'user {getpass.getuser()}')


def guests(recipe):
    """The options of each guest, without its disk."""
    lines = block(f'{recipe}, guests').splitlines()
    return [shlex.split(line)[2:] for line in lines]


def lab(recipe, tap=True):
    """A host with a LAN; then the recipe's part for root."""
    netlab.enter('nft', 'tcpdump')
    if tap:
        netlab.need_tun()
    netlab.run('ip netns add outside')
    netlab.run('ip link add eth0 type veth peer name eth0 netns outside')
    netlab.run('ip addr add 192.0.2.10/24 dev eth0; ip link set eth0 up')
    netlab.run('ip -n outside addr add 192.0.2.1/24 dev eth0; ip -n outside link set eth0 up; '
               'ip -n outside link set lo up')
    if tap:
        done = subprocess.run(['sh', '-e'], input=block(f'{recipe}, as root'), text=True, capture_output=True)
        if done.returncode != 0:
            raise machine.Failure(f'the recipe fails: {done.stderr}')


@contextlib.contextmanager
def server(namespace=None, port=8000):
    """An HTTP server that answers with the address it was called from."""
    code = ('import http.server\nclass H(http.server.BaseHTTPRequestHandler):\n'
            ' def do_GET(s):\n  s.send_response(200); s.end_headers(); s.wfile.write(s.client_address[0].encode())\n'
            ' def log_message(*a): pass\n'
            f'http.server.ThreadingHTTPServer(("", {port}), H).serve_forever()\n')
    prefix = ['ip', 'netns', 'exec', namespace] if namespace else []
    process = subprocess.Popen([*prefix, 'python3', '-c', code])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def capture(path, *args):
    process = subprocess.Popen(['tcpdump', '-U', '-nn', '-w', path, *args], stderr=subprocess.PIPE)
    process.stderr.readline()  # it listens
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def captured(path):
    return netlab.run(f'tcpdump -nn -r {path} 2>/dev/null')


def task(address, gateway, body):
    way = f'ip route add default via {gateway}' if gateway else ''
    return f'''
ip link set lo up; ip link set eth0 up
ip addr add {address} dev eth0; {way}
echo BOOT-READY; read word
try() {{ name=$1; shift; if "$@" >/dev/null 2>&1; then echo BOOT-YES $name; else echo BOOT-NO $name; fi; }}
{body}
echo BOOT-DONE; read word
poweroff -f
'''


@contextlib.contextmanager
def running(myna, options, tasks):
    """All guests, up and with their addresses; each runs its body after go()."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(linux.boot(myna, 'amd64', t, modules=['e1000'], args=o, memory=192))
               for o, t in zip(options, tasks)]


def go(*machines):
    for m in machines:
        m.expect('BOOT-READY', 200)
    for m in machines:
        m.send('go\n')
    for m in machines:
        m.expect('BOOT-DONE', 120)


def verdicts(m, **wanted):
    for name, verdict in wanted.items():
        if not re.search(f'BOOT-{verdict} {name}\n', m.text):
            raise machine.Failure(f'{name}: not {verdict}')


def outside(command):
    return subprocess.run(['ip', 'netns', 'exec', 'outside', *command.split()], capture_output=True).returncode == 0


def bridged(myna):
    """One guest by a tap interface of the recipe, one by the helper."""
    lab('bridged')
    acl = pathlib.Path('/run/bridge.conf')
    acl.write_text('deny br1\nallow br0\n')
    helper = f'{pathlib.Path(myna).parent}/myna-bridge-helper'
    refused = subprocess.run([helper, '--use-vnet', f'--acl-file={acl}', '--br=br1', '--fd=1'], capture_output=True, text=True)
    if refused.returncode != 1 or 'not for everybody' not in refused.stderr:
        raise machine.Failure(f'the helper lets users into br1: {refused}')
    options = guests('bridged')
    options[1] = ['-nic', f'bridge,br=br0,helper={helper} --acl-file={acl},mac=52:54:00:00:00:02']
    bodies = [task('192.0.2.21/24', None, 'try mate ping -c 3 192.0.2.22; try host ping -c 2 192.0.2.10\n'
                                          'try outside ping -c 2 192.0.2.1\necho BOOT-WEB $(wget -q -O - http://192.0.2.1:8000/)'),
              task('192.0.2.22/24', None, 'try mate ping -c 3 192.0.2.21')]
    with server('outside'), running(myna, options, bodies) as (a, b):
        go(a, b)
        verdicts(a, mate='YES', host='YES', outside='YES')
        verdicts(b, mate='YES')
        network.same('the address that the LAN sees', a.expect(r'BOOT-WEB (.*)\n', 5)[1], '192.0.2.21')
        if not outside('ping -c 2 192.0.2.22'):
            raise machine.Failure('the LAN does not reach the second guest')


def routed(myna):
    lab('routed')
    netlab.run('ip -n outside route add 10.80.0.0/16 via 192.0.2.10')
    bodies = [task('10.80.1.2/24', '10.80.1.1', 'try mate ping -c 3 10.80.2.2; try outside ping -c 2 192.0.2.1\n'
                                                'echo BOOT-WEB $(wget -q -O - http://192.0.2.1:8000/)'),
              task('10.80.2.2/24', '10.80.2.1', 'try mate ping -c 3 10.80.1.2')]
    with server('outside'), running(myna, guests('routed'), bodies) as (a, b):
        go(a, b)
        verdicts(a, mate='YES', outside='YES')
        verdicts(b, mate='YES')
        network.same('the address seen outside', a.expect(r'BOOT-WEB (.*)\n', 5)[1], '10.80.1.2')
        if not outside('ping -c 2 10.80.2.2'):
            raise machine.Failure('the LAN does not reach the second guest')


def nat(myna):
    lab('nat')
    netlab.run('ip -n outside route add default via 192.0.2.10')  # even so, nobody gets in
    bodies = [task('10.90.0.2/24', '10.90.0.1', 'try mate ping -c 3 10.90.0.3; try outside ping -c 2 192.0.2.1\n'
                                                'echo BOOT-WEB $(wget -q -O - http://192.0.2.1:8000/)'),
              task('10.90.0.3/24', '10.90.0.1', 'try mate ping -c 3 10.90.0.2; try host ping -c 2 10.90.0.1')]
    with server('outside'), running(myna, guests('nat'), bodies) as (a, b):
        go(a, b)
        verdicts(a, mate='YES', outside='YES')
        verdicts(b, mate='YES', host='YES')
        network.same('the address seen outside', a.expect(r'BOOT-WEB (.*)\n', 5)[1], '192.0.2.10')
        if outside('ping -c 2 -W 2 10.90.0.2'):
            raise machine.Failure('the LAN reaches the first guest')


def host_only(myna):
    lab('host-only')
    netlab.run('echo 1 > /proc/sys/net/ipv4/ip_forward')  # even so, nothing gets through
    netlab.run('ip -n outside route add default via 192.0.2.10')
    bodies = [task('10.70.0.2/24', '10.70.0.1', 'try mate ping -c 3 10.70.0.3; try outside ping -c 2 -W 2 192.0.2.1\n'
                                                'echo BOOT-WEB $(wget -q -O - http://10.70.0.1:8000/)'),
              task('10.70.0.3/24', '10.70.0.1', 'try mate ping -c 3 10.70.0.2')]
    with server(), capture('/run/wire', '-i', 'eth0'), running(myna, guests('host-only'), bodies) as (a, b):
        go(a, b)
        verdicts(a, mate='YES', outside='NO')
        verdicts(b, mate='YES')
        network.same('the address that the host sees', a.expect(r'BOOT-WEB (.*)\n', 5)[1], '10.70.0.2')
        netlab.run('ping -c 2 10.70.0.3')
        if outside('ping -c 2 -W 2 10.70.0.2'):
            raise machine.Failure('the LAN reaches the first guest')
        time.sleep(0.5)
    if '10.70.0.2 >' in captured('/run/wire'):
        raise machine.Failure('a frame of the guest is on the LAN')


def host_port(myna):
    lab('host-port', tap=False)
    body = '''
udhcpc -i eth0 -n -q -s /etc/dhcp 2>/dev/null
mkdir /www; echo from $(ip -4 addr show dev eth0 | sed -n "s/.*inet \\(10[^ ]*\\).*/\\1/p") > /www/file
cat /www/file | sed "s/from/BOOT-LEASE/"
busybox httpd -p 80 -h /www
for i in 1 2 3 4 5 6 7 8 9 10; do ping -c 1 -w 2 10.0.2.16 >/dev/null && ping -c 1 -w 2 10.0.2.15 > /dev/null && break; done
try first ping -c 2 10.0.2.15; try second ping -c 2 10.0.2.16; try host wget -T 3 -q -O /dev/null http://10.0.2.2:8000/
try outside wget -T 3 -q -O /dev/null http://192.0.2.1:8000/
'''
    with server(), server('outside'), running(myna, guests('host-port'), [task('192.168.9.1/32', None, body)] * 2) as (a, b):
        a.expect('BOOT-READY', 200)
        go(a, b)
        leases = {a.expect(r'BOOT-LEASE (.*)\n', 5)[1], b.expect(r'BOOT-LEASE (.*)\n', 5)[1]}
        network.same('leases', leases, {'10.0.2.15/24', '10.0.2.16/24'})
        for m in (a, b):
            verdicts(m, first='YES', second='YES', host='NO', outside='NO')
        network.same('the port of the host', network.fetch('http://127.0.0.1:2201/file'), b'from 10.0.2.15/24\n')


def isolated(myna):
    """Nothing of the guests is on any wire of the host; and the network outlives the one that serves it."""
    lab('isolated', tap=False)
    again = 'try again ping -c 2 -w 30 192.168.7.3\necho BOOT-LAST; read word'
    bodies = [task('192.168.7.1/24', '192.168.7.2', 'try mate ping -c 2 -w 30 192.168.7.2; try third ping -c 2 -w 30 192.168.7.3'),
              task('192.168.7.2/24', '192.168.7.1', 'try mate ping -c 2 -w 30 192.168.7.1\n'
                   'try outside ping -c 2 -W 2 192.0.2.1; try host ping -c 2 -W 2 192.0.2.10').replace(
                       'poweroff', again + '\npoweroff'),
              task('192.168.7.3/24', '192.168.7.1', 'try mate ping -c 2 -w 30 192.168.7.1')]
    with capture('/run/wire', '-i', 'any'), running(myna, guests('isolated'), bodies) as (a, b, c):
        go(a, b, c)
        verdicts(a, mate='YES', third='YES')
        verdicts(b, mate='YES', outside='NO', host='NO')
        verdicts(c, mate='YES')
        serving = [m for m in (a, b, c) if 'serving' in m.command('human-monitor-command', **{'command-line': 'info network'})]
        network.same('how many serve', len(serving), 1)
        a.process.kill()
        b.send('go\n')
        b.expect('BOOT-LAST', 60)
        verdicts(b, again='YES')
        time.sleep(0.5)
    if '192.168.7.' in captured('/run/wire'):
        raise machine.Failure('a frame of the guests is on a wire of the host')


TESTS = {
    'bridged': bridged,
    'routed': routed,
    'nat': nat,
    'host-only': host_only,
    'host-port': host_port,
    'isolated': isolated,
}

if __name__ == '__main__':
    netlab.main(TESTS)
