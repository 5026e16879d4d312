#!/usr/bin/env python3
"""Debian's virtio drivers against our devices.

Usage: virtio.py MYNA [test...]
"""
import hashlib
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time

import linux
import machine

MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4', 'nls_cp437']
MKFS = ['/sbin/mkfs.ext4', '/sbin/e2fsck', '/sbin/debugfs']

# A file system is made on the host, filled and trimmed in the guest, and checked on the host.
DISK_TASK = '''
echo BOOT-ID $(cat /sys/block/vda/serial) $(cat /sys/block/vda/size) $(cat /sys/block/vda/queue/discard_max_bytes)
echo BOOT-CACHE $(cat /sys/block/vda/queue/write_cache)
ls /sys/block/vda/mq | wc -l | sed "s/^/BOOT-QUEUES /"
mount -t ext4 -o discard /dev/vda /mnt || echo BOOT-FAIL mount
i=0; while [ $i -lt 40 ]; do dd if=/dev/urandom of=/mnt/file$i bs=64k count=4 2>/dev/null; i=$(expr $i + 1); done
mkdir /mnt/d; cp /mnt/file1 /mnt/d/copy; rm /mnt/file2
for n in 3 4 5 6; do cp /mnt/file$n /mnt/d/$n & done; wait
sync
echo BOOT-SUM $(md5sum /mnt/d/copy | cut -c1-32)
dd if=/dev/zero of=/mnt/big bs=1M count=16 2>/dev/null; sync; rm /mnt/big; sync
busybox fstrim /mnt && echo BOOT-TRIMMED
umount /mnt
echo BOOT-FLAGS $(cat /sys/block/vda/device/features)
dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null && echo BOOT-READ
busybox blkdiscard -o 1048576 -l 1048576 /dev/vdb && echo BOOT-DISCARD
dd if=/dev/vdb bs=1M count=1 skip=1 2>/dev/null | md5sum | sed "s/^/BOOT-B /"
echo BOOT-END
poweroff -f
'''


def features(m):
    """Negotiated feature bits as the kernel shows them: bit n is character n."""
    text = m.expect(r'BOOT-FLAGS ([01]+)\n', 60)[1]
    return {n for n, c in enumerate(text) if c == '1'}


def disk(myna, arch='amd64', options='', smp=1, args=(), want=(), without=(), queues=None):
    with tempfile.TemporaryDirectory() as folder:
        image, second = os.path.join(folder, 'disk.img'), os.path.join(folder, 'second.img')
        for path, size in ((image, 64 << 20), (second, 4 << 20)):
            with open(path, 'wb') as f:
                f.truncate(size)
        with open(second, 'r+b') as f:
            f.write(b'\xa5' * (4 << 20))
        if not all(map(os.path.exists, MKFS)):
            machine.skip('mkfs.ext4 is missing (Debian package e2fsprogs)')
        subprocess.run(['/sbin/mkfs.ext4', '-q', '-F', image], check=True)
        with linux.boot(myna, arch, DISK_TASK, modules=MODULES, smp=smp, args=[
                '-nic', 'none', *args, '-drive', f'file={image},format=raw,if=none,id=a,discard=unmap',
                '-drive', f'file={second},format=raw,if=none,id=b,discard=unmap',
                '-device', f'virtio-blk-pci,drive=a,serial=SN-1234{options}', '-device', 'virtio-blk-pci,drive=b']) as m:
            m.expect(r'BOOT-ID SN-1234 131072 [1-9]', 200)
            m.expect('BOOT-CACHE write back', 10)
            if queues and int(m.expect(r'BOOT-QUEUES (\d+)\n', 10)[1]) != queues:
                raise machine.Failure('wrong number of queues')
            digest = m.expect(r'BOOT-SUM (\w{32})', 120)[1]
            m.expect('BOOT-TRIMMED', 60)
            agreed = features(m)
            if not set(want) <= agreed or set(without) & agreed:
                raise machine.Failure(f'features {sorted(agreed)}')
            m.expect('BOOT-READ', 60)
            m.expect('BOOT-DISCARD', 20)
            m.expect('BOOT-B b6d81b360a5672d80c27430f39153e2c', 20)  # a mebibyte of zeros
            m.expect('BOOT-END', 30)
            m.wait_exit(60)
        if os.stat(image).st_blocks * 512 > 30 << 20:
            raise machine.Failure('trimmed blocks are still allocated on the host')
        machine.check_disk(image, '/d/copy', digest, folder)


