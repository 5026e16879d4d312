#!/usr/bin/env python3
"""Disk controllers under Debian kernels' own drivers: partitions, file systems, fio, trim, hot-plug, power cuts.

Usage: storage.py MYNA [test...]
"""
import contextlib
import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import time

import linux
import machine

SIZE = 96  # MiB of the disk under test; the guest finds it by that
COMMON = ['ata_piix', 'sd_mod', 'crc32c_generic', 'ext4']
CONTROLLERS = {
    'nvme': (['-device', 'nvme,serial=nvme-1,drive=disk'], ['nvme']),
    'nvme-iothread': (['-object', 'iothread,id=io', '-device', 'nvme,serial=nvme-1,drive=disk,iothread=io'], ['nvme']),
    'nvme-ns': (['-device', 'nvme,serial=nvme-1,id=n0', '-device', 'nvme-ns,bus=n0,nsid=3,drive=disk'], ['nvme']),
    'ahci': (['-device', 'ich9-ahci,id=a', '-device', 'ide-hd,bus=a.1,drive=disk'], ['ahci']),
    'lsi': (['-device', 'lsi53c895a,id=s', '-device', 'scsi-hd,bus=s.0,scsi-id=2,drive=disk'], ['sym53c8xx']),
    'lsi53c810': (['-device', 'lsi53c810,id=s', '-device', 'scsi-hd,bus=s.0,drive=disk'], ['sym53c8xx']),
    'virtio-scsi': (['-device', 'virtio-scsi-pci,id=s', '-device', 'scsi-hd,bus=s.0,drive=disk'],
                    ['virtio_pci', 'virtio_scsi']),
    'ide': (['-device', 'ide-hd,bus=ide.1,unit=1,drive=disk'], []),
    'virtio-scsi-iothread': (['-object', 'iothread,id=io', '-device', 'virtio-scsi-pci,id=s,iothread=io', '-device',
                              'scsi-hd,bus=s.0,drive=disk'], ['virtio_pci', 'virtio_scsi']),
    'usb-storage': (['-device', 'usb-ehci,id=u', '-device', 'usb-storage,bus=u.0,drive=disk'], ['ehci_pci', 'usb_storage']),
}
CONTROLLERS |= {name: ([*more, '-device', f'virtio-blk-pci,drive=disk,serial=v-1{options}'], ['virtio_pci', 'virtio_blk'])
                for name, options, more in [
                    ('virtio-blk', '', []), ('virtio-blk-legacy', ',disable-modern=on', []),
                    ('virtio-blk-modern', ',disable-legacy=on', []), ('virtio-blk-packed', ',packed=on', []),
                    ('virtio-blk-mq', ',num-queues=4', ['-smp', '2']),
                    ('virtio-blk-iothread', ',iothread=io,packed=on', ['-object', 'iothread,id=io'])]}
NO_TRIM = ['lsi53c810', 'usb-storage'] # Linux does not ask these whether they can

FUNCTIONS = f'''
disk() {{ # disk [MIB]: the device of that size, once it is there
    while true; do
        for s in /sys/block/*/size; do
            [ $(cat $s) = $((${{1:-{SIZE}}} * 2048)) ] && basename $(dirname $s) && return
        done
        sleep 0.1
    done
}}
node() {{ # node DISK N: its n-th partition
    case $1 in *[0-9]) echo $1p$2;; *) echo $1$2;; esac
}}
'''

TOOLS = '''
t=$(disk 256); mkdir /t
mount -t ext4 -o ro /dev/$t /t || echo BOOT-FAIL tools
mount --bind /dev /t/dev; mount --bind /proc /t/proc; mount --bind /sys /t/sys; mount -t tmpfs tmp /t/tmp
'''


def tools_image():
    """A file system with fio and its like from this host, which is a Debian system too; kept in the cache."""
    programs = ['fio', 'sfdisk', 'mkfs.ext4', 'blkdiscard', 'fstrim', 'e2fsck']
    paths = [shutil.which(p, path=os.environ['PATH'] + ':/usr/sbin:/sbin') for p in programs]
    if None in paths:
        machine.skip('fio, fdisk, e2fsprogs or util-linux is missing on this host')
    image = machine.guest('busybox-amd64').parent / 'storage-tools.img'
    if image.exists():
        return image
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in ('bin', 'dev', 'proc', 'sys', 'tmp', 'mnt', 'etc'):
            (root / name).mkdir()
        (root / 'etc/mke2fs.conf').write_bytes(pathlib.Path('/etc/mke2fs.conf').read_bytes())
        for path in paths:
            shutil.copy(path, root / 'bin')
            for library in re.findall(r'(/\S+) \(0x', subprocess.run(['ldd', path], capture_output=True, text=True).stdout):
                (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, root / library[1:])
        tmp = f'{image}.{os.getpid()}'
        with open(tmp, 'wb') as f:
            f.truncate(256 << 20)
        subprocess.run(['/sbin/mkfs.ext4', '-q', '-F', '-O', '^has_journal', '-d', folder, tmp], check=True)
        os.replace(tmp, image)
    return image


