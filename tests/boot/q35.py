#!/usr/bin/env python3
"""The PCI Express machine: AHCI, configuration space in memory, root ports and hot-plug, watchdog, UEFI, tables.

Usage: q35.py MYNA [test...]
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import firmware
import linux
import machine
import uefi

AHCI = ['ahci', 'sd_mod', 'sr_mod', 'crc32c_generic', 'ext4']


def make_disk(folder, size=64):
    image = os.path.join(folder, 'disk.img')
    with open(image, 'wb') as f:
        f.truncate(size << 20)
    if subprocess.run(['/sbin/mkfs.ext4', '-q', '-F', image]).returncode != 0:
        machine.skip('mkfs.ext4 is missing (Debian package e2fsprogs)')
    return image


def check_file_system(image):
    check = subprocess.run(['/sbin/e2fsck', '-fn', image], capture_output=True, text=True)
    if check.returncode != 0:
        raise machine.Failure(f'e2fsck: {check.stdout}')


def warnings(m):
    bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not linux.HARMLESS.search(line)]
    if bad:
        raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))


def chip_set(myna, arch='amd64', smp=4):
    """Linux' drivers of the chip set; a disk and a CD on AHCI; interrupts of the I/O APIC's upper inputs."""
    task = '''
mount -t ext4 /dev/sda /mnt || echo BOOT-FAIL mount
dd if=/dev/urandom of=/mnt/data bs=1M count=16 2>/dev/null; cp /mnt/data /mnt/copy; cmp /mnt/data /mnt/copy && echo BOOT-SAME
umount /mnt
dd if=/dev/sr0 bs=2k count=100 2>/dev/null | md5sum
cat /sys/block/sda/device/queue_depth | sed "s/^/BOOT-DEPTH /"
dmesg | grep -E "_OSC: OS now controls|MMCONFIG|Using config type|Found a ICH9 TCO" | sed "s/^/BOOT-TOLD /"
[ $(wc -c < /sys/bus/pci/devices/0000:00:02.0/config) = 4096 ] && echo BOOT-EXTENDED
sed "s/^/BOOT-IRQ /" /proc/interrupts
dmesg -r | grep "^<[0-4]>" | sed "s/^/BOOT-WARNING /"
echo BOOT-CPUS $(nproc)
echo BOOT-END
poweroff -f
'''
    with tempfile.TemporaryDirectory() as folder:
        image, disc = make_disk(folder), os.path.join(folder, 'disc')
        data = os.urandom(200 << 10)
        pathlib.Path(disc).write_bytes(data)
        with linux.boot(myna, arch, task, modules=[*AHCI, 'i2c_i801', 'lpc_ich', 'iTCO_wdt', 'ehci_pci', 'uhci_hcd'], smp=smp,
                        args=['-M', 'pc-q35-8.2', '-usb', '-nic', 'none', '-drive', f'file={image},format=raw',
                              '-device', 'pcie-root-port,id=rp,addr=2', '-cdrom', disc]) as m:
            m.expect('BOOT-END', 300)
            if m.wait_exit(30) != 0:
                raise machine.Failure('power off did not end with status 0')
            for pattern in (hashlib.md5(data).hexdigest(), r'BOOT-SAME', r'BOOT-DEPTH 32', r'BOOT-TOLD.*OS now controls \[PCIeHotplug PME PCIeCapability\]',
                            r'BOOT-TOLD.*MMCONFIG', 'BOOT-TOLD.*Found a ICH9 TCO', 'BOOT-EXTENDED', f'BOOT-CPUS {smp}\n',
                            r'BOOT-IRQ +(16|17|18|19|20|21|22|23):.*IO-APIC'):
                if not re.search(pattern, m.text):
                    raise machine.Failure(f'no {pattern!r}')
            warnings(m)
        check_file_system(image)


def ports(myna):
    """A network card, a disk and an NVMe drive, each behind a root port of its own; drives come and go."""
    task = '''
until [ -b /dev/vda -a -b /dev/nvme0n1 -a -e /sys/class/net/eth0 ]; do sleep 1; done
dd if=/dev/urandom of=/dev/vda bs=1M count=4 2>/dev/null; dd if=/dev/vda of=/dev/nvme0n1 bs=1M count=4 2>/dev/null
dd if=/dev/nvme0n1 bs=1M count=4 2>/dev/null | cmp - /dev/vda; echo BOOT-COMPARED
ifconfig eth0 up; udhcpc -i eth0 -n -q -t 10 -s /etc/dhcp && echo BOOT-NET
for d in /sys/bus/pci/devices/*; do echo BOOT-AT $(basename $d) $(cat $d/vendor):$(cat $d/device); done
dmesg | grep pciehp | sed "s/^/BOOT-TOLD /"
''' + linux.SHELL
    with tempfile.TemporaryDirectory() as folder:
        disks = []
        for n in range(3):
            path = os.path.join(folder, f'd{n}')
            with open(path, 'wb') as f:
                f.truncate(8 << 20)
            disks += ['-drive', f'if=none,id=d{n},format=raw,file={path}']
        with linux.boot(myna, 'amd64', task, modules=['virtio_pci', 'virtio_blk', 'nvme', 'e1000e'], args=[
                '-M', 'q35', '-nic', 'none', *disks, *[a for n in range(4) for a in (
                    '-device', f'pcie-root-port,id=rp{n},chassis={n},slot={n},port={n},addr={4 + n}')],
                '-device', 'virtio-blk-pci,bus=rp0,drive=d0', '-device', 'nvme,bus=rp1,drive=d1,serial=n1',
                '-netdev', 'user,id=n0', '-device', 'e1000e,bus=rp2,netdev=n0']) as m:
            m.expect('BOOT-READY', 200)
            for pattern in ('BOOT-COMPARED', 'BOOT-NET', r'BOOT-AT 0000:01:00.0 0x1af4', r'BOOT-AT 0000:02:00.0 0x1b36',
                            r'BOOT-AT 0000:03:00.0 0x8086', r'BOOT-TOLD.*Slot #3'):
                if not re.search(pattern, m.text):
                    raise machine.Failure(f'no {pattern!r}')
            if 'differ' in m.text:
                raise machine.Failure('disks differ')
            for turn in range(2):
                m.command('device_add', driver='nvme', drive='d2', id='hot', serial=f'HOT{turn}', bus='rp3')
                m.send('until grep -q HOT /sys/class/nvme/*/serial; do sleep 1; done; cat /sys/class/nvme/*/serial\n')
                m.expect(f'\nHOT{turn}', 40)
                m.command('device_del', id='hot')
                m.wait_event('DEVICE_DELETED', 60, device='hot')
                m.send(f'grep -q HOT /sys/class/nvme/*/serial || echo BOOT-GONE-{turn}-\n')
                m.expect(f'\nBOOT-GONE-{turn}-\n', 30)


def boots(myna):
    """SeaBIOS starts GRUB from a disk on AHCI and Debian's installer from a CD."""
    disk = os.path.join(firmware.grub_folder(), 'grub-rescue-floppy.img')
    firmware.grub(myna, '-M', 'q35', '-drive', f'file={disk},format=raw,snapshot=on')
    with machine.Machine(myna, '-M', 'q35', '-m', 512, '-nic', 'none', '-cdrom', machine.mini_iso('amd64'), serial=False) as m:
        m.connect()
        firmware.wait_picture(m, "the installer's menu", lambda p: p[:2] == (640, 480) and firmware.colours(p)[0] > 12, 120)


