#!/usr/bin/env python3
"""Firmware, boot loaders and installers on the screen, driven by the keyboard.

Usage: firmware.py MYNA [test...]
"""
import os
import pathlib
import subprocess
import tempfile
import time

import machine


SIZE, START = 0x10000, 0xe000


def assemble(folder, source, start=START):
    """A firmware image whose code, from an assembler source, begins at `start`; its path."""
    paths = [os.path.join(folder, name) for name in ('firmware.o', 'firmware.elf', 'firmware.bin', 'bios')]
    try:
        subprocess.run(['as', '--32', '-I', pathlib.Path(source).parent, '-o', paths[0], source], check=True)
        subprocess.run(['ld', '-m', 'elf_i386', '-N', '--no-warn-rwx-segments', '-Ttext', hex(start), '-e', 'start', '-o',
                        *paths[1::-1]], check=True)
        subprocess.run(['objcopy', '-O', 'binary', '-j', '.text', '-j', '.rodata', *paths[1:3]], check=True)
    except OSError:
        machine.skip('as, ld and objcopy are missing (Debian package binutils)')
    code = pathlib.Path(paths[2]).read_bytes()
    image = bytearray(SIZE)
    image[start:start + len(code)] = code
    image[0xfff0:0xfff5] = b'\xea' + start.to_bytes(2, 'little') + b'\x00\xf0'
    pathlib.Path(paths[3]).write_bytes(image)
    return paths[3]


def system(myna, arch='x86_64'):
    return str(pathlib.Path(myna).parent / f'myna-system-{arch}')


def checks(myna, source, *args, engine='tcg', start=START, patience=60):
    """Runs a firmware that leaves through isa-debug-exit with 0x10, or with the number of the check that failed.

    The exit status has room for seven bits of a number: checks.inc says all of it on port 0x505 first.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = pathlib.Path(folder, 'said')
        bios = assemble(folder, pathlib.Path(__file__).with_name(source), start)
        with machine.Machine(system(myna), '-accel', engine, '-nodefaults', '-m', 16, '-bios', bios, '-device',
                             'isa-debug-exit,iobase=0x501', '-device', 'isa-debugcon,iobase=0x505,chardev=said', '-chardev', f'file,id=said,path={said}',
                             *args, serial=False) as m:
            status = m.wait_exit(patience)
            number = (said.read_bytes() or bytes([status >> 1]))[-1]
            if status != (0x10 << 1 | 1) or number != 0x10:
                raise machine.Failure(f'check {number} failed')


def no_bootable_device(myna):
    with machine.Machine(myna, '-nic', 'none', '-device', 'isa-debugcon,iobase=0x402,chardev=fw',
                         '-chardev', 'file,id=fw,path=/dev/stdout', serial=False) as m:
        m.wait_screen('No bootable device', 60)
        m.expect('No bootable device', 10)


def grub(myna, *drive, name='GNU GRUB', patience=1):
    """The menu, then a command line, where a command is typed and answers."""
    with machine.Machine(myna, '-nic', 'none', *drive, serial=False) as m:
        m.wait_screen(name, 90 * patience)
        m.keys('c')
        m.wait_screen('grub>', 20 * patience)
        m.type('echo myna says hello\n')
        m.wait_screen(r'(?m)^\s*myna says hello', 20 * patience)


def grub_folder():
    return machine.guest('grub-rescue') / 'usr/lib/grub-rescue'


def floppy(myna):
    grub(myna, '-fda', grub_folder() / 'grub-rescue-floppy.img', '-boot', 'a')


def cdrom(myna):
    grub(myna, '-cdrom', grub_folder() / 'grub-rescue-cdrom.iso')


def isapc(myna):
    grub(system(myna, 'i386'), '-M', 'isapc', '-fda', grub_folder() / 'grub-rescue-floppy.img', '-boot', 'a')


def colours(picture):
    """How many different colours there are, and the share of the commonest."""
    width, height, pixels = picture
    counts = {}
    for i in range(0, len(pixels), 3 * 7):
        counts[pixels[i:i + 3]] = counts.get(pixels[i:i + 3], 0) + 1
    return len(counts), max(counts.values()) / sum(counts.values())


def has_colour(picture, rgb, share):
    pixels = picture[2]
    total = hits = 0
    for i in range(0, len(pixels), 3 * 7):
        total += 1
        hits += all(abs(pixels[i + k] - rgb[k]) < 12 for k in range(3))
    return hits >= share * total


def wait_picture(m, what, test, timeout):
    end = time.monotonic() + timeout * machine.PATIENCE
    while time.monotonic() < end:
        picture = m.screenshot()
        if test(picture):
            return picture
        time.sleep(1)
    keep = tempfile.NamedTemporaryFile(prefix='myna-screen-', suffix='.ppm', delete=False).name
    m.command('screendump', filename=keep)
    raise machine.Failure(f'the screen never showed {what}; it is in {keep}')


def installer_text(myna, arch):
    """ISOLINUX's menu, a choice by keyboard, the installer's first dialog."""
    binary = system(myna, 'x86_64' if arch == 'amd64' else 'i386')
    with machine.Machine(binary, '-m', 1024, '-cdrom', machine.mini_iso(arch), '-boot', 'd') as m:
        m.connect()
        # the graphical menu: Debian's splash picture
        wait_picture(m, "ISOLINUX's menu", lambda p: p[0] == 640 and p[1] == 480 and colours(p)[0] > 100, 60)
        m.keys('ret')
        # newt's dialog: grey box on blue
        wait_picture(m, "the installer's first dialog", lambda p: p[0] >= 640 and
                     has_colour(p, (0, 0, 170), 0.02) and has_colour(p, (170, 170, 170), 0.3), 240)


def installer_graphical(myna, alone=False):
    """The graphical installer: its banner, then another language chosen by keyboard. The CD's menu starts it by itself, too."""
    with machine.Machine(system(myna), '-m', 1024, '-cdrom', machine.mini_iso('amd64', 'gtk'), '-boot', 'd') as m:
        m.connect()
        wait_picture(m, "ISOLINUX's menu", lambda p: p[0] == 640 and colours(p)[0] > 100, 60)
        if not alone:
            m.keys('ret')
        first = wait_picture(m, 'the language list', lambda p: p[0] >= 800 and has_colour(p, (255, 255, 255), 0.3) and
                             has_colour(p, (0, 72, 96), 0.02), 300)
        time.sleep(3)
        first = m.screenshot()
        m.keys('down')
        wait_picture(m, 'another line of the list chosen', lambda p: p[2] != first[2], 30)


