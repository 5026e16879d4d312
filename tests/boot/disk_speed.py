#!/usr/bin/env python3
"""fio on an NVMe disk in Myna and in another emulator, one after the other, with the same guest and image.

Usage: disk_speed.py MYNA FORMAT [OTHER]   (OTHER: qemu-system-x86_64)
"""
import os
import re
import subprocess
import sys
import tempfile

import initramfs
import linux
import storage

JOBS = [('randread', '4k', 16), ('randwrite', '4k', 16), ('read', '1M', 4), ('write', '1M', 4)]
SECONDS = 4
SIZE = 192


def measure(binary, args):
    """Requests per second and KiB/s of each job."""
    out = subprocess.run([binary, *args], capture_output=True, text=True, timeout=400).stdout
    results = {}
    for name, numbers in re.findall(r'BOOT-(\w+-\w+) ([\d;]+)', out):
        read_speed, read_rate, write_speed, write_rate = map(int, numbers.split(';'))
        results[name] = (read_rate + write_rate, read_speed + write_speed)
    return results


def main(myna, form, other='qemu-system-x86_64'):
    vmlinuz, busybox, root = linux.kernel('amd64')
    task = f'd=$(disk {SIZE}); dd if=/dev/zero of=/dev/$d bs=1M 2>/dev/null; sync\n'
    for kind, size, depth in JOBS:
        task += (f'chroot /t fio --name=v --filename=/dev/$d --rw={kind} --bs={size} --direct=1 --ioengine=libaio --iodepth={depth} '
                 f'--time_based --runtime={SECONDS} --minimal > /t/tmp/o; echo BOOT-{kind}-{size} $(cut -d";" -f7,8,48,49 /t/tmp/o)\n')
    with tempfile.TemporaryDirectory() as folder:
        image, initrd = os.path.join(folder, 'disk'), os.path.join(folder, 'initrd')
        subprocess.run(['qemu-img', 'create', '-q', '-f', form, image, f'{SIZE}M'], check=True)
        initramfs.build(initrd, busybox, root, [*storage.COMMON, 'nvme'],
                        storage.FUNCTIONS + storage.TOOLS + task + 'poweroff -f\n')
        args = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-nic', 'none', '-m', '384', '-no-reboot',
                '-kernel', str(vmlinuz), '-initrd', initrd, '-append', 'console=ttyS0 panic=-1', '-accel', 'tcg',
                '-drive', f'if=none,id=disk,file={image},format={form}', '-device', 'nvme,serial=n,drive=disk',
                '-drive', f'file={storage.tools_image()},format=raw,snapshot=on,index=0']
        ours, theirs = measure(myna, args), measure(other, args)
    for name, (rate, speed) in ours.items():
        print(f'{name}: {rate}/s, {speed // 1024} MiB/s; {theirs[name][0]}/s, {theirs[name][1] // 1024} MiB/s; '
              f'{speed / max(theirs[name][1], 1):.2f} times')


if __name__ == '__main__':
    main(*sys.argv[1:])