def lacks(myna, args):
    listing = subprocess.run([myna, '-device', 'help'], capture_output=True, text=True).stdout
    names = [a.split(',')[0] for flag, a in zip(args, args[1:]) if flag == '-device']
    return [n for n in names if f'"{n}"' not in listing]


def boot(myna, kind, task, image, arch='amd64', tools=True, more=(), modules=(), drive='', **named):
    args, drivers = CONTROLLERS[kind]
    if missing := lacks(myna, args):
        machine.skip(f'no device {missing[0]} in this build')
    disks = ['-drive', f'if=none,id=disk,file={image},format=raw,discard=unmap{drive}'] if image else []
    if tools:
        disks += ['-drive', f'file={tools_image()},format=raw,readonly=on,index=0']
    named.setdefault('append', 'no_timer_check') # which a busy host's late timer fails
    return linux.boot(myna, arch, FUNCTIONS + (TOOLS if tools else '') + task + '\necho BOOT-END\npoweroff -f\n',
                      modules=[*COMMON, *drivers, *modules], args=['-nic', 'none', *disks, *args, *more], **named)


def make_image(folder, size=SIZE):
    image = os.path.join(folder, 'disk.img')
    with open(image, 'wb') as f:
        f.truncate(size << 20)
    return image


def check_kernel_log(m):
    for bad in re.findall(r'.*(?:I/O error|Buffer I/O|timeout, |timed out|exception Emask|Abort status|resetting link|'
                          r'soft lockup|Call Trace|BUG:).*', m.text):
        raise machine.Failure(f'the kernel complains: {bad}')


def check_file_system(image, offset=1 << 20, size=48 << 20):
    """e2fsck of the first partition, on a copy."""
    with tempfile.NamedTemporaryFile() as part:
        with open(image, 'rb') as f:
            f.seek(offset)
            part.write(f.read(size))
        part.flush()
        check = subprocess.run(['/sbin/e2fsck', '-fn', part.name], capture_output=True, text=True)
        if check.returncode != 0:
            raise machine.Failure(f'e2fsck: {check.stdout}')


def loop_device(image):
    """A loop device of the host over the image."""
    made = subprocess.run(['losetup', '-f', '--show', image], capture_output=True, text=True)
    if made.returncode != 0:
        machine.skip(f'no loop device can be had: {made.stderr.strip()}')
    return made.stdout.strip()