def memtest(myna):
    """Memtest86+ from its CD tests memory without an error."""
    iso = machine.guest('memtest') / 'usr/lib/memtest86+/memtest86+x64.iso'
    with machine.Machine(system(myna), '-nic', 'none', '-m', 64, '-cdrom', iso, serial=False) as m:
        m.wait_screen(r'Test #[2-9]', 120)
        if 'Errors: 0' not in m.screen_text():
            raise machine.Failure('Memtest86+ found errors:\n' + m.screen_text())


def ipxe(myna):
    """iPXE, started as a Linux kernel is, brings up the network card by its own driver."""
    with machine.Machine(myna, '-kernel', machine.guest('ipxe') / 'boot/ipxe.lkrn', serial=False) as m:
        m.wait_screen(r'net0: 10\.0\.2\.15/255\.255\.255\.0', 90)


def invaders(myna):
    """A multiboot kernel that is a game."""
    with machine.Machine(myna, '-nic', 'none', '-kernel', machine.guest('invaders') / 'boot/invaders.exec',
                         serial=False) as m:
        m.wait_screen(r'-\*-', 60)


TESTS = {
    'memtest': memtest,
    'ipxe': ipxe,
    'invaders': invaders,
    'no-bootable-device': no_bootable_device,
    'grub-floppy': floppy,
    'grub-cdrom': cdrom,
    'isapc-grub-floppy': isapc,
    'installer-amd64': lambda myna: installer_text(myna, 'amd64'),
    'installer-i386': lambda myna: installer_text(myna, 'i386'),
    'installer-graphical': installer_graphical,
    'installer-alone': lambda myna: installer_graphical(myna, alone=True),
}

if __name__ == '__main__':
    machine.main(TESTS)
