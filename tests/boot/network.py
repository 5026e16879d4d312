#!/usr/bin/env python3
"""The user network as a Debian guest sees it, all of it on loopback of a namespace of its own.

Usage: network.py MYNA [test...]
"""
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

import linux
import machine
import netlab
import nics

STREAMS = 24
LARGE = 12 << 20


def fetch(url, tries=20):
    for _ in range(tries):  # the guest may not listen yet
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.3)
    raise machine.Failure(f'nothing at {url}')


def same(what, got, wanted):
    if got != wanted:
        raise machine.Failure(f'{what}: {got!r}, not {wanted!r}')


def user(myna, arch='amd64', card='e1000'):
    device, modules, parameters, sees_cable = nics.CARDS[card]
    cable = 'cat /sys/class/net/eth0/carrier' if sees_cable else 'echo $word'
    netlab.enter('tcpdump')
    netlab.Names('our.example', '10.9.8.7')
    web, sink, echo = netlab.Web(LARGE), netlab.Sink(), netlab.Echo()
    with tempfile.TemporaryDirectory() as folder:
        boot_file = os.urandom(300000)
        with open(f'{folder}/boot.img', 'wb') as f:
            f.write(boot_file)
        parts = ' '.join(hashlib.md5(web.part(n)).hexdigest() for n in range(STREAMS))
        forward, forward6, udp, later = (netlab.free_port() for _ in range(4))
        task = f'''
ip link set lo up; ip link set eth0 up
udhcpc -i eth0 -n -q -s /etc/dhcp
for i in $(seq 160); do ip -6 addr show dev eth0 | grep -q "fec0::.*/64 scope site dynamic" && break; sleep 0.25; done
echo BOOT-IP6 $(ip -6 addr show dev eth0 | sed -n "s/.*inet6 \\(fec0[^ ]*\\).*/\\1/p" | head -n 1)
ping -c 2 10.0.2.2 >/dev/null && ping -c 1 -s 4000 10.0.2.2 >/dev/null && echo BOOT-PING4
busybox ping6 -c 2 fec0::2 >/dev/null && echo BOOT-PING6
echo BOOT-DNS $(busybox nslookup -type=a our.example 10.0.2.3 | grep -A9 Name: | grep Address | sed "s/.* //")
wget -q -O /tmp/blob http://10.0.2.2:{web.port}/blob; echo BOOT-DOWN $(md5sum /tmp/blob | cut -c1-32)
nc 10.0.2.2 {sink.port} < /tmp/blob; echo BOOT-UP4
i=0; while [ $i -lt {STREAMS} ]; do wget -q -O /tmp/part$i http://10.0.2.2:{web.port}/part/$i & i=$(expr $i + 1); done; wait
i=0; s=; while [ $i -lt {STREAMS} ]; do s="$s $(md5sum /tmp/part$i | cut -c1-32)"; i=$(expr $i + 1); done; echo BOOT-PARTS $s
busybox tftp -g -r boot.img -l /tmp/tftp 10.0.2.2; echo BOOT-TFTP $(md5sum /tmp/tftp | cut -c1-32)
echo BOOT-CMD $(echo to the command | nc 10.0.2.100 80)
echo BOOT-CHR $(echo to the socket | busybox timeout 5 nc -w 2 10.0.2.101 81)
mkdir /www; echo from the guest > /www/file; busybox httpd -p 8080 -h /www
echo BOOT-SERVES; read word
for i in $(seq 80); do [ $({cable}) = 0 ] && break; sleep 0.25; done; echo BOOT-CARRIER $({cable}); read word
for i in $(seq 80); do [ $({cable}) = 1 ] && break; sleep 0.25; done; echo BOOT-CARRIER $({cable})
ping -c 1 -w 10 10.0.2.2 >/dev/null && echo BOOT-AGAIN
echo BOOT-END
poweroff -f
'''
        netdev = (f'user,id=n0,tftp={folder},bootfile=boot.img,hostname=mynaguest,hostfwd=tcp:127.0.0.1:{forward}-:8080,'
                  f'hostfwd=udp:127.0.0.1:{udp}-:9,hostfwd=tcp:[::1]:{forward6}-[fec0::5054:ff:fe12:3456]:8080,'
                  'guestfwd=tcp:10.0.2.100:80-cmd:/bin/cat,guestfwd=tcp:10.0.2.101:81-chardev:gf')
        args = ['-chardev', f'socket,id=gf,host=127.0.0.1,port={echo.port}', '-netdev', netdev,
                '-device', f'{device},netdev=n0,id=card', '-object', f'filter-dump,id=dump,netdev=n0,file={folder}/capture']
        with linux.boot(myna, arch, task, modules=modules, args=args, parameters=parameters,
                        smp=2 if card in nics.WITH_TWO_CPUS else 1) as m:
            m.expect('BOOT-DHCP 10.0.2.15', 150)
            same('IPv6 address', m.expect(r'BOOT-IP6 (\S*)\s', 100)[1], 'fec0::5054:ff:fe12:3456/64')
            m.expect('BOOT-PING4', 60)
            m.expect('BOOT-PING6', 60)
            same('DNS', m.expect(r'BOOT-DNS (\S*)\n', 60)[1], '10.9.8.7')
            same('download', m.expect(r'BOOT-DOWN (\w{32})', 150)[1], web.md5)
            m.expect('BOOT-UP4', 150)
            same('upload', sink.md5(), web.md5)
            same(f'{STREAMS} connections', m.expect(r'BOOT-PARTS ([ \w]*)\n', 150)[1].strip(), parts)
            same('TFTP', m.expect(r'BOOT-TFTP (\w{32})', 30)[1], hashlib.md5(boot_file).hexdigest())
            same('guestfwd to a command', m.expect(r'BOOT-CMD (.*)\n', 20)[1], 'to the command')
            same('guestfwd to a socket', m.expect(r'BOOT-CHR (.*)\n', 20)[1], 'TO THE SOCKET')
            m.expect('BOOT-SERVES', 20)
            same('hostfwd', fetch(f'http://127.0.0.1:{forward}/file'), b'from the guest\n')
            same('hostfwd to IPv6', fetch(f'http://[::1]:{forward6}/file'), b'from the guest\n')
            hmp = lambda line: m.command('human-monitor-command', **{'command-line': line})
            same('hostfwd_add', hmp(f'hostfwd_add n0 tcp:127.0.0.1:{later}-:8080'), '')
            same('hostfwd at run time', fetch(f'http://127.0.0.1:{later}/file'), b'from the guest\n')
            if 'TCP[HOST_FORWARD]' not in hmp('info usernet') or str(later) not in hmp('info network'):
                raise machine.Failure('the forward is not in info usernet and info network')
            hmp(f'hostfwd_remove n0 tcp:127.0.0.1:{later}')
            if socket.socket().connect_ex(('127.0.0.1', later)) == 0:
                raise machine.Failure('hostfwd_remove left the port open')
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:  # seen in the capture
                sender.sendto(b'by UDP\n', ('127.0.0.1', udp))
            hmp('set_link card off')
            m.send('0\n')
            m.expect('BOOT-CARRIER 0', 30)
            hmp('set_link n0 on')
            m.send('1\n')
            m.expect('BOOT-CARRIER 1', 30)
            m.expect('BOOT-AGAIN', 30)
            m.expect('BOOT-END', 20)
            m.wait_exit(30)
        dump = subprocess.run(['tcpdump', '-nn', '-r', f'{folder}/capture'], capture_output=True, text=True).stdout
        for sign in ('BOOTP/DHCP, Request', 'BOOTP/DHCP, Reply', 'ICMP6, router advertisement', 'our.example', 'TFTP',
                     f'10.0.2.2.{web.port}: Flags [S]', '10.0.2.15.9: UDP, length 7'):
            if sign not in dump:
                raise machine.Failure(f'{sign!r} is not in the capture')