def disk(myna, kind, arch='amd64', on_device=False):
    """Partition, mkfs, write, flush, verify what is really on the disk, fio, trim."""
    task = '''
d=$(disk)
printf ',48M\\n,\\n' | chroot /t sfdisk -q /dev/$d || echo BOOT-FAIL sfdisk
a=/dev/$(node $d 1); b=/dev/$(node $d 2); while [ ! -e $b ]; do sleep 0.1; done
chroot /t mkfs.ext4 -q $a && mount -t ext4 $a /mnt || echo BOOT-FAIL mkfs
i=0; while [ $i -lt 20 ]; do dd if=/dev/urandom of=/mnt/file$i bs=64k count=16 2>/dev/null; i=$((i + 1)); done
mkdir /mnt/d; cp /mnt/file3 /mnt/d/copy; sync
one=$(cat /mnt/file* | md5sum); echo 3 > /proc/sys/vm/drop_caches; two=$(cat /mnt/file* | md5sum)
[ "$one" = "$two" ] && echo BOOT-VERIFIED
echo BOOT-SUM $(md5sum < /mnt/d/copy)
umount /mnt
chroot /t fio --name=v --filename=$b --rw=randwrite --bs=4k --size=12M --verify=crc32c --direct=1 --ioengine=libaio \
    --iodepth=16 --minimal > /t/tmp/fio.log && echo BOOT-FIO || cat /t/tmp/fio.log
chroot /t fio --name=v --filename=$b --rw=write --bs=1M --size=24M --verify=crc32c --direct=1 --ioengine=libaio \
    --iodepth=4 --minimal > /t/tmp/fio.log && echo BOOT-FIO || cat /t/tmp/fio.log
'''
    trim = '' if kind in NO_TRIM else '''
mount -t ext4 $a /mnt; rm /mnt/file1*; sync; mkdir /t/mnt/x 2>/dev/null; mount --move /mnt /t/mnt
chroot /t fstrim -v /mnt && chroot /t blkdiscard $b && echo BOOT-TRIMMED
umount /t/mnt
'''
    with tempfile.TemporaryDirectory() as folder:
        image = make_image(folder)
        device = loop_device(image) if on_device else None
        with contextlib.ExitStack() as stack:
            if device:
                stack.callback(subprocess.run, ['losetup', '-d', device])
            m = stack.enter_context(boot(myna, kind, task + 'echo BOOT-WRITTEN; read x\n' + trim, device or image, arch,
                                         drive=',cache=none' if device else ''))
            m.expect('BOOT-VERIFIED', 240)
            digest = m.expect('BOOT-SUM (\\w{32})', 60)[1]
            m.expect('(?s)BOOT-FIO.*BOOT-FIO', 120)
            m.expect('BOOT-WRITTEN', 30)
            before = os.stat(image).st_blocks
            m.send('\n')
            if trim:
                m.expect('BOOT-TRIMMED', 60)
            m.expect('BOOT-END', 60)
            m.wait_exit(60)
            if 'BOOT-FAIL' in m.text:
                raise machine.Failure('a step failed')
            check_kernel_log(m)
        if trim and os.stat(image).st_blocks > before - (20 << 11):
            raise machine.Failure(f'trim did not shrink the image: {before} to {os.stat(image).st_blocks} sectors')
        check_file_system(image)
        with tempfile.NamedTemporaryFile() as part, open(image, 'rb') as f:
            f.seek(1 << 20)
            part.write(f.read(48 << 20))
            part.flush()
            copy = os.path.join(folder, 'copy')
            subprocess.run(['/sbin/debugfs', '-R', f'dump /d/copy {copy}', part.name], capture_output=True, check=True)
            if hashlib.md5(pathlib.Path(copy).read_bytes()).hexdigest() != digest:
                raise machine.Failure('the file on the host differs from the one in the guest')


def i386(myna, kind):
    """The same kernel for old processors: what busybox can do."""
    task = '''
d=$(disk); dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null
dd if=/tmp/data of=/dev/$d bs=64k conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/$d bs=64k count=64 2>/dev/null | cmp - /tmp/data && echo BOOT-VERIFIED
echo BOOT-SUM $(md5sum < /tmp/data)
'''
    with tempfile.TemporaryDirectory() as folder:
        image = make_image(folder)
        with boot(myna, kind, task, image, 'i386', tools=False) as m:
            m.expect('BOOT-VERIFIED', 240)
            digest = m.expect('BOOT-SUM (\\w{32})', 60)[1]
            m.expect('BOOT-END', 60)
            m.wait_exit(60)
            check_kernel_log(m)
        with open(image, 'rb') as f:
            if hashlib.md5(f.read(4 << 20)).hexdigest() != digest:
                raise machine.Failure('the image has other data than the guest wrote')


def power_cut(myna, kind):
    """The emulator is killed while files are written and flushed: what was flushed is there, the journal repairs the rest."""
    task = '''
d=$(disk); chroot /t mkfs.ext4 -q -F /dev/$d; mount -t ext4 /dev/$d /mnt
i=0; while true; do dd if=/dev/urandom of=/mnt/f$i bs=16k count=4 conv=fsync 2>/dev/null; sync
echo BOOT-DONE $i $(md5sum < /mnt/f$i); i=$((i + 1)); done
'''
    with tempfile.TemporaryDirectory() as folder:
        image = make_image(folder)
        with boot(myna, kind, task, image, drive=',cache=writeback') as m:
            m.expect('BOOT-DONE 5 ', 240)
            time.sleep(random.uniform(0.2, 1.5))
            m.process.kill()
            m.process.wait()
            done = dict(re.findall(r'BOOT-DONE (\d+) (\w{32})', m.text))
        check = subprocess.run(['/sbin/e2fsck', '-fy', image], capture_output=True, text=True)
        if check.returncode not in (0, 1):
            raise machine.Failure(f'e2fsck: {check.stdout}')
        for number, digest in done.items():
            copy = os.path.join(folder, 'copy')
            subprocess.run(['/sbin/debugfs', '-R', f'dump /f{number} {copy}', image], capture_output=True, check=True)
            if hashlib.md5(pathlib.Path(copy).read_bytes()).hexdigest() != digest:
                raise machine.Failure(f'file {number} of {len(done)} is lost or damaged')