def boots(myna, options=''):
    """SeaBIOS reads a boot sector through its own driver, and GRUB its modules."""
    image = machine.guest('grub-rescue') / 'usr/lib/grub-rescue/grub-rescue-cdrom.iso'
    with machine.Machine(myna, '-nic', 'none', '-drive', f'file={image},format=raw,if=none,id=d,readonly=on',
                         '-device', f'virtio-blk-pci,drive=d{options}', serial=False) as m:
        m.wait_screen('GNU GRUB', 60)


def hotplug(myna):
    """Disks and network cards come and go while Debian's acpiphp looks on."""
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'disk.img')
        with open(image, 'wb') as f:
            f.truncate(8 << 20)
        with linux.boot(myna, 'amd64', linux.SHELL, modules=MODULES + ['virtio_net', 'e1000'], args=[
                '-nic', 'none', '-netdev', 'user,id=n0', '-netdev', 'user,id=n1',
                '-drive', f'file={image},format=raw,if=none,id=d0']) as m:
            m.expect('BOOT-READY', 150)
            for turn in range(2):
                m.command('device_add', driver='virtio-blk-pci', drive='d0', id='disk0', serial=f'HOT-{turn}')
                m.send('while [ ! -b /dev/vda ]; do sleep 1; done; echo BOOT-DISK $(cat /sys/block/vda/serial)\n')
                m.expect(f'\nBOOT-DISK HOT-{turn}', 40)
                m.send(f'echo payload-{turn} | dd of=/dev/vda conv=sync bs=512 2>/dev/null; sync; echo BOOT-WROTE-{turn}-\n')
                m.expect(f'\nBOOT-WROTE-{turn}-\n', 20)
                m.command('device_del', id='disk0')
                m.wait_event('DEVICE_DELETED', 40, device='disk0')
                m.send(f'[ -b /dev/vda ] || echo BOOT-GONE-{turn}-\n')
                m.expect(f'\nBOOT-GONE-{turn}-\n', 20)
                if not pathlib.Path(image).read_bytes().startswith(f'payload-{turn}'.encode()):
                    raise machine.Failure('the write is not in the image')
            for turn, (card, netdev) in enumerate((('virtio-net-pci', 'n0'), ('e1000', 'n1'), ('virtio-net-pci', 'n0'))):
                m.command('device_add', driver=card, netdev=netdev, id='nic', addr='0x1c')
                m.send('until [ -e /sys/class/net/eth0 ]; do sleep 1; done; ifconfig eth0 up; '
                       f'udhcpc -i eth0 -n -q -t 10 -s /etc/dhcp && echo BOOT-NET-{turn}-\n')
                m.expect(f'(?s)\nBOOT-NET-{turn}-\n', 60)
                m.command('device_del', id='nic')
                m.wait_event('DEVICE_DELETED', 40, device='nic')
                m.send(f'[ -e /sys/class/net/eth0 ] || echo BOOT-NONET-{turn}-\n')
                m.expect(f'\nBOOT-NONET-{turn}-\n', 20)
            m.send(linux.QUIT)
            m.wait_exit(30)
            if re.search('Oops|BUG:|Call Trace', m.text):
                raise machine.Failure('the kernel complains')


