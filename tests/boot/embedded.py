#!/usr/bin/env python3
"""Embedded PowerPC boards, bamboo and ppce500: Linux with disk and network, reset and power off, and what is refused.

Usage: embedded.py MYNA [test...]

Kernels and initial RAM disks are those of scripts/make-ppc-guests.
"""
import gzip
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import zlib

import firmware
import machine
from mac import corpus_disk, ppc_guest

PATIENCE = 250  # seconds for a kernel to come up, on a busy host too
KERNELS = {'bamboo': 'uImage-bamboo', 'ppce500': 'uImage-e500'}


def boot(myna, board, task, args=(), append='', kernel=None):
    return machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-m', '256', '-kernel', kernel or ppc_guest(KERNELS[board]),
                           '-initrd', ppc_guest('initrd-ppc32.gz'), '-append', f'console=ttyS0 t={task} {append}', *args)


def check(m):
    bad = re.findall(r'CORPUS-\w+ .*bad.*', m.text)
    if bad:
        raise machine.Failure('; '.join(bad))


def finish(m, board):
    """The 440's board cannot be switched off by software: Linux halts."""
    m.expect('CORPUS-POWEROFF|reboot: Power down|System halted', 60)
    if board == 'bamboo':
        m.expect('System halted', 30)
        m.process.kill()
    elif m.wait_exit(60) != 0:
        raise machine.Failure('power off did not end with status 0')
    check(m)


def linux(myna, board, model, args=(), append='quiet'):
    """A kernel with hashing and a pipeline, and, where the processor has it, floating point."""
    with boot(myna, board, 'poweroff', args, append) as m:
        m.expect('CORPUS-READY', PATIENCE + 150)
        if not re.search(model, m.text):
            raise machine.Failure(f'no {model} in /proc/cpuinfo')
        for what in ('MD5', 'FP', 'PIPE'):
            m.expect(f'CORPUS-{what} ok', 5)
        finish(m, board)


def shell(myna, board):
    """Commands typed at the serial port; the shell's end powers off."""
    with boot(myna, board, 'shell', append='quiet') as m:
        m.expect('CORPUS-READY', PATIENCE + 150)
        m.expect('/ # ', 60)
        m.send('echo $((6 * 7))-answers; cat /proc/interrupts\r')
        m.expect('42-answers', 30)
        m.expect(r'serial|ttyS0', 30)
        m.send('exit\r')
        finish(m, board)


def restart(myna, board):
    """The board resets: with -no-reboot that is the end."""
    with boot(myna, board, 'reboot', args=['-no-reboot'], append='quiet') as m:
        m.expect('CORPUS-READY', PATIENCE + 150)
        if m.wait_exit(60) != 0:
            raise machine.Failure('reboot did not end with status 0')


def disk(myna, board, name):
    """A disk on virtio: read, written, with a file system that the host's e2fsck finds clean."""
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'a.img')
        corpus_disk(image)
        with boot(myna, board, 'disk', args=['-drive', f'file={image},format=raw,if={"virtio" if name == "vda" else "none,id=d"}',
                                             *([] if name == 'vda' else ['-device', 'lsi53c895a', '-device', 'scsi-hd,drive=d']),
                                             '-nic', 'none'], append='quiet') as m:
            m.expect('CORPUS-DISKS-DONE 1', PATIENCE + 400)
            for what in ('READ', 'WRITE', 'EXT2'):
                m.expect(f'CORPUS-{what} {name} ok', 5)
            finish(m, board)
        run = subprocess.run(['/sbin/e2fsck', '-fn', f'{image}?offset=12582912'], capture_output=True, text=True)
        if run.returncode != 0:
            raise machine.Failure(f'e2fsck: {run.stdout}{run.stderr}')


def net(myna, board, card=None):
    """DHCP and echoes of the user network, by the board's own card or another."""
    args = ['-nic', 'user' + (f',model={card}' if card else '')]
    with boot(myna, board, 'net', args=args, append='quiet') as m:
        m.expect('CORPUS-LEASE 10.0.2.15 10.0.2.2', PATIENCE + 150)
        m.expect(r'CORPUS-PING eth\d ok', 60)
        finish(m, board)


def smp(myna):
    with boot(myna, 'ppce500', 'poweroff', args=['-smp', '4']) as m:
        m.expect('Brought up 1 node, 4 CPUs', PATIENCE)
        m.expect('CORPUS-READY', PATIENCE + 250)
        m.expect('CORPUS-MD5 ok', 5)
        finish(m, 'ppce500')


