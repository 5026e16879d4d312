#!/usr/bin/env python3
"""A shared folder in Myna and in another emulator, one after the other, with the same guest and files.

Usage: share_speed.py MYNA [OTHER]   (OTHER: qemu-system-x86_64)
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import initramfs
import linux

MIB, FILES, ROUNDS = 64, 2000, 3

TASK = f'''
now() {{ cut -d" " -f1 /proc/uptime | tr -d .; }}
took() {{ echo BOOT-TOOK $1 $(expr $(now) - $2); }}
for a in tr find; do ln -s busybox /bin/$a; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /mnt
for i in {' '.join(map(str, range(ROUNDS)))}; do
    t=$(now); dd if=/mnt/big of=/dev/null bs=1M 2>/dev/null; took read $t
    t=$(now); dd if=/dev/zero of=/mnt/new bs=1M count={MIB} 2>/dev/null; took write $t
    t=$(now); find /mnt/tree -type f -size +100k; took find $t
done
poweroff -f
'''


def measure(binary, args):
    """The best time of each task, in seconds."""
    out = subprocess.run([binary, *args], capture_output=True, text=True, timeout=500).stdout
    times = {}
    for name, hundredths in re.findall(r'BOOT-TOOK (\w+) (\d+)', out):
        times.setdefault(name, []).append(max(int(hundredths), 1) / 100)
    return {name: min(values) for name, values in times.items()}


def main(myna, other='qemu-system-x86_64'):
    vmlinuz, busybox, root = linux.kernel('amd64')
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        share = folder / 'share'
        for n in range(FILES):
            path = share / f'tree/{n // 100}/{n}'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b'x')
        (share / 'big').write_bytes(os.urandom(MIB << 20))
        initrd = str(folder / 'initrd')
        initramfs.build(initrd, busybox, root, ['virtio_pci', '9p', '9pnet_virtio'], TASK)
        args = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-nic', 'none', '-m', '384', '-no-reboot',
                '-kernel', str(vmlinuz), '-initrd', initrd, '-append', 'console=ttyS0 panic=-1 no_timer_check', '-accel', 'tcg',
                '-fsdev', f'local,id=f,path={share},security_model=none', '-device', 'virtio-9p-pci,fsdev=f,mount_tag=share']
        ours, theirs = measure(myna, args), measure(other, args)
    for task, seconds in ours.items():
        print(f'{task}: {seconds:.2f} s; {theirs[task]:.2f} s; {theirs[task] / seconds:.2f} times')


if __name__ == '__main__':
    main(*sys.argv[1:])