def small(myna, arch='amd64', options=''):
    """Entropy, balloon, and ports with the guest agent's name, in one guest."""
    task = '''
echo BOOT-RNG $(cat /sys/class/misc/hw_random/rng_current)
echo BOOT-BYTES $(dd if=/dev/hwrng bs=512 count=4 2>/dev/null | md5sum | cut -c1-32)
echo BOOT-PORT $(cat /sys/class/virtio-ports/vport*p1/name)
port=/dev/$(basename $(dirname /sys/class/virtio-ports/vport*p1/name))
exec 3<>$port
echo from-the-guest >&3
read word <&3; echo BOOT-HEARD $word
echo console-line > /dev/hvc0
free() { sed -n "s/MemFree: *\\([0-9]*\\) kB/\\1/p" /proc/meminfo; }
before=$(free)
echo BOOT-READY
while [ $(free) -gt $(expr $before - 80000) ]; do sleep 1; done
echo BOOT-BALLOON
sleep 2
echo BOOT-END
poweroff -f
'''
    with tempfile.TemporaryDirectory() as folder:
        path, console = os.path.join(folder, 'port'), os.path.join(folder, 'console')
        modules = ['virtio_pci', 'virtio_rng', 'virtio_balloon', 'virtio_console']
        with linux.boot(myna, arch, task, modules=modules, memory=256, args=[
                '-nic', 'none', '-object', 'rng-random,id=r,filename=/dev/urandom',
                '-device', f'virtio-rng-pci,rng=r{options}', '-device', f'virtio-balloon-pci,id=b,free-page-reporting=on{options}',
                '-device', f'virtio-serial-pci{options}', '-chardev', f'socket,id=p,path={path},server=on,wait=off',
                '-device', 'virtserialport,chardev=p,name=org.qemu.guest_agent.0',
                '-chardev', f'file,id=c,path={console}', '-device', 'virtconsole,chardev=c']) as m:
            with socket.socket(socket.AF_UNIX) as port:
                for _ in range(100):
                    if os.path.exists(path):
                        break
                    time.sleep(0.1)
                port.connect(path)
                port.settimeout(150)
                m.expect('BOOT-RNG virtio_rng.0', 150)
                m.expect(r'BOOT-BYTES (?!d41d8cd98f)\w{32}', 30)
                m.expect('BOOT-PORT org.qemu.guest_agent.0', 30)
                if port.recv(100) != b'from-the-guest\n':
                    raise machine.Failure('the host heard something else')
                port.sendall(b'from-the-host\n')
                m.expect('BOOT-HEARD from-the-host', 30)
            m.expect('BOOT-READY', 30)
            m.command('balloon', value=128 << 20)
            m.expect('BOOT-BALLOON', 60)
            if m.command('query-balloon')['actual'] > 160 << 20:
                raise machine.Failure('the balloon is small')
            m.wait_event('BALLOON_CHANGE', 20)
            m.expect('BOOT-END', 30)
            m.wait_exit(30)
        if b'console-line' not in pathlib.Path(console).read_bytes():
            raise machine.Failure('nothing came out of the console')


INPUT_TASK = '''
for n in Keyboard Mouse Tablet; do
    e=$(grep -l "Myna Virtio $n" /sys/class/input/event*/device/name | cut -d/ -f5)
    (while true; do echo BOOT-$n $(dd bs=24 count=1 2>/dev/null | busybox hexdump -v -e '12/2 "%u " "\\n"'); done < /dev/input/$e) &
    echo BOOT-FOUND $n $e $(cat /sys/class/input/$e/device/id/product)
done
for led in /sys/class/leds/*capslock; do echo 1 > $led/brightness; echo BOOT-LED $(cat $led/brightness); done
echo BOOT-READY
sleep 200
'''


def inputs(myna, arch='amd64', options=''):
    """What QMP sends is what the guest's event devices say: type, code, value."""
    devices = [x for name in ('keyboard', 'mouse', 'tablet') for x in ('-device', f'virtio-{name}-pci{options}')]
    with linux.boot(myna, arch, INPUT_TASK, modules=['virtio_pci', 'virtio_input', 'evdev'], append='no_timer_check',
                    args=['-nic', 'none', *devices]) as m:
        for n, name in enumerate(('Keyboard', 'Mouse', 'Tablet')):
            m.expect(fr'BOOT-FOUND {name} event\d+ 000{n + 1}', 200)
        m.expect('BOOT-READY', 30)
        time.sleep(3)  # the readers are there
        m.keys('a', 'shift-f5', 'kp_enter')
        m.command('input-send-event', events=[{'type': 'rel', 'data': {'axis': 'x', 'value': 7}},
                                              {'type': 'rel', 'data': {'axis': 'y', 'value': -2}}])
        m.command('input-send-event', events=[{'type': 'abs', 'data': {'axis': 'x', 'value': 100}},
                                              {'type': 'abs', 'data': {'axis': 'y', 'value': 32767}}])
        for name, events in (('Keyboard', ((1, 30, 1, 0), (1, 30, 0, 0), (1, 42, 1, 0), (1, 63, 1, 0), (1, 96, 1, 0))),
                             ('Mouse', ((2, 0, 7, 0), (2, 1, 65534, 65535), (0, 0, 0, 0))),
                             ('Tablet', ((3, 0, 100, 0), (3, 1, 32767, 0), (0, 0, 0, 0)))):
            for event in events:
                m.expect(fr'BOOT-{name} (\d+ +){{8}}' + ' +'.join(map(str, event)) + r' *\n', 30)