def elf_and_tree(myna):
    """The kernel as an ELF program, and the device tree from a file."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        image = gzip.decompress(ppc_guest('uImage-bamboo').read_bytes()[64:])
        header = struct.pack('>16sHHIIIIIHHHHHH', b'\x7fELF\x01\x02\x01', 2, 20, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        program = struct.pack('>8I', 1, 84, 0, 0, len(image), len(image) + 0x100000, 7, 4)
        (folder / 'kernel').write_bytes(header + program + image)
        tree = folder / 'bamboo.dtb'
        run = subprocess.run([firmware.system(myna, 'ppc'), '-M', f'bamboo,dumpdtb={tree}', '-display', 'none', '-serial', 'none',
                              '-kernel', ppc_guest('uImage-bamboo')], capture_output=True, text=True, timeout=60)
        if run.returncode != 0 or tree.read_bytes()[:4] != b'\xd0\x0d\xfe\xed':
            raise machine.Failure(f'no tree: {run.stdout}{run.stderr}')
        with boot(myna, 'bamboo', 'poweroff', args=['-dtb', tree], append='quiet', kernel=folder / 'kernel') as m:
            m.expect('CORPUS-READY', PATIENCE + 150)
            finish(m, 'bamboo')


def uimage(data, arch=7, kind=2, compression=0, load=0, entry=0):
    header = struct.pack('>7I4B32s', 0x27051956, 0, 0, len(data), load, entry, zlib.crc32(data), 5, arch, kind, compression, b'test')
    return header[:4] + struct.pack('>I', zlib.crc32(header)) + header[8:] + data


def refused(myna):
    """Wrong kernels and files are named, with what is wrong with them."""
    code = b'\x48\x00\x00\x00'
    packed = gzip.compress(bytes(1 << 20))
    elf = struct.pack('>16sHHIIIIIHHHHHH', b'\x7fELF\x01\x02\x01', 2, 20, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    cases = {
        'nothing': (b'', 'neither a U-Boot image'),
        'text': (b'hello ' * 100, 'neither a U-Boot image'),
        'x86': (uimage(code, arch=3), 'for another processor'),
        'ramdisk': (uimage(code, kind=3), 'something else than a kernel'),
        'lzma': (uimage(code, compression=3), 'something else than gzip'),
        'short': (uimage(packed, compression=1)[:-20], 'cut short'),
        'changed': (uimage(packed, compression=1)[:-20] + bytes(20), 'checksum of its data'),
        'header': (uimage(packed)[:40] + b'x' + uimage(packed)[41:], 'checksum of its header'),
        'no-gzip': (uimage(code * 8, compression=1), 'compressed data'),
        'gzip-end': (uimage(packed[:-30], compression=1), 'compressed data'),
        'large': (uimage(gzip.compress(bytes(300 << 20), 1), compression=1), 'does not fit into memory'),
        'high': (uimage(code, load=0xf0000000), 'does not fit into memory'),
        'entry': (uimage(code, entry=0xf0000000), 'beyond what is mapped'),
        'elf-little': (elf[:5] + b'\x01' + elf[6:], 'little-endian'),
        'elf-x86': (elf[:18] + b'\0\3' + elf[20:], 'not for PowerPC'),
        'elf-64': (elf[:4] + b'\x02' + elf[5:18] + b'\0\x15' + elf[20:], '64-bit PowerPC'),
        'elf-damaged': (elf, 'damaged'),
    }
    with tempfile.TemporaryDirectory() as folder:
        for board in KERNELS:
            runs = [('none', [], 'needs -kernel'), ('missing', ['-kernel', '/nowhere'], '/nowhere'),
                    ('bios', ['-bios', 'x', '-kernel', '/nowhere'], 'no firmware')]
            for name, (data, message) in cases.items():
                path = os.path.join(folder, name)
                with open(path, 'wb') as f:
                    f.write(data)
                runs.append((name, ['-kernel', path], message))
            other = [kernel for name, kernel in KERNELS.items() if name != board][0]
            own = ppc_guest(KERNELS[board])
            runs += [('other', ['-kernel', ppc_guest(other)], 'for another machine'),
                     ('tree', ['-kernel', own, '-dtb', ppc_guest('initrd-ppc32.gz')], 'no device tree'),
                     ('cpu', ['-kernel', own, '-cpu', '750'], 'not a \'750\''),
                     ('memory', ['-kernel', own, '-m', '1'], 'MiB of memory'),
                     ('smp', ['-kernel', own, '-smp', '9'], ', not 9')]
            for name, args, message in runs:
                run = subprocess.run([firmware.system(myna, 'ppc'), '-M', board, '-display', 'none', '-serial', 'none', *map(str, args)],
                                     stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
                if run.returncode != 1 or message not in run.stderr:
                    raise machine.Failure(f'{board}, {name}: status {run.returncode}, {run.stderr!r} without {message!r}')


TESTS = {
    'refused': refused,
    'bamboo': lambda myna: linux(myna, 'bamboo', r'cpu\s*: 440EP'),
    'bamboo-interpreted': lambda myna: linux(myna, 'bamboo', r'cpu\s*: 440EP', args=['-accel', 'tcg,interp=on']),
    'bamboo-shell': lambda myna: shell(myna, 'bamboo'),
    'bamboo-reboot': lambda myna: restart(myna, 'bamboo'),
    'bamboo-disk': lambda myna: disk(myna, 'bamboo', 'vda'),
    'bamboo-net': lambda myna: net(myna, 'bamboo'),
    'bamboo-net-virtio': lambda myna: net(myna, 'bamboo', 'virtio-net-pci'),
    'bamboo-elf': elf_and_tree,
    'ppce500': lambda myna: linux(myna, 'ppce500', r'cpu\s*: e500v2'),
    'ppce500-shell': lambda myna: shell(myna, 'ppce500'),
    'ppce500-reboot': lambda myna: restart(myna, 'ppce500'),
    'ppce500-disk': lambda myna: disk(myna, 'ppce500', 'vda'),
    'ppce500-disk-lsi': lambda myna: disk(myna, 'ppce500', 'sda'),
    'ppce500-net': lambda myna: net(myna, 'ppce500'),
    'ppce500-net-e1000': lambda myna: net(myna, 'ppce500', 'e1000'),
    'ppce500-net-rtl8139': lambda myna: net(myna, 'ppce500', 'rtl8139'),
    'ppce500-smp': smp,
}

if __name__ == '__main__':
    machine.main(TESTS)
