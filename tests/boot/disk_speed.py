#!/usr/bin/env python3
"""fio on a disk in Myna and in another emulator, one after the other, with the same guest and image.

Usage: disk_speed.py MYNA DEVICE FORMAT [OTHER]   (DEVICE: nvme, virtio-blk or virtio-blk-iothread; OTHER: qemu-system-x86_64)
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

import initramfs
import linux
import storage

DEVICES = {
    'nvme': (['-device', 'nvme,serial=n,drive=disk'], ['nvme']),
    'virtio-blk': (['-device', 'virtio-blk-pci,drive=disk'], ['virtio_pci', 'virtio_blk']),
    'virtio-blk-iothread': (['-object', 'iothread,id=io', '-device', 'virtio-blk-pci,drive=disk,iothread=io'],
                            ['virtio_pci', 'virtio_blk']),
}
JOBS = [('randread', '4k', 16), ('randwrite', '4k', 16), ('read', '1M', 4), ('write', '1M', 4)]
SECONDS = 4
SIZE = 192


def processor_time(process):
    fields = pathlib.Path(f'/proc/{process.pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def measure(binary, args):
    """Of each job: requests per second, KiB/s, and the emulator's processor time for a request in microseconds."""
    results = {}
    with subprocess.Popen([binary, *args], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors='replace') as emulator:
        timer = threading.Timer(500, emulator.kill)
        timer.start()
        before = 0
        for line in emulator.stdout:
            if 'BOOT-JOB' in line:
                before = processor_time(emulator)
            if found := re.search(r'BOOT-(\w+-\w+) ([\d;]+)', line):
                read_speed, read_rate, write_speed, write_rate = map(int, found[2].split(';'))
                rate = read_rate + write_rate
                results[found[1]] = rate, read_speed + write_speed, (processor_time(emulator) - before) * 1e6 / max(rate * SECONDS, 1)
        timer.cancel()
    return results


def main(myna, device, form, other='qemu-system-x86_64'):
    device_args, drivers = DEVICES[device]
    vmlinuz, busybox, root = linux.kernel('amd64')
    task = f'd=$(disk {SIZE}); dd if=/dev/zero of=/dev/$d bs=1M 2>/dev/null; sync\n'
    for kind, size, depth in JOBS:
        task += (f'echo BOOT-JOB; chroot /t fio --name=v --filename=/dev/$d --rw={kind} --bs={size} --direct=1 --ioengine=libaio --iodepth={depth} '
                 f'--time_based --runtime={SECONDS} --minimal > /t/tmp/o; echo BOOT-{kind}-{size} $(cut -d";" -f7,8,48,49 /t/tmp/o)\n')
    with tempfile.TemporaryDirectory() as folder:
        image, initrd = os.path.join(folder, 'disk'), os.path.join(folder, 'initrd')
        subprocess.run(['qemu-img', 'create', '-q', '-f', form, image, f'{SIZE}M'], check=True)
        initramfs.build(initrd, busybox, root, [*storage.COMMON, *drivers],
                        storage.FUNCTIONS + storage.TOOLS + task + 'poweroff -f\n')
        args = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-nic', 'none', '-m', '384', '-no-reboot',
                '-kernel', str(vmlinuz), '-initrd', initrd, '-append', 'console=ttyS0 panic=-1', '-accel', 'tcg',
                '-drive', f'if=none,id=disk,file={image},format={form}', *device_args,
                '-drive', f'file={storage.tools_image()},format=raw,snapshot=on,index=0']
        ours, theirs = measure(myna, args), measure(other, args)
    for name, (rate, speed, cost) in ours.items():
        other_rate, other_speed, other_cost = theirs[name]
        print(f'{name}: {rate}/s, {speed // 1024} MiB/s, {cost:.0f} us; {other_rate}/s, {other_speed // 1024} MiB/s, {other_cost:.0f} us; '
              f'{speed / max(other_speed, 1):.2f} times, processor time {other_cost / max(cost, 0.1):.2f} times')


if __name__ == '__main__':
    main(*sys.argv[1:])
