"""GRUB for Open Firmware, as Debian has it: CD-ROMs with it, and its prompt and menu on a serial line."""
import shutil
import subprocess
import time

import machine


def modules():
    if not shutil.which('grub-mkimage') or not shutil.which('grub-mkrescue') or not shutil.which('xorriso'):
        machine.skip('no grub-mkimage, grub-mkrescue or xorriso (Debian packages grub-common, xorriso, mtools)')
    return machine.guest('grub-ppc') / 'usr/lib/grub/powerpc-ieee1275'


def run(*args):
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True)
    if done.returncode != 0:
        raise machine.Failure(f'{args[0]}: {done.stdout[-300:]}{done.stderr[-500:]}')


def menu(title, linux, initrd):
    return f'set timeout=-1\nmenuentry "{title}" {{\nlinux {linux}\ninitrd {initrd}\n}}\n'


def rescue(image, tree):
    """A CD-ROM with the files of a folder: blessed on its HFS+ side, with a CHRP script on the ISO 9660 side."""
    run('grub-mkrescue', '-d', modules(), '-o', image, tree)


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
