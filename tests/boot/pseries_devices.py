#!/usr/bin/env python3
"""Disks, networks, cards and the screen of the pseries board under Debian's drivers.

Usage: pseries_devices.py MYNA [test...]

What the guest wrote is checked by its own e2fsck and by the host's.
"""
import collections
import hashlib
import os
import pathlib
import re
import subprocess
import tempfile
import time

import initramfs
import machine
import pseries

EXT4 = ['crc32c_generic', 'ext4']
CHECK = 'LD_LIBRARY_PATH=/lib/powerpc64le-linux-gnu:/usr/lib/powerpc64le-linux-gnu e2fsck'
# How a disk is attached, the modules for it and its name: the cards do DMA through windows that the guest fills. The
# virtual adapter is asked for its disks before the slow USB is.
DISKS = {
    'vscsi': (['if=scsi'], [], ['ibmvscsi', 'sd_mod'], 'sda'),
    'virtio': (['if=virtio'], [], ['virtio_pci', 'virtio_blk'], 'vda'),
    'nvme': (['if=none,id=n'], ['-device', 'nvme,serial=n-1,drive=n'], ['nvme'], 'nvme0n1'),
    'usb': (['if=none,id=u'], ['-device', 'qemu-xhci,id=x', '-device', 'usb-storage,bus=x.0,drive=u'],
            ['xhci_pci', 'usb_storage', 'sd_mod'], 'sdb'),
}
CARDS = {'e1000': 'e1000', 'e1000e': 'e1000e', 'rtl8139': '8139cp'}


def e2fsck():
    root = machine.guest('e2fsprogs-ppc64el')
    checker = root / 'sbin/e2fsck'
    return initramfs.libraries_in(root, checker) | {'bin/e2fsck': checker}


def write_task(names):
    """On all disks at once: a file system is filled, some of it deleted; then each is checked and read back. (The kernel's
    watchdog speaks up on a busy host.)"""
    return f'''
for n in {names}; do
    i=0; while [ ! -b /dev/$n ] && [ $i -lt 30 ]; do sleep 1; i=$(expr $i + 1); done
    mkdir /mnt/$n; mount -t ext4 /dev/$n /mnt/$n || echo BOOT-FAIL mount $n
done
write() {{
    cd /mnt/$1
    i=0; while [ $i -lt 24 ]; do dd if=/dev/urandom of=file$i bs=64k count=4 2>/dev/null; i=$(expr $i + 1); done
    mkdir d; cp file1 d/copy; rm file2 file7; sync; cd /
}}
for n in {names}; do write $n & done
wait
for n in {names}; do
    echo BOOT-SUM $n $(md5sum < /mnt/$n/d/copy | cut -c1-32)
    umount /mnt/$n; echo 3 > /proc/sys/vm/drop_caches
    {CHECK} -f -n /dev/$n; echo BOOT-CHECK $n $?
    mount -t ext4 -o ro /dev/$n /mnt/$n; cmp /mnt/$n/file1 /mnt/$n/d/copy && echo BOOT-SAME $n; umount /mnt/$n
done
grep -c . /proc/interrupts
dmesg -r | grep "^<[0-3]>" | grep -v watchdog | sed "s/^/BOOT-ERROR /"
echo BOOT-END
'''


def disks(myna, *kinds):
    with tempfile.TemporaryDirectory() as folder:
        images, args, modules, names = [], [], list(EXT4), []
        for kind in kinds:
            drive, more, wanted, name = DISKS[kind]
            image = os.path.join(folder, f'{kind}.img')
            with open(image, 'wb') as f:
                f.truncate(48 << 20)
            if subprocess.run(['/sbin/mkfs.ext4', '-q', '-F', image]).returncode != 0:
                machine.skip('mkfs.ext4 is missing (Debian package e2fsprogs)')
            args += ['-drive', ','.join([f'file={image},format=raw', *drive]), *more]
            images.append(image)
            modules += wanted
            names.append(name)
        with pseries.boot(myna, write_task(' '.join(names)) + 'poweroff -f\n', 'kernel', '-nic', 'none', *args, modules=modules,
                          files=e2fsck()) as m:
            m.expect('BOOT-UP', 600)
            digests = [m.expect(rf'BOOT-SUM {name} (\w{{32}})', 300)[1] for name in names]
            m.expect('BOOT-END', 120)
            if m.wait_exit(60) != 0:
                raise machine.Failure('power off did not end with status 0')
            for name in names:
                for line in (f'BOOT-CHECK {name} 0\n', f'BOOT-SAME {name}\n'):
                    if line not in m.text:
                        raise machine.Failure(f'no {line}')
            if 'BOOT-FAIL' in m.text or 'BOOT-ERROR' in m.text:
                raise machine.Failure('the guest complains')
        for image, digest in zip(images, digests):
            machine.check_disk(image, '/d/copy', digest, folder)


