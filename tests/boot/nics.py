#!/usr/bin/env python3
"""Network cards under Debian's drivers: DHCP, ping, transfers with checksums, many connections, the cable, iperf3.

Usage: nics.py MYNA [test...]
"""
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading

import initramfs
import linux
import machine

PARALLEL = 24
WAIT = 150  # seconds, for each step on a busy host

WITH_TWO_CPUS = ['virtio-net-mq', 'vmxnet3-mq']
# Device options, the kernel's modules, what the modules are told, and whether the driver sees the cable.
CARDS = {
    'e1000': ('e1000', ['e1000'], {}, True),
    'e1000-82544gc': ('e1000-82544gc', ['e1000'], {}, True),
    'e1000-82545em': ('e1000-82545em', ['e1000'], {}, True),
    'e1000e': ('e1000e', ['e1000e'], {}, True),
    'vmxnet3': ('vmxnet3', ['vmxnet3'], {}, True),
    'vmxnet3-mq': ('vmxnet3', ['vmxnet3'], {}, True),
    'rtl8139': ('rtl8139', ['8139cp'], {}, True),
    'rtl8139c': ('rtl8139,cplus=off', ['8139too'], {}, True),
    'virtio-net': ('virtio-net-pci', ['virtio_pci', 'virtio_net'], {}, True),
    'virtio-net-mq': ('virtio-net-pci,mq=on,packed=on,rx_queue_size=1024', ['virtio_pci', 'virtio_net'], {}, True),
    'virtio-net-legacy': ('virtio-net-pci,disable-modern=on,mrg_rxbuf=off', ['virtio_pci', 'virtio_net'], {}, True),
    'i82559er': ('i82559er', ['e100'], {}, True),
    'i82557b': ('i82557b', ['e100'], {}, True),
    'pcnet': ('pcnet', ['pcnet32'], {}, True),
    'ne2k_pci': ('ne2k_pci', ['ne2k-pci'], {}, False),
    'ne2k_isa': ('ne2k_isa,iobase=0x300,irq=5', ['ne'], {'ne': 'io=0x300 irq=5'}, False),
}
BOTH = ['rtl8139', 'rtl8139c', 'pcnet']  # those whose drivers differ on i386: ports, addresses of 32 bits
ONLY_I386 = ['ne2k_isa']  # those that Debian's amd64 kernel has no driver for


class Host:
    """What the guest talks to, on the host's loopback: a web server, a sink that sums up, iperf3."""

    def __init__(self, size):
        blob = os.urandom(size)
        self.digest = hashlib.md5(blob).hexdigest()
        self.small = {str(i): os.urandom(100000 + i) for i in range(PARALLEL)}
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = blob if self.path == '/blob' else host.small[self.path[1:]]
                self.send_response(200)
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *unused):
                pass

        self.web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.web.daemon_threads = True
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        self.sink = socket.create_server(('127.0.0.1', 0))
        self.received = hashlib.md5()
        threading.Thread(target=self._receive, daemon=True).start()
        self.iperf = None
        with socket.create_server(('127.0.0.1', 0)) as probe:
            self.iperf_port = probe.getsockname()[1]
        if shutil.which('iperf3'):
            self.iperf = subprocess.Popen(['iperf3', '-s', '-B', '127.0.0.1', '-p', str(self.iperf_port)],
                                          stdout=subprocess.DEVNULL)

    def _receive(self):
        peer, _ = self.sink.accept()
        while chunk := peer.recv(65536):
            self.received.update(chunk)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.web.shutdown()
        self.sink.close()
        if self.iperf:
            self.iperf.kill()
            self.iperf.wait()