def watchdog(myna):
    """The watchdog of the chip set resets a guest that stops feeding it."""
    with linux.boot(myna, 'amd64', 'echo BOOT-ARMED; exec 3>/dev/watchdog; echo 1 >&3; sleep 1000\n',
                    modules=['lpc_ich', 'iTCO_wdt'], parameters={'iTCO_wdt': 'heartbeat=4'},
                    args=['-M', 'q35', '-nic', 'none'], restart=True) as m:
        m.connect()
        m.expect('BOOT-ARMED', 200)
        m.wait_event('WATCHDOG', 60, action='reset')
        m.expect(r'(?s)BOOT-ARMED.*BOOT-ARMED', 200)


def tables(myna, board, *args):
    """Tables as a guest has them, disassembled and compiled again by the host's iasl."""
    if not shutil.which('iasl'):
        machine.skip('iasl is missing (Debian package acpica-tools)')
    task = '''
mount -t ext4 /dev/sda /mnt || echo BOOT-FAIL mount
cp /sys/firmware/acpi/tables/[A-Z]* /mnt/ 2>/dev/null; cp /sys/firmware/dmi/tables/* /mnt/
umount /mnt; echo BOOT-END; poweroff -f
'''
    with tempfile.TemporaryDirectory() as folder:
        image = make_disk(folder, 16)
        with linux.boot(myna, 'amd64', task, modules=[*AHCI, 'ata_piix'], smp=2, args=[
                '-M', board, '-nic', 'none', '-drive', f'file={image},format=raw', *args]) as m:
            m.expect('BOOT-END', 300)
            m.wait_exit(30)
        subprocess.run(['/sbin/debugfs', '-R', f'rdump / {folder}', image], capture_output=True)
        wanted = {'DSDT', 'FACP', 'APIC', 'HPET', 'FACS'} | ({'MCFG'} if board == 'q35' else set())
        there = {name for name in os.listdir(folder) if re.fullmatch('[A-Z]{4}', name)}
        if not wanted <= there:
            raise machine.Failure(f'missing tables: {wanted - there}')
        for name in sorted(there):
            run = subprocess.run(['iasl', '-d', '-vs', name], cwd=folder, capture_output=True, text=True)
            text = run.stdout + run.stderr
            source = pathlib.Path(folder, f'{name}.dsl')
            if run.returncode or re.search(r'(?i)error|warning|unresolved', text) or not source.exists():
                raise machine.Failure(f'iasl -d {name}: {text}')
            if name != 'FACS' and (run := subprocess.run(['iasl', '-vs', source], cwd=folder, capture_output=True, text=True)).returncode:
                raise machine.Failure(f'iasl {name}: {run.stdout}{run.stderr}')
        check_smbios(pathlib.Path(folder))


