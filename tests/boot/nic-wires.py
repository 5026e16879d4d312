#!/usr/bin/env python3
"""Network cards on a wire to the host's kernel: VLANs, multicast, jumbo frames; and cards that come and go.

Usage: nic-wires.py MYNA [test...]
"""
import re
import shutil
import socket
import struct
import subprocess
import threading

import initramfs
import linux
import machine
import netlab
import nics

WAIT = 200
GROUP = '239.1.2.3'
JUMBO = {'e1000': 9000, 'e1000-82544gc': 9000, 'e1000-82545em': 9000, 'e1000e': 9000, 'vmxnet3': 9000, 'virtio-net': 9000, 'virtio-net-mq': 9000,
         'virtio-net-legacy': 9000, 'rtl8139': 4000}
HOT = {'e1000': 'e1000', 'e1000e': 'e1000e', 'vmxnet3': 'vmxnet3', 'rtl8139': '8139cp', 'pcnet': 'pcnet32', 'i82559er': 'e100',
       'i82550': 'e100', 'i82557a': 'e100', 'i82557c': 'e100', 'i82558a': 'e100', 'i82558b': 'e100', 'i82559a': 'e100',
       'i82559b': 'e100', 'i82559c': 'e100', 'i82562': 'e100', 'i82801': 'e100', 'ne2k_pci': 'ne2k-pci', 'virtio-net-pci': 'virtio_net'}
IN_VLAN = 'ping -c 2 -w 20 10.5.6.1 > /dev/null && ping -c 2 -w 20 -s 1472 10.5.6.1 > /dev/null && echo answered'


def ask(m, command, timeout=60):
    """A line for the guest's shell; what it prints on one line."""
    ask.count = getattr(ask, 'count', 0) + 1
    m.send(f'echo BOOT-ANSWER-{ask.count} $({command})-\n')
    return m.expect(rf'\nBOOT-ANSWER-{ask.count} (.*)-\n', timeout)[1]


def check(what, good):
    if not good:
        raise machine.Failure(what)


def ping(address, *more):
    return subprocess.run(['ping', '-n', '-c', '3', '-i', '0.2', '-W', '5', *more, address], capture_output=True).returncode == 0


def serve_vlan(interface):
    """Answers ARP and ping for 10.5.6.1 in VLAN 5: not every host's kernel has VLANs."""
    sol_packet, auxdata, outgoing, tagged = 263, 8, 4, 0x10
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((interface, 0))
    wire.setsockopt(sol_packet, auxdata, 1)
    mac, me = b'\x52\x55\0\0\0\5', socket.inet_aton('10.5.6.1')
    while True:
        frame, extra, _, source = wire.recvmsg(65536, 256)
        status, tag = next((struct.unpack('IIIHHHH', data)[::5] for level, kind, data in extra
                            if (level, kind) == (sol_packet, auxdata)), (0, 0))
        if source[2] == outgoing or not status & tagged or tag & 0xfff != 5:
            continue
        header, body = frame[6:12] + mac + struct.pack('>HH', 0x8100, tag) + frame[12:14], frame[14:]
        if frame[12:14] == b'\x08\x06' and body[6:8] == b'\0\1' and body[24:28] == me:
            wire.send(header + body[:6] + b'\0\2' + mac + me + body[8:18])
        elif frame[12:14] == b'\x08\0' and body[9] == 1 and body[16:20] == me and body[20] == 8:
            total = struct.unpack('>H', body[22:24])[0] + 0x800  # type 8 becomes 0
            wire.send(header + body[:12] + me + body[12:16] + b'\0\0' + struct.pack('>H', (total & 0xffff) + (total >> 16)) + body[24:])


def jumbo_frames(m, mtu):
    netlab.run(f'ip link set tap0 mtu {mtu}')
    check('the card does not take the MTU', ask(m, f'ip link set eth0 mtu {mtu} && sleep 3 && echo set') == 'set')
    check('no answer in jumbo frames', ping('10.5.5.2', '-M', 'do', '-s', str(mtu - 28)))
    with subprocess.Popen(['iperf3', '-s', '-1'], stdout=subprocess.DEVNULL) as server:
        speed = ask(m, 'iperf3 -c 10.5.5.1 -t 2 -f m | grep receiver | sed "s/.*Bytes *//; s/ Mbits.*//"')
        server.wait()
    with subprocess.Popen(['iperf3', '-s', '-1'], stdout=subprocess.DEVNULL) as server:
        back = ask(m, 'iperf3 -c 10.5.5.1 -t 2 -R -f m | grep receiver | sed "s/.*Bytes *//; s/ Mbits.*//"')
        server.wait()
    check(f'no transfer in jumbo frames: {speed!r}, {back!r}', speed and back)
    print(f'with an MTU of {mtu}: {speed} Mbit/s sent, {back} received')