def task(host, iperf, sees_cable):
    sums = ''.join(f'{hashlib.md5(data).hexdigest()}  /tmp/{name}\n' for name, data in host.small.items())
    web = f'http://10.0.2.2:{host.web.server_port}'
    carrier = '/sys/class/net/eth0/carrier'
    down = f'until [ "$(cat {carrier})" = 0 ]; do sleep 0.2; done' if sees_cable else 'sleep 0.5'
    up = f'until [ "$(cat {carrier})" = 1 ]; do sleep 0.2; done' if sees_cable else 'sleep 0.5'
    return f'''
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -n -q -t 10 -s /etc/dhcp || echo BOOT-FAIL dhcp
ping -c 3 -W 2 10.0.2.2 > /tmp/ping || echo BOOT-FAIL ping
ping -c 2 -W 2 -s 8000 10.0.2.2 > /tmp/ping || echo BOOT-FAIL ping of several packets
echo BOOT-PINGED
wget -q -O /tmp/blob {web}/blob
echo BOOT-SUM $(md5sum /tmp/blob | cut -c1-32)
nc 10.0.2.2 {host.sink.getsockname()[1]} < /tmp/blob
echo BOOT-SENT
rm /tmp/blob
for i in $(seq 0 {PARALLEL - 1}); do wget -q -O /tmp/$i {web}/$i & done
wait
echo "{sums}" > /tmp/sums
echo BOOT-PARALLEL $(md5sum -c /tmp/sums 2>/dev/null | grep -c OK)
echo BOOT-CABLE; read word
{down}
ping -c 1 -W 1 10.0.2.2 > /tmp/ping && echo BOOT-FAIL ping without a cable
echo BOOT-DOWN; read word
{up}
ping -c 5 -W 2 10.0.2.2 > /tmp/ping || echo BOOT-FAIL ping with the cable again
echo BOOT-AGAIN
''' + (f'''
iperf3 -c 10.0.2.2 -p {host.iperf_port} -t 3 -f m || echo BOOT-FAIL iperf3
iperf3 -c 10.0.2.2 -p {host.iperf_port} -t 3 -f m -R || echo BOOT-FAIL iperf3 -R
''' if iperf else '') + '''
cat /proc/net/dev | sed -n 's/^ *eth0:/BOOT-COUNTERS/p'
grep eth0 /proc/interrupts
echo BOOT-END
poweroff -f
'''


def card(myna, arch, name):
    device, modules, parameters, sees_cable = CARDS[name]
    iperf = shutil.which('iperf3') if arch == 'amd64' and os.uname().machine == 'x86_64' else None
    with Host(1 << 20) as host, tempfile.NamedTemporaryFile(prefix='initramfs-') as image:
        vmlinuz, busybox, root = linux.kernel(arch)
        initramfs.build(image.name, busybox, root, modules + ['ipv6'], task(host, iperf, sees_cable),
                        [iperf] if iperf else [], initramfs.libraries(iperf) if iperf else {}, parameters)
        binary = pathlib.Path(myna).parent / ('myna-system-x86_64' if arch == 'amd64' else 'myna-system-i386')
        with machine.Machine(str(binary), '-m', 384, '-smp', 2 if name in WITH_TWO_CPUS else 1, '-kernel', vmlinuz, '-initrd', image.name, '-no-reboot',
                             '-append', 'console=ttyS0 panic=-1 quiet', '-netdev', 'user,id=n0',
                             '-device', f'{device},netdev=n0,id=card') as m:
            m.expect('BOOT-DHCP 10.0.2.15', WAIT)
            m.expect('BOOT-PINGED', WAIT)
            if m.expect('BOOT-SUM (\\w{32})', WAIT)[1] != host.digest:
                raise machine.Failure('the download is damaged')
            m.expect('BOOT-SENT', WAIT)
            if host.received.hexdigest() != host.digest:
                raise machine.Failure('the upload is damaged')
            if m.expect(r'BOOT-PARALLEL (\d+)\n', WAIT)[1] != str(PARALLEL):
                raise machine.Failure('parallel downloads are damaged')
            m.expect('BOOT-CABLE', WAIT)
            m.command('set_link', name='card', up=False)
            m.send('go\n')
            m.expect('BOOT-DOWN', WAIT)
            m.command('set_link', name='card', up=True)
            m.send('go\n')
            m.expect('BOOT-AGAIN', WAIT)
            m.expect('BOOT-END', WAIT)
            m.wait_exit(WAIT)
            if failures := re.findall('BOOT-FAIL.*', m.text):
                raise machine.Failure('; '.join(failures))
            speeds = re.findall(r'([\d.]+) Mbits/sec +\d* +(sender|receiver)', m.text)
            print(f'{name} on {arch}:', ', '.join(f'{speed} Mbit/s {who}' for speed, who in speeds) or 'without iperf3')


TESTS = {name: lambda myna, name=name: card(myna, 'amd64', name) for name in CARDS if name not in ONLY_I386}
TESTS |= {f'{name}-i386': lambda myna, name=name: card(myna, 'i386', name) for name in BOTH + ONLY_I386}

if __name__ == '__main__':
    machine.main(TESTS)