def restrict(myna):
    """restrict=on: addresses by DHCP and the ways in that were made, but none out."""
    netlab.enter()
    web = netlab.Web(1000)
    forward = netlab.free_port()
    task = f'''
ip link set lo up; ip link set eth0 up
udhcpc -i eth0 -n -q -s /etc/dhcp 2>/dev/null
echo BOOT-ADDRESS $(ip -4 addr show dev eth0 | sed -n "s/.*inet \\([^ ]*\\).*/\\1/p")
wget -T 3 -q -O /tmp/x http://10.7.2.2:{web.port}/blob && echo BOOT-FAIL out
echo BOOT-CMD $(echo in by the command | nc 10.7.2.100 80)
mkdir /www; echo from the guest > /www/file; busybox httpd -p 8080 -h /www
echo BOOT-SERVES; read word
echo BOOT-END
poweroff -f
'''
    netdev = (f'user,id=n0,net=10.7.2.0/24,dhcpstart=10.7.2.40,restrict=on,hostfwd=tcp:127.0.0.1:{forward}-:8080,'
              'guestfwd=tcp:10.7.2.100:80-cmd:/bin/cat')
    with linux.boot(myna, 'amd64', task, modules=['e1000'],
                    args=['-netdev', netdev, '-device', 'e1000,netdev=n0']) as m:
        same('address', m.expect(r'BOOT-ADDRESS (\S*)\n', 150)[1], '10.7.2.40/24')
        same('guestfwd', m.expect(r'BOOT-CMD (.*)\n', 30)[1], 'in by the command')
        m.expect('BOOT-SERVES', 20)
        same('hostfwd', fetch(f'http://127.0.0.1:{forward}/file'), b'from the guest\n')
        m.send('go\n')
        m.expect('BOOT-END', 20)
        if 'BOOT-FAIL' in m.text:
            raise machine.Failure('the guest reached the host')


