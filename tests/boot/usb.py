#!/usr/bin/env python3
"""USB controllers and devices under Debian kernels' own drivers.

Usage: usb.py MYNA [test...]
"""
import os
import re
import socket
import struct
import subprocess
import tempfile
import time

import linux
import machine

CONTROLLERS = {
    'uhci': (['-usb'], ['uhci_hcd']),
    'ohci': (['-device', 'pci-ohci,id=usb'], ['ohci_pci']),
    'ehci': (['-device', 'usb-ehci,id=usb'], ['ehci_pci']),
    'companions': (['-device', 'ich9-usb-ehci1,id=usb,addr=1d.7,multifunction=on',
                    '-device', 'ich9-usb-uhci1,masterbus=usb.0,firstport=0,addr=1d.0,multifunction=on',
                    '-device', 'ich9-usb-uhci2,masterbus=usb.0,firstport=2,addr=1d.1',
                    '-device', 'ich9-usb-uhci3,masterbus=usb.0,firstport=4,addr=1d.2'], ['ehci_pci', 'uhci_hcd']),
    'xhci': (['-device', 'qemu-xhci,id=usb'], ['xhci_pci']),
    'nec-xhci': (['-device', 'nec-usb-xhci,id=usb'], ['xhci_pci']),
}
EV_KEY, EV_REL, EV_ABS = 1, 2, 3

FUNCTIONS = '''
event() { # event NAME: the path of an input device, when it is there
    while ! grep -q "Name=.$1" /proc/bus/input/devices; do sleep 0.1; done
    echo /dev/input/$(grep -A5 "Name=.$1" /proc/bus/input/devices | grep Handlers | sed 's/.*\\(event[0-9]*\\).*/\\1/')
}
watch() { # watch NAME: its events as lines of hexadecimal
    busybox od -An -v -tx1 -w$([ $(uname -m) = x86_64 ] && echo 24 || echo 16) $(event "$1") &
}
'''


def event(kind, code, value):
    """The end of such a line."""
    return ' '.join(f'{b:02x}' for b in struct.pack('<HHi', kind, code, value))


def boot(myna, arch, controller, task, devices=(), modules=()):
    args, drivers = CONTROLLERS[controller]
    if controller not in ('uhci', 'companions') and myna_lacks(myna, args[1].split(',')[0]):
        machine.skip(f'no {controller} controller in this build')
    return linux.boot(myna, arch, FUNCTIONS + task + '\necho BOOT-END\npoweroff -f\n',
                      modules=[*drivers, 'evdev', 'usbhid', 'hid_generic', *modules],
                      args=['-nic', 'none', *args, *devices])


def myna_lacks(myna, device):
    listing = subprocess.run([myna, '-device', 'help'], capture_output=True, text=True).stdout
    return f'"{device}"' not in listing


def finish(m):
    m.send('\n')
    m.expect('BOOT-END', 30)
    m.wait_exit(30)
    for bad in re.findall(r'.*(?:HC died|host controller .*not responding|host system error|unable to enumerate|'
                          r'device descriptor read.*error|Call Trace|WARNING:).*', m.text):
        raise machine.Failure(f'the kernel complains: {bad}')


def pointer(m, **axes):
    m.command('input-send-event', events=[{'type': 'abs', 'data': {'axis': axis, 'value': value}}
                                          for axis, value in axes.items()])