def boots(myna, kind):
    """SeaBIOS reads a boot sector through its own driver, and GRUB its modules; bootindex chooses among two disks."""
    args, _ = CONTROLLERS[kind]
    if missing := lacks(myna, args):
        machine.skip(f'no device {missing[0]} in this build')
    grub = machine.guest('grub-rescue') / 'usr/lib/grub-rescue/grub-rescue-cdrom.iso'
    args = [a.replace('drive=disk', 'drive=disk,bootindex=0') for a in args]
    with tempfile.TemporaryDirectory() as folder:
        empty = make_image(folder, 1)
        with machine.Machine(myna, '-nic', 'none', '-drive', f'file={grub},format=raw,if=none,id=disk,readonly=on',
                             '-drive', f'file={empty},format=raw', *args, serial=False) as m:
            m.wait_screen('GNU GRUB', 60)


def hotplug(myna, kind):
    """A disk comes and goes while the driver looks on, twice."""
    bus, device, modules = {
        'nvme': ([], {'driver': 'nvme', 'drive': 'disk', 'serial': 'hot'}, ['nvme']),
        'nvme-ns': (['-device', 'nvme,id=n0,serial=x'], {'driver': 'nvme-ns', 'drive': 'disk', 'bus': 'n0', 'nsid': '2'}, ['nvme']),
        'virtio-scsi': (['-device', 'virtio-scsi-pci,id=s'], {'driver': 'scsi-hd', 'drive': 'disk', 'bus': 's.0'},
                        ['virtio_pci', 'virtio_scsi', 'sd_mod']),
    }[kind]
    with tempfile.TemporaryDirectory() as folder:
        image = make_image(folder)
        with linux.boot(myna, 'amd64', FUNCTIONS + linux.SHELL,
                        modules=modules, args=['-nic', 'none', '-drive', f'file={image},format=raw,if=none,id=disk', *bus]) as m:
            m.expect('BOOT-READY', 200)
            for turn in range(2):
                m.command('device_add', id='hot', **device)
                m.send('d=$(disk); '
                       f'echo payload-{turn} | dd of=/dev/$d conv=sync,fsync bs=512 2>/dev/null; echo BOOT-WROTE-{turn}-\n')
                m.expect(f'\nBOOT-WROTE-{turn}-\n', 60)
                m.command('device_del', id='hot')
                m.wait_event('DEVICE_DELETED', 60, device='hot')
                m.send(f'while [ -b /dev/$d ]; do sleep 0.2; done; echo BOOT-GONE-{turn}-\n')
                m.expect(f'\nBOOT-GONE-{turn}-\n', 60)
                if not pathlib.Path(image).read_bytes().startswith(f'payload-{turn}'.encode()):
                    raise machine.Failure('the write is not in the image')
            m.send(linux.QUIT)
            m.wait_exit(60)
            if re.search('Oops|BUG:|Call Trace', m.text):
                raise machine.Failure('the kernel complains')


TESTS = {kind: (lambda myna, kind=kind: disk(myna, kind)) for kind in CONTROLLERS}
TESTS['host-device'] = lambda myna: disk(myna, 'virtio-blk', on_device=True)
TESTS |= {f'{kind}-i386': (lambda myna, kind=kind: i386(myna, kind)) for kind in ('nvme', 'ahci', 'lsi', 'lsi53c810', 'ide', 'virtio-blk', 'virtio-scsi', 'usb-storage')}
TESTS |= {f'{kind}-power-cut': (lambda myna, kind=kind: power_cut(myna, kind)) for kind in CONTROLLERS}
TESTS |= {f'{kind}-boots': (lambda myna, kind=kind: boots(myna, kind)) for kind in ('nvme', 'ahci', 'lsi', 'virtio-scsi')}
TESTS |= {f'{kind}-hotplug': (lambda myna, kind=kind: hotplug(myna, kind)) for kind in ('nvme', 'nvme-ns', 'virtio-scsi')}

if __name__ == '__main__':
    machine.main(TESTS)
