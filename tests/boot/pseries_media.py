#!/usr/bin/env python3
"""What SLOF starts on the pseries board: CD-ROMs, disks with a PReP partition, servers of the network; and what it cannot start.

Usage: pseries_media.py MYNA [test...]

GRUB is Debian's for Open Firmware.
"""
import os
import pathlib
import shutil
import struct
import tempfile

import grub
import machine
import pseries

SECTOR = 512
MIB = 1 << 20
PREP, LINUX = 0x41, 0x83  # kinds of partitions
BOOTED = 'echo BOOT-END\npoweroff -f\n'


def system_tree(tree, task, **how):
    """A folder with kernel, initial RAM disk, and GRUB's menu."""
    kernel, initrd = pseries.system(task, **how)
    os.makedirs(tree / 'boot/grub')
    shutil.copy(kernel, tree / 'vmlinux')
    shutil.move(initrd, tree / 'initrd.gz')
    (tree / 'boot/grub/grub.cfg').write_text(grub.menu('Debian', '/vmlinux console=hvc0 panic=-1', '/initrd.gz'))


def cd_image(folder):
    tree, image = folder / 'tree', folder / 'grub.iso'
    task = '''
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/sr0 ] && break; sleep 1; done
mount -t iso9660 -o ro /dev/sr0 /mnt && cmp /mnt/initrd.gz /mnt/copy.gz && echo BOOT-MOUNTED $(head -c 12 /mnt/boot/grub/grub.cfg)
''' + BOOTED
    system_tree(tree, task, modules=['ibmvscsi', 'sr_mod', 'isofs'])
    shutil.copy(tree / 'initrd.gz', tree / 'copy.gz')
    grub.rescue(image, tree)
    return image


def partition(kind, first, size):
    """An entry of the table of partitions, in sectors, active if it is to start from; addresses by cylinder say nothing."""
    return struct.pack('<B3sB3sII', 0x80 if kind == PREP else 0, b'\xfe\xff\xff', kind, b'\xfe\xff\xff', first, size)


def core(folder, commands):
    """GRUB's core with what it has to do at first; SLOF loads it as an ELF file."""
    config, path = folder / 'core.cfg', folder / 'core.elf'
    config.write_text(commands)
    grub.run('grub-mkimage', '-d', grub.modules(), '-O', 'powerpc-ieee1275', '-p', '/boot/grub', '-c', config, '-o', path, 'ieee1275_fb', 'ofnet',
        'boot', 'configfile', 'echo', 'ext2', 'linux', 'ls', 'normal', 'part_msdos', 'search', 'search_fs_file')
    return path


def prep_disk(folder):
    """A PReP partition with GRUB's core and a file system with the rest."""
    tree, image, files = folder / 'tree', folder / 'disk.img', folder / 'files.img'
    boot_sectors, system_size = 4 * MIB // SECTOR, 128 * MIB
    system_tree(tree, 'echo BOOT-DISK $(wc -c < /dev/sda2)\n' + BOOTED, modules=['ibmvscsi', 'sd_mod'])
    grub.run('/sbin/mke2fs', '-q', '-F', '-t', 'ext2', '-d', tree, files, f'{system_size // 1024}k')
    loader = core(folder, 'search --file --set=root /vmlinux\nset prefix=($root)/boot/grub\n').read_bytes()
    with open(image, 'wb') as f:
        table = partition(PREP, 2048, boot_sectors) + partition(LINUX, 2048 + boot_sectors, system_size // SECTOR)
        f.write(b'\0' * 446 + table.ljust(64, b'\0') + b'\x55\xaa')
        f.seek(2048 * SECTOR)
        f.write(loader)
        f.seek((2048 + boot_sectors) * SECTOR)
        f.write(files.read_bytes())
    return image


def from_menu(m):
    grub.from_menu(m, 'Debian')
    m.expect('BOOT-UP ppc64le', 600)


def slof(myna, *args):
    pseries.need_slof()
    return machine.Machine(pseries.program(myna), *pseries.SLOF, '-m', 512, '-vga', 'none', *args)


def finish(m):
    m.expect('BOOT-END', 60)
    if m.wait_exit(60) != 0:
        raise machine.Failure('power off did not end with status 0')


def cd(myna):
    with tempfile.TemporaryDirectory() as folder:
        image = cd_image(pathlib.Path(folder))
        with slof(myna, '-nic', 'none', '-cdrom', image, '-boot', 'd') as m:
            from_menu(m)
            m.expect('BOOT-MOUNTED set timeout', 120)
            finish(m)


def disk(myna):
    with tempfile.TemporaryDirectory() as folder:
        image = prep_disk(pathlib.Path(folder))
        with slof(myna, '-nic', 'none', '-drive', f'file={image},format=raw,snapshot=on', '-boot', 'c') as m:
            from_menu(m)
            m.expect('BOOT-DISK 134217728', 60)
            finish(m)


def network(myna):
    """SLOF asks for its address and GRUB by DHCP and TFTP, through its driver of the virtual network."""
    with tempfile.TemporaryDirectory() as folder:
        core(pathlib.Path(folder), 'echo loaded from $net_default_server\n')
        with slof(myna, '-nic', f'user,tftp={folder},bootfile=core.elf', '-boot', 'n') as m:
            m.expect(r'core\.elf', 240)
            m.expect('grub> ', 240)
            m.send('echo on-$grub_platform\r')
            m.expect(r'on-ieee1275', 60)


def nothing(myna):
    """Without anything to start SLOF says so, and is at its prompt."""
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'empty.img')
        with open(image, 'wb') as f:
            f.truncate(8 * MIB)
        for args in (['-cdrom', image, '-boot', 'd'], ['-drive', f'file={image},format=raw', '-boot', 'c'], ['-nodefaults']):
            with slof(myna, '-nic', 'none', *args) as m:
                m.expect(r'(?s)(?:No valid|E3\d\d\d|not found|Ready!).*0 > ', 200)


TESTS = {
    'cd': cd,
    'disk': disk,
    'network': network,
    'nothing': nothing,
}

if __name__ == '__main__':
    machine.main(TESTS)