def hid(myna, arch, controller):
    """Keys, tablet and mouse events as evdev shows them; the mouse is plugged in and out while it runs."""
    task = '''
watch "Myna USB Keyboard"
watch "Myna USB Tablet"
event "Myna USB Tablet" > /dev/null
sleep 0.5
echo BOOT-READY
watch "Myna USB Mouse"
event "Myna USB Mouse" > /dev/null
sleep 0.5
echo BOOT-MOUSE
while grep -q "Name=.Myna USB Mouse" /proc/bus/input/devices; do sleep 0.1; done
echo BOOT-NO-MOUSE
read word
'''
    slow = ',usb_version=1' if controller == 'companions' else ''  # then the companion gets it
    with boot(myna, arch, controller, task, ['-device', 'usb-kbd', '-device', 'usb-tablet' + slow]) as m:
        m.expect('BOOT-READY', 200)
        m.keys('a', 'shift-b')
        for code, name in ((30, 'a'), (42, 'shift'), (48, 'b')):
            for value in (1, 0):
                m.expect(event(EV_KEY, code, value), 10)
        pointer(m, x=0x1234, y=0x2345)
        m.expect(event(EV_ABS, 0, 0x1234), 10)
        m.expect(event(EV_ABS, 1, 0x2345), 10)
        m.command('input-send-event', events=[{'type': 'btn', 'data': {'button': 'right', 'down': True}}])
        m.expect(event(EV_KEY, 0x111, 1), 10)
        m.command('device_add', driver='usb-mouse', id='hot')
        m.expect('BOOT-MOUSE', 30)
        m.command('input-send-event', events=[{'type': 'rel', 'data': {'axis': 'x', 'value': 5}},
                                              {'type': 'rel', 'data': {'axis': 'y', 'value': -3}}])
        m.expect(event(EV_REL, 0, 5), 10)
        m.expect(event(EV_REL, 1, -3), 10)
        m.command('device_del', id='hot')
        m.expect('BOOT-NO-MOUSE', 30)
        finish(m)


def hub(myna, arch, controller):
    """A tablet behind two hubs; unplugging the first takes all with it."""
    task = '''
watch "Myna USB Tablet"
event "Myna USB Tablet" > /dev/null
sleep 0.5
echo BOOT-READY
while grep -q "Name=.Myna USB Tablet" /proc/bus/input/devices; do sleep 0.1; done
echo BOOT-GONE
read word
'''
    devices = ['-device', 'usb-hub,id=first,port=1', '-device', 'usb-hub,id=second,port=1.2,ports=4',
               '-device', 'usb-tablet,port=1.2.4']
    with boot(myna, arch, controller, task, devices) as m:
        m.expect('BOOT-READY', 200)
        listing = m.command('human-monitor-command', **{'command-line': 'info usb'})
        if 'Port 1.2.4' not in listing:
            raise machine.Failure(f'info usb: {listing}')
        pointer(m, x=0x1234)
        m.expect(event(EV_ABS, 0, 0x1234), 10)
        m.command('device_del', id='first')
        m.expect('BOOT-GONE', 30)
        finish(m)


def storage(myna, arch, controller, kind='bot'):
    """A file system on USB storage: plugged in while the guest runs, written, checked by the host, unplugged."""
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'disk.img')
        with open(image, 'wb') as f:
            f.truncate(64 << 20)
        if subprocess.run(['/sbin/mkfs.ext4', '-q', '-F', image]).returncode != 0:
            machine.skip('mkfs.ext4 is missing (Debian package e2fsprogs)')
        task = f'''
dmesg -n 7
echo BOOT-READY
while ! [ -e /sys/block/sda ]; do sleep 0.2; done
sleep 0.5
mount -t ext4 /dev/sda /mnt || echo BOOT-FAIL mount
dd if=/dev/urandom of=/mnt/file bs=64k count={32 if controller in ('uhci', 'ohci') else 256} 2>/dev/null
sync; echo 3 > /proc/sys/vm/drop_caches
echo BOOT-SUM $(md5sum /mnt/file | cut -c1-32)
cp /mnt/file /mnt/copy; rm /mnt/file; sync
umount /mnt
dd if=/dev/sda of=/dev/null bs=1M count={2 if controller in ('uhci', 'ohci') else 64} 2>/dev/null && echo BOOT-DONE
while [ -e /sys/block/sda ]; do sleep 0.2; done
echo BOOT-GONE
read word
'''
        modules = ['sd_mod', 'usb_storage', 'uas', 'crc32c_generic', 'ext4']
        devices = ['-drive', f'if=none,id=u,format=raw,file={image}']
        if kind == 'uas':
            devices += ['-device', 'usb-uas,id=stick', '-device', 'scsi-hd,bus=stick.0,drive=u']
        with boot(myna, arch, controller, task, devices, modules) as m:
            m.expect('BOOT-READY', 200)
            if kind == 'bot':
                m.command('device_add', driver='usb-storage', id='stick', drive='u', removable=True)
            digest = m.expect(r'BOOT-SUM (\w{32})', 120)[1]
            m.expect('BOOT-DONE', 120)
            m.command('device_del', id='stick')
            m.expect('BOOT-GONE', 30)
            finish(m)
            if 'BOOT-FAIL' in m.text or re.search(r'I/O error|reset .*-speed USB', m.text, re.I):
                raise machine.Failure('errors on the way')
        machine.check_disk(image, '/copy', digest, folder)