def wire(myna, name):
    netlab.enter('iperf3', 'ping')
    netlab.need_tun()
    netlab.run('ip tuntap add dev tap0 mode tap; ip addr add 10.5.5.1/24 dev tap0; ip link set tap0 up; '
               f'ip route add {GROUP}/32 dev tap0')
    device, modules, parameters, _ = nics.CARDS[name]
    iperf, ip = shutil.which('iperf3'), shutil.which('ip')
    files = initramfs.libraries(iperf) | initramfs.libraries(ip) | {'sbin/ip': ip}  # busybox's shell knows an ip itself
    task = (f'ip link set lo up; ip link set eth0 up; ip addr add 10.5.5.2/24 dev eth0\n'
            'echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_broadcasts\n') + linux.SHELL
    with linux.boot(myna, 'amd64', task, modules=modules + ['ipv6', '8021q'], programs=[iperf], files=files,
                    smp=2 if name in nics.WITH_TWO_CPUS else 1, append='quiet no_timer_check',
                    args=['-netdev', 'tap,id=n0,ifname=tap0,script=no,downscript=no', '-device', f'{device},netdev=n0']) as m:
        m.expect('BOOT-READY', WAIT)
        threading.Thread(target=serve_vlan, args=('tap0',), daemon=True).start()
        check('no answer', ping('10.5.5.2', '-w', '20'))
        # The address comes a moment after the kernel has noticed the link.
        link = re.search(r'fe80::[0-9a-f:]+', ask(m, 'i=0; while ! ip -6 addr show dev eth0 | grep fe80 && [ $i -lt 20 ]; do '
                                                     'i=$(expr $i + 1); sleep 1; done'))
        check('no answer to IPv6, which finds its neighbour by multicast', link and ping(link[0] + '%tap0', '-w', '20'))
        # A group that nobody joined, and then it is joined.
        check('answers for a group that was not joined', not ping(GROUP))
        ask(m, f'/sbin/ip addr add {GROUP}/32 dev eth0 autojoin')
        check('no answer from a group that was joined', ping(GROUP))
        check('VLAN', ask(m, '/sbin/ip link add link eth0 name eth0.5 type vlan id 5 && ip addr add 10.5.6.2/24 dev eth0.5 && '
                             'ip link set eth0.5 up && echo up') == 'up')
        check('no answer through the VLAN', ask(m, IN_VLAN) == 'answered')
        # Without the filter of addresses everything comes; with it, back to what was asked for.
        ask(m, 'ip link set eth0 promisc on; ip link set eth0 promisc off; sleep 1')
        check('no answer after promiscuous mode', ping('10.5.5.2') and ask(m, IN_VLAN) == 'answered')
        if name in JUMBO:
            jumbo_frames(m, JUMBO[name])
        m.send(linux.QUIT)
        m.wait_exit(WAIT)
        check('the kernel complains', not re.search('Oops|BUG:|Call Trace|Tx timeout|transmit queue', m.text))


def hotplug(myna, cards=None):
    """Each PCI card is plugged into a running machine, used, and pulled."""
    netlab.enter()
    web = netlab.Web(1 << 20)
    modules = list(dict.fromkeys(HOT.values())) + ['virtio_pci']
    cards = cards or list(HOT)
    args = ['-nic', 'none']
    for n in range(len(cards)):
        args += ['-netdev', f'user,id=n{n}']
    with linux.boot(myna, 'amd64', 'ip link set lo up\n' + linux.SHELL, modules=modules, args=args, append='quiet no_timer_check') as m:
        m.expect('BOOT-READY', WAIT)
        for n, card in enumerate(cards):
            m.command('device_add', driver=card, netdev=f'n{n}', id='nic', addr='0x1c')
            ask(m, 'while [ ! -e /sys/class/net/eth0 ]; do sleep 0.5; done; ip link set eth0 up; '
                   'udhcpc -i eth0 -n -q -t 10 -s /etc/dhcp > /dev/null', WAIT)
            check(f'{card}: the download is damaged', ask(m, f'wget -q -O - http://10.0.2.2:{web.port}/blob | md5sum | cut -c1-32', WAIT) == web.md5)
            m.command('device_del', id='nic')
            m.wait_event('DEVICE_DELETED', 60, device='nic')
            ask(m, 'while [ -e /sys/class/net/eth0 ]; do sleep 0.5; done')
            m.command('netdev_del', id=f'n{n}')
        m.send(linux.QUIT)
        m.wait_exit(WAIT)
        check('the kernel complains', not re.search('Oops|BUG:|Call Trace', m.text))


TESTS = {name: lambda myna, name=name: wire(myna, name) for name in nics.CARDS if name not in nics.ONLY_I386}
TESTS['hotplug'] = hotplug

if __name__ == '__main__':
    netlab.main(TESTS)