def card(myna, name):
    """A network card that was not made for this platform: DHCP, echoes, and a megabyte through TFTP, with all its DMA by TCEs: of the
    window that there is at first, or, if the card has 64-bit addresses, of one for all of memory that the kernel makes."""
    with tempfile.TemporaryDirectory() as folder:
        body = os.urandom(1 << 20)
        pathlib.Path(folder, 'body').write_bytes(body)
        task = '''
ifconfig eth0 up
udhcpc -i eth0 -s /etc/dhcp -n -q -t 10
ping -c 3 10.0.2.2 && echo BOOT-PING
busybox tftp -g -b 1428 -r body -l /tmp/body 10.0.2.2
echo BOOT-SUM $(md5sum < /tmp/body | cut -c1-32)
dmesg | grep "pe-dma-window" | sed "s/^/BOOT-DMA /"
poweroff -f
'''
        with pseries.boot(myna, task, 'kernel', '-nic', f'user,model={name},tftp={folder}', modules=[CARDS[name], 'af_packet']) as m:
            m.expect(r'BOOT-DHCP 10\.0\.2\.15', 600)
            m.expect('BOOT-PING', 120)
            if m.expect(r'BOOT-SUM (\w{32})', 120)[1] != hashlib.md5(body).hexdigest():
                raise machine.Failure('the file differs')
            m.wait_exit(60)
        if name == 'e1000e' and not re.search(r'BOOT-DMA .*ibm,create-pe-dma-window.* returned 0 .*starting addr = 8000000 0', m.text):
            raise machine.Failure('no 64-bit window')


def recovery(myna):
    """Enhanced error handling: the kernel finds it, and recovers a card when told to: its slot is reset, and the network goes on."""
    task = '''
ifconfig eth0 up
udhcpc -i eth0 -s /etc/dhcp -n -q -t 10
mount -t debugfs debug /sys/kernel/debug
echo 0:$(cat /sys/class/net/eth0/device/eeh_pe_config_addr) > /sys/kernel/debug/powerpc/eeh_force_recover
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do dmesg | grep -q "EEH: Recovery" && break; sleep 3; done
dmesg | grep "EEH" | sed "s/^/BOOT-EEH /"
for i in 1 2 3 4 5 6; do ping -c 3 10.0.2.2 && break; sleep 2; done
ping -c 3 10.0.2.2 && echo BOOT-PING
poweroff -f
'''
    with pseries.boot(myna, task, 'kernel', '-trace', 'papr_eeh', '-nic', 'user,model=e1000e', modules=['e1000e', 'af_packet']) as m:
        m.expect(r'BOOT-EEH .*EEH: Capable adapter found: recovery enabled', 900)
        m.expect(r'slot \d+ is reset', 10)
        m.expect(r'BOOT-EEH .*EEH: Recovery successful', 60)
        m.expect('BOOT-PING', 120)
        m.wait_exit(60)


def reboot(myna):
    """A guest that restarts comes up again, through the firmware."""
    with pseries.boot(myna, 'echo BOOT-END\nreboot -f\n', 'slof', '-nic', 'none', restart=True) as m:
        m.expect(r'(?s)BOOT-END.*SLOF.*BOOT-UP ppc64le.*BOOT-END', 900)


def ink(m):
    """How many pixels are no paper; the screen has text of one colour on black."""
    width, height, pixels = m.screenshot()
    colours = collections.Counter(pixels[i:i + 3] for i in range(0, len(pixels), 3)).most_common()
    if len(colours) > 1 and (colours[0][0] != b'\0\0\0' or max(colours[1][0]) - min(colours[1][0]) > 8):
        raise machine.Failure(f'the colours are {[(c.hex(), n) for c, n in colours[:3]]}')
    return sum(n for c, n in colours if c != b'\0\0\0')


def settled(m):
    """The same, once the screen stays as it is."""
    before, now = -1, ink(m)
    while before != now or not now:
        time.sleep(10)
        before, now = now, ink(m)
    return now


def firmware_screen(myna):
    """SLOF's own driver of the VGA, and a command typed on the USB keyboard at its prompt."""
    pseries.need_slof()
    with machine.Machine(pseries.program(myna), *pseries.SLOF, '-m', 256, '-nic', 'none', '-prom-env', 'auto-boot?=false') as m:
        m.expect('USB Keyboard', 400)
        settled(m)
        m.type('dev /vdevice ls\n')
        m.expect(r'(?s)Ready!.*\+-- v-scsi@71000003', 200)  # the terminal shows the same
        ink(m)


def console(myna, controller):
    """Linux's console on the VGA: a command typed on a USB keyboard; the tablet is there."""
    task = '''
cat /proc/fb | sed "s/^/BOOT-FB /"
for n in 1 2 3 4 5 6 7 8 9 10; do
    grep -q Tablet /proc/bus/input/devices && break
    sleep 1
done
grep -h Name /proc/bus/input/devices | sed "s/^/BOOT-INPUT /"
exec sh < /dev/tty0 > /dev/tty0 2>&1
'''
    with pseries.boot(myna, task, 'slof', '-nic', 'none', '-usb', '-device', f'{controller},id=x', '-device', 'usb-kbd,bus=x.0',
                      '-device', 'usb-tablet,bus=x.0', append='console=tty0 console=hvc0', screen=True,
                      modules=['xhci_pci', 'usbhid', 'hid_generic', 'evdev']) as m:
        m.expect('BOOT-FB 0 OFfb vga', 600)
        m.expect('BOOT-INPUT .*Tablet', 60)
        for _ in range(12):
            m.type('md5sum /proc/version ')
            m.keys('shift-dot')
            m.type(' /dev/hvc0\n')
            if 'proc/version' in m.text:
                break
            time.sleep(10)
        m.expect(r'\w{32}  /proc/version', 60)
        ink(m)


TESTS = {
    'disks': lambda myna: disks(myna, 'vscsi', 'virtio', 'nvme', 'usb'),
    'reboot': reboot,
    'recovery': recovery,
    'firmware-screen': firmware_screen,
}
TESTS |= {f'net-{name}': lambda myna, name=name: card(myna, name) for name in CARDS}
TESTS |= {f'console-{name}': lambda myna, name=name: console(myna, name) for name in ('nec-usb-xhci', 'qemu-xhci')}

if __name__ == '__main__':
    machine.main(TESTS)