def serial(myna, arch, controller):
    """Lines through an FTDI port, echoed by the guest."""
    task = '''
while ! [ -e /dev/ttyUSB0 ]; do sleep 0.1; done
busybox stty -F /dev/ttyUSB0 raw -echo 115200
echo BOOT-READY
exec 3<>/dev/ttyUSB0
while read -r line <&3; do busybox printf "back %s\\n" "$line" >&3; [ "$line" = end ] && break; done
sleep 0.5
'''
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'line')
        devices = ['-chardev', f'socket,id=line,path={path},server=on,wait=off', '-device', 'usb-serial,chardev=line']
        with boot(myna, arch, controller, task, devices, ['usbserial', 'ftdi_sio']) as m, socket.socket(socket.AF_UNIX) as line:
            m.expect('BOOT-READY', 200)
            line.connect(path)
            line.settimeout(20)
            time.sleep(0.5)
            answers = line.makefile('rb')
            for text in [b'hello', bytes(range(33, 127)) * 3, b'end']:
                line.sendall(text + b'\n')
                if (answer := answers.readline()) != b'back ' + text + b'\n':
                    raise machine.Failure(f'sent {text}, got {answer}')
            finish(m)


def firmware(myna, controller):
    """SeaBIOS boots GRUB from a stick; the keys are those of a USB keyboard."""
    image = machine.guest('grub-rescue') / 'usr/lib/grub-rescue/grub-rescue-usb.img'
    args, _ = CONTROLLERS[controller]
    if controller not in ('uhci', 'companions') and myna_lacks(myna, args[1].split(',')[0]):
        machine.skip(f'no {controller} controller in this build')
    with machine.Machine(myna, '-nic', 'none', *args, '-drive', f'if=none,id=u,format=raw,snapshot=on,file={image}',
                         '-device', 'usb-storage,drive=u,bootindex=0', '-device', 'usb-kbd', '-boot', 'strict=on',
                         serial=False) as m:
        m.wait_screen('GNU GRUB', 90)
        m.keys('c')
        m.wait_screen('grub>', 20)
        m.type('echo myna says hello\n')
        m.wait_screen(r'(?m)^\s*myna says hello', 20)


TESTS = {}
for name in CONTROLLERS:
    TESTS[f'hid-{name}'] = lambda myna, name=name: hid(myna, 'amd64', name)
    TESTS[f'storage-{name}'] = lambda myna, name=name: storage(myna, 'amd64', name)
    TESTS[f'serial-{name}'] = lambda myna, name=name: serial(myna, 'amd64', name)
    TESTS[f'boot-{name}'] = lambda myna, name=name: firmware(myna, name)
    TESTS[f'hub-{name}'] = lambda myna, name=name: hub(myna, 'amd64', name)
for name in ('ehci', 'xhci'):
    TESTS[f'uas-{name}'] = lambda myna, name=name: storage(myna, 'amd64', name, 'uas')
for name in ('uhci', 'ehci', 'xhci'):
    TESTS[f'storage-{name}-i386'] = lambda myna, name=name: storage(myna, 'i386', name)
    TESTS[f'hid-{name}-i386'] = lambda myna, name=name: hid(myna, 'i386', name)

if __name__ == '__main__':
    machine.main(TESTS)