BRIDGE_TASK = '''
ls /sys/bus/pci/devices | tr '\\n' ' ' | sed "s/^/BOOT-PCI /"; echo
echo BOOT-ID $(cat /sys/block/vda/serial)
echo BOOT-SUM $(md5sum /dev/vda | cut -c1-32)
dd if=/dev/zero of=/dev/vda bs=1M count=1 2>/dev/null; sync
ifconfig eth0 up; udhcpc -i eth0 -n -q -t 10 -s /etc/dhcp && ping -c 3 10.0.2.2 > /dev/null && echo BOOT-NET
echo BOOT-END
poweroff -f
'''


def bridges(myna, arch='amd64'):
    """A disk (messages) and a network card (pins) behind two bridges."""
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'disk.img')
        pathlib.Path(image).write_bytes(os.urandom(8 << 20))
        digest = hashlib.md5(pathlib.Path(image).read_bytes()).hexdigest()
        with linux.boot(myna, arch, BRIDGE_TASK, modules=MODULES + ['e1000'], append='no_timer_check', args=[
                '-nic', 'none', '-netdev', 'user,id=n0', '-drive', f'file={image},format=raw,if=none,id=d0',
                '-device', 'pci-bridge,id=b1,chassis_nr=1,addr=9', '-device', 'pci-bridge,id=b2,chassis_nr=2,bus=b1,addr=4',
                '-device', 'virtio-blk-pci,drive=d0,serial=FAR,bus=b2,addr=3', '-device', 'e1000,netdev=n0,bus=b2,addr=6',
                '-device', 'virtio-rng-pci,bus=b1,addr=1']) as m:
            m.expect(r'BOOT-PCI .*0000:00:09.0.*0000:01:01.0 0000:01:04.0 0000:02:03.0 0000:02:06.0', 200)
            m.expect('BOOT-ID FAR', 30)
            m.expect(f'BOOT-SUM {digest}', 60)
            m.expect('BOOT-NET', 60)
            m.expect('BOOT-END', 30)
            m.wait_exit(30)
        if any(pathlib.Path(image).read_bytes()[:1 << 20]):
            raise machine.Failure('the write is not in the image')


def boots_behind_bridge(myna):
    image = machine.guest('grub-rescue') / 'usr/lib/grub-rescue/grub-rescue-cdrom.iso'
    with machine.Machine(myna, '-nic', 'none', '-drive', f'file={image},format=raw,if=none,id=d,readonly=on',
                         '-device', 'pci-bridge,id=b1,chassis_nr=1', '-device', 'pci-bridge,id=b2,bus=b1',
                         '-device', 'virtio-blk-pci,drive=d,bus=b2,bootindex=0', serial=False) as m:
        m.wait_screen('GNU GRUB', 60)


TESTS = {
    'input': inputs,
    'bridges': bridges,
    'bridges-i386': lambda myna: bridges(myna, 'i386'),
    'boots-behind-bridge': boots_behind_bridge,
    'small': small,
    'small-i386': lambda myna: small(myna, 'i386'),
    'small-packed': lambda myna: small(myna, options=',packed=on'),
    'hotplug': hotplug,
    'disk': lambda myna: disk(myna, want=(32, 29, 28, 9, 13, 14), without=(34,)),
    'disk-i386': lambda myna: disk(myna, 'i386', want=(32,)),
    'disk-packed': lambda myna: disk(myna, options=',packed=on', want=(32, 34)),
    'disk-modern': lambda myna: disk(myna, options=',disable-legacy=on', want=(32,)),
    'disk-legacy': lambda myna: disk(myna, options=',disable-modern=on', without=(32,)),
    'disk-queues': lambda myna: disk(myna, options=',num-queues=4', smp=4, queues=4, want=(12,)),
    'disk-iothread': lambda myna: disk(myna, options=',iothread=t0', smp=4, queues=4, args=['-object', 'iothread,id=t0']),
    'boots': boots,
    'boots-legacy': lambda myna: boots(myna, ',disable-modern=on'),
    'boots-modern': lambda myna: boots(myna, ',disable-legacy=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
