#!/usr/bin/env python3
"""Floppy disks under a Debian kernel's driver: media of every size, formatting, file systems, media changes, no DMA.

Usage: floppy.py MYNA [test...]
"""
import hashlib
import os
import pathlib
import subprocess
import tempfile

import linux
import machine

# In the guest: try NAME DEVICE KIB: a medium is what it should be, is formatted, written, read, and gets a file system.
TASK = '''
try() {
    FORMAT
    [ $(cat /sys/block/$2/size) = $(($3 * 2)) ] || head -c 512 /dev/$2 > /dev/null
    [ $(cat /sys/block/$2/size) = $(($3 * 2)) ] || echo BOOT-FAIL $1: size $(cat /sys/block/$2/size)
    dd if=/dev/urandom of=/tmp/data bs=1k count=$3 2>/dev/null
    dd if=/tmp/data of=/dev/$2 bs=5k conv=fsync 2>/dev/null || echo BOOT-FAIL $1: write
    echo 3 > /proc/sys/vm/drop_caches
    dd if=/dev/$2 bs=4k 2>/dev/null | cmp - /tmp/data || echo BOOT-FAIL $1: what is read differs
    echo BOOT-SUM $1 $(md5sum < /tmp/data)
}
stty -echo; echo BOOT-READY
while read line; do eval "$line"; done
'''
FILES = '''
files() { # files DEVICE
    mke2fs -q /dev/$1 > /dev/null; mount -t ext4 /dev/$1 /mnt || echo BOOT-FAIL mount
    dd if=/dev/urandom of=/mnt/file bs=1k count=50 2>/dev/null; umount /mnt
    mount -t ext4 /dev/$1 /mnt || echo BOOT-FAIL mount again; echo BOOT-FILE $(md5sum < /mnt/file); umount /mnt
}
'''


def program(folder):
    path = os.path.join(folder, 'floppy-test')
    try:
        subprocess.run(['gcc', '-O1', '-static', '-o', path, pathlib.Path(__file__).with_suffix('.c')], check=True,
                       capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        machine.skip('gcc cannot make a static program')
    return path


def make_image(folder, kib):
    path = os.path.join(folder, f'{kib}.img')
    with open(path, 'wb') as f:
        f.truncate(kib << 10)
    return path


def run(myna, types, media, parameters=None, small=False, extra=None):
    """media: (drive, KiB) one after the other; each is changed under the running driver."""
    with tempfile.TemporaryDirectory() as folder:
        task = FILES + TASK.replace('FORMAT', 'floppy-test /dev/$2' + (' $3' if small else ''))
        args = ['-nic', 'none', '-drive', 'if=floppy,index=0,id=d0', '-drive', 'if=floppy,index=1,id=d1',
                '-global', f'isa-fdc.fdtypeA={types[0]}', '-global', f'isa-fdc.fdtypeB={types[1]}']
        with linux.boot(myna, 'amd64', task, modules=['floppy', 'crc32c_generic', 'ext4'], args=args, parameters=parameters,
                        programs=[program(folder)]) as m:
            m.expect('BOOT-READY', 200)
            for n, (drive, kib) in enumerate(media):
                image = make_image(folder, kib)
                m.command('blockdev-change-medium', device=f'd{drive}', filename=image, format='raw')
                m.send(f'try n{n}- fd{drive} {kib}\n')
                digest = m.expect(f'BOOT-SUM n{n}- (\\w{{32}})', 300)[1]
                if hashlib.md5(pathlib.Path(image).read_bytes()).hexdigest() != digest:
                    raise machine.Failure(f'{kib} KiB: the image has other data than the guest wrote')
                print(f'{kib} KiB in drive {"AB"[drive]} is fine')
            if extra:
                extra(m, folder, image)
            m.send('poweroff -f\n')
            m.wait_exit(60)
            if 'FAIL' in m.text or m.text.count('FLOPPY-FORMATTED') != len(media) or 'I/O error' in m.text:
                raise machine.Failure('a step failed')


def files_and_changes(m, folder, image):
    m.send('files fd0\n')
    digest = m.expect('BOOT-FILE (\\w{32})', 120)[1]
    subprocess.run(['/sbin/debugfs', '-R', f'dump /file {folder}/copy', image], capture_output=True, check=True)
    if hashlib.md5(pathlib.Path(f'{folder}/copy').read_bytes()).hexdigest() != digest:
        raise machine.Failure('the file on the host differs from the one in the guest')
    m.command('blockdev-change-medium', device='d0', filename=image, format='raw', **{'read-only-mode': 'read-only'})
    m.send('dd if=/dev/zero of=/dev/fd0 count=1 || echo BOOT-PROTECTED-\n')
    m.expect('\nBOOT-PROTECTED-', 60)
    m.command('eject', device='d0')
    m.send('head -c 512 /dev/fd0 || echo BOOT-EMPTY-\n')
    m.expect('\nBOOT-EMPTY-', 60)
    m.text = m.text.replace('I/O error', 'expected')


TESTS = {
    'linux': lambda myna: run(myna, ('144', '120'), [(0, 720), (1, 360), (1, 1200), (0, 1440)], extra=files_and_changes),
    'linux-2880': lambda myna: run(myna, ('288', '720'), [(0, 2880), (1, 720), (0, 1440)]),
    'linux-small': lambda myna: run(myna, ('144', '360'), [(1, 360), (1, 320), (1, 180), (1, 160)], small=True),
    'linux-no-dma': lambda myna: run(myna, ('144', '120'), [(0, 1440)], parameters={'floppy': 'floppy=nodma'}),
}

if __name__ == '__main__':
    machine.main(TESTS)