def sockets(myna):
    """Two guests with a card on each kind of wire between processes; VDE where its switch is installed."""
    netlab.enter()
    netlab.run('ip link set lo multicast on; ip route add 230.0.0.0/8 dev lo')
    tcp, udp, udp2, group = (netlab.free_port() for _ in range(4))
    here, there = ('inet,{0}.host=127.0.0.1,{0}.port='.format(end) for end in ('local', 'remote'))
    wires = {
        'stream': [f'stream,server={server},addr.type=inet,addr.host=127.0.0.1,addr.port={tcp}{more}'
                   for server, more in (('on', ''), ('off', ',reconnect=1'))],
        'dgram': [f'dgram,local.type={here}{a},remote.type={there}{b}' for a, b in ((udp, udp2), (udp2, udp))],
        'mcast': [f'socket,mcast=230.0.0.1:{group},localaddr=127.0.0.1'] * 2,
        'unix': ['stream,server=on,addr.type=unix,addr.path=/run/wire', 'stream,addr.type=unix,addr.path=/run/wire,reconnect=1'],
    }
    if shutil.which('vde_switch'):
        netlab.run('vde_switch -d -s /run/vde.ctl </dev/null >/dev/null 2>&1')
        wires['vde'] = ['vde,sock=/run/vde.ctl'] * 2

    def boot(side):
        task, args = 'ip link set lo up\n', []
        for n, ends in enumerate(wires.values()):
            kind, _, rest = ends[side].partition(',')
            args += ['-netdev', f'{kind},id=n{n},{rest}', '-device', f'e1000,netdev=n{n},mac=52:54:00:00:0{n}:0{side + 1}']
            task += f'ip link set eth{n} up; ip addr add 10.6.{n}.{side + 1}/24 dev eth{n}\n'
        task += 'sleep 2; echo BOOT-READY; read word\n'
        for n, name in enumerate(wires):
            task += f'ping -c 5 -i 0.2 -w 40 -s 1400 10.6.{n}.{2 - side} >/dev/null && echo BOOT-WIRE {name}\n'
        return linux.boot(myna, 'amd64', task + 'echo BOOT-END; read word\npoweroff -f\n', modules=['e1000'], args=args,
                          memory=192)

    with boot(0) as a, boot(1) as b:
        for m in (a, b):
            m.expect('BOOT-READY', 200)
        for m in (a, b):
            m.send('go\n')
        for m in (a, b):
            m.expect('BOOT-END', 60)
            same('wires', re.findall(r'BOOT-WIRE (\w+)', m.text), list(wires))


def vlan(myna):
    """Old options: two cards and a user network on one wire, and -redir."""
    netlab.enter()
    forward = netlab.free_port()
    task = """
ip link set lo up; ip link set eth0 up; ip link set eth1 up
udhcpc -i eth0 -n -q -s /etc/dhcp; udhcpc -i eth1 -n -q -s /etc/dhcp
mkdir /www; echo from the guest > /www/file; busybox httpd -p 8080 -h /www
echo BOOT-SERVES; read word
poweroff -f
"""
    with linux.boot(myna, 'amd64', task, modules=['e1000'], args=[
            '-redir', f'tcp:{forward}::8080', '-net', 'nic,vlan=2,macaddr=52:54:00:00:00:01',
            '-net', 'nic,vlan=2,macaddr=52:54:00:00:00:02,model=e1000', '-net', 'user,vlan=2,hostname=old']) as m:
        m.expect('BOOT-DHCP 10.0.2.15', 150)
        m.expect('BOOT-DHCP 10.0.2.16', 30)
        m.expect('BOOT-SERVES', 20)
        same('-redir', fetch(f'http://127.0.0.1:{forward}/file'), b'from the guest\n')


TESTS = {
    'user': user,
    'user-i386': lambda myna: user(myna, 'i386'),
    'restrict': restrict,
    'sockets': sockets,
    'vlan': vlan,
}
TESTS |= {f'user-{card}': lambda myna, card=card: user(myna, 'i386' if card in nics.ONLY_I386 else 'amd64', card)
          for card in nics.CARDS}

if __name__ == '__main__':
    netlab.main(TESTS)