def check_smbios(folder):
    """Structures of type 0, 1, 4, 17 and so on, in a table as long as its entry point says."""
    entry, table = (folder / 'smbios_entry_point').read_bytes(), (folder / 'DMI').read_bytes()
    if sum(entry[:entry[5]]) & 255 or int.from_bytes(entry[0x16:0x18], 'little') != len(table):
        raise machine.Failure('SMBIOS: bad entry point')
    types, at = [], 0
    while at < len(table):
        types.append(table[at])
        at = table.index(b'\0\0', at + table[at + 1]) + 2
    if not {0, 1, 3, 4, 16, 17, 19, 32, 127} <= set(types):
        raise machine.Failure(f'SMBIOS: structures {types}')


def uefi_disk(myna, *devices):
    uefi.disk(myna, '-M', 'q35', *devices)


def uefi_bios(myna):
    """The firmware in one piece as ROM, to its shell."""
    if not os.path.exists('/usr/share/ovmf/OVMF.fd'):
        machine.skip('no UEFI firmware (Debian package ovmf)')
    with machine.Machine(firmware.system(myna), '-M', 'q35', '-bios', 'OVMF.fd', '-m', 256, '-nic', 'none') as m:
        m.expect('Shell> ', 200)


def uefi_installer(myna):
    """Debian's installer from a CD on AHCI: GRUB's graphical menu, and its kernel starts."""
    with tempfile.TemporaryDirectory() as folder:
        iso = os.path.join(folder, 'mini.iso')
        subprocess.run([str(machine.TOP / 'scripts/make-mini-iso'), 'amd64', 'text', iso], check=True, capture_output=True)
        with uefi.system(myna, folder, '-M', 'q35', '-m', 1024, '-cdrom', iso) as m:
            m.connect()
            firmware.wait_picture(m, "GRUB's menu", lambda p: p[:2] == (800, 600) and firmware.colours(p)[0] > 500, 200)
            m.keys('ret')
            firmware.wait_picture(m, "the kernel's driver of the screen", lambda p: p[:2] == (1024, 768), 400)


TESTS = {
    'chip-set': chip_set,
    'chip-set-i386': lambda myna: chip_set(myna, 'i386', 2),
    'ports': ports,
    'boots': boots,
    'watchdog': watchdog,
    'tables': lambda myna: tables(myna, 'q35'),
    'tables-pc': lambda myna: tables(myna, 'pc'),
    'tables-uefi': lambda myna: tables(myna, 'q35', '-bios', 'OVMF.fd', '-m', '512'),
    'uefi-ahci': lambda myna: uefi_disk(myna, '-drive', 'IMAGE'),
    'uefi-port': lambda myna: uefi_disk(myna, '-device', 'pcie-root-port,id=rp', '-drive', 'if=none,id=d,IMAGE',
                                        '-device', 'virtio-blk-pci,bus=rp,drive=d'),
    'uefi-bios': uefi_bios,
    'uefi-installer': uefi_installer,
}

if __name__ == '__main__':
    machine.main(TESTS)
