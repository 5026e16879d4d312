"""GRUB for Open Firmware, as Debian has it: CD-ROMs with it, and its prompt and menu on a serial line."""
import os
import pathlib
import shutil
import struct
import subprocess
import time

import machine


def modules():
    if not shutil.which('grub-mkimage') or not shutil.which('grub-mkrescue') or not shutil.which('xorriso'):
        machine.skip('no grub-mkimage, grub-mkrescue or xorriso (Debian packages grub-common, xorriso, mtools)')
    return machine.guest('grub-ppc') / 'usr/lib/grub/powerpc-ieee1275'


def run(*args, env=None):
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, env=env)
    if done.returncode != 0:
        raise machine.Failure(f'{args[0]}: {done.stdout[-300:]}{done.stderr[-500:]}')


def menu(title, linux, initrd):
    return f'set timeout=-1\nmenuentry "{title}" {{\nlinux {linux}\ninitrd {initrd}\n}}\n'


def rescue(image, tree):
    """A CD-ROM with the files of a folder: blessed on its HFS+ side, with a CHRP script on the ISO 9660 side."""
    run('grub-mkrescue', '-d', modules(), '-o', image, tree)


def map_entry(entries, start, length, name, kind):
    """An entry of Apple's partition map (Inside Macintosh: Devices, chapter 3): valid, allocated, readable, writable, bootable."""
    return struct.pack('>2sHIII32s32sIII', b'PM', 0, entries, start, length, name, kind, 0, length, 0x3b).ljust(512, b'\0')


def apple_disk(image, tree, title):
    """A disk with Apple's partition map and a bootstrap partition: HFS whose blessed folder has GRUB, and its menu, as a file of type tbxi."""
    if not shutil.which('hformat'):
        machine.skip('no hformat (Debian package hfsutils)')
    loader, volume = pathlib.Path(image).with_suffix('.elf'), pathlib.Path(image).with_suffix('.hfs')
    start, length = 64, 131072
    run('grub-mkstandalone', '-d', modules(), '-O', 'powerpc-ieee1275', '-o', loader, *(f'{path.relative_to(tree)}={path}'
        for path in sorted(tree.rglob('*')) if path.is_file()))
    with open(volume, 'wb') as f:
        f.truncate(length * 512)
    state = dict(os.environ, HOME=str(pathlib.Path(image).parent)) # where hfsutils keep what is mounted
    for command in (['hformat', '-l', title, volume], ['hmount', volume], ['hmkdir', ':System'], ['hcopy', '-r', loader, ':System:BootX'],
                    ['hattrib', '-t', 'tbxi', '-c', 'UNIX', ':System:BootX'], ['hattrib', '-b', ':System'], ['humount']):
        run(*command, env=state)
    with open(image, 'wb') as f:
        f.write(struct.pack('>2sHI', b'ER', 512, start + length).ljust(512, b'\0'))
        f.write(map_entry(2, 1, 63, b'Apple', b'Apple_partition_map'))
        f.write(map_entry(2, start, length, b'bootstrap', b'Apple_Bootstrap'))
        f.seek(start * 512)
        f.write(volume.read_bytes())


def from_menu(m, title):
    """Its prompt, with a command typed in; then its menu starts Linux."""
    m.expect(rf'(?s)GNU GRUB.*{title}', 240)
    m.send('c')
    m.expect(r'grub> ', 60)
    m.send('echo on-$grub_platform\r')
    m.expect(r'on-ieee1275', 60)
    m.send('\x1b')
    time.sleep(2)
    m.send('\r')
