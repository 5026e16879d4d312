#!/usr/bin/env python3
"""The pseries board: SLOF, little- and big-endian kernels, Debian's installer, disks and networks of a logical partition.

Usage: pseries.py MYNA [test...]

Debian has little-endian kernels only; the big-endian one is of scripts/make-ppc-guests.
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import initramfs
import mac
import machine

ARCH = 'ppc64el'
MODULES = {'vscsi': ['ibmvscsi', 'sd_mod'], 'virtio': ['virtio_pci', 'virtio_blk'], 'vlan': ['ibmveth'],
           'virtio-net': ['virtio_pci', 'virtio_net']}
NO_FIRMWARE = ['-machine', 'pseries,x-vof=on']
SLOF = ['-machine', 'pseries']
PATIENCE = 300  # seconds for a kernel to come up, on a busy host too


def program(myna):
    return str(pathlib.Path(myna).parent / 'myna-system-ppc64')


def need_slof():
    if not any(os.path.exists(f'{folder}/slof.bin') for folder in ('/usr/share/qemu', '/usr/share/slof')):
        machine.skip('slof.bin is not installed (Debian package qemu-system-data)')


def system(task, modules=(), files=None):
    """Debian's kernel, and an initial RAM disk with busybox that runs `task`."""
    root = machine.guest('linux-ppc64el')
    busybox = machine.guest('busybox-ppc64el') / 'bin/busybox'
    name = tempfile.NamedTemporaryFile(prefix='initramfs-', delete=False).name
    initramfs.build(name, busybox, root, modules, task, files=files)
    return machine.one(root / 'boot/vmlinux-*'), name


def boot(myna, task, way, *args, modules=(), cpu='power9', cpus=1, files=None, append='console=hvc0', restart=False, screen=False):
    """A system that runs `task`, started through SLOF or directly."""
    if way == 'slof':
        need_slof()
    kernel, initrd = system(task, modules, files)
    m = machine.Machine(program(myna), *(SLOF if way == 'slof' else NO_FIRMWARE), '-cpu', cpu, '-smp', cpus, '-m', 512,
                        *([] if screen else ['-vga', 'none']), *([] if restart else ['-no-reboot']), '-kernel', kernel,
                        '-initrd', initrd, '-append', f'{append} panic=-1', *args)
    m.initramfs = initrd
    return m


def slof(myna):
    """The firmware's prompt; Forth is typed in."""
    need_slof()
    with machine.Machine(program(myna), *SLOF, '-m', 256, '-vga', 'none', '-nic', 'none') as m:
        m.expect(r'0 > ', 200)
        m.send('d# 1234 d# 5678 * .d\r')
        m.expect('7006652', 60)
        m.send('dev /cpus/PowerPC,POWER9@0 .properties\r')
        m.expect('timebase-frequency', 60)


def shell(myna, way, cpu, cpus, radix=True):
    task = '''
echo BOOT-CPUS $(nproc)
grep -E "^(cpu|machine|MMU)" /proc/cpuinfo | sort | uniq | sed "s/^/BOOT-INFO /"
i=0; while [ $i -lt 300 ]; do i=$(expr $i + 1); true; done
echo BOOT-SUM $i
sh -c "echo BOOT-SHELL; read word; echo BOOT-READ \\$word"
poweroff -f
'''
    append = 'console=hvc0' if radix else 'console=hvc0 disable_radix'
    with boot(myna, task, way, '-nic', 'none', cpu=cpu, cpus=cpus, append=append) as m:
        m.expect('BOOT-UP ppc64le', 600)
        if int(m.expect(r'BOOT-CPUS (\d+)\n', 60)[1]) != cpus:
            raise machine.Failure('wrong number of processors')
        m.expect(r'BOOT-INFO MMU\s*: ' + ('Hash' if cpu == 'power8' or not radix else 'Radix'), 60)
        m.expect('BOOT-SUM 300', 200)
        m.expect('BOOT-SHELL', 60)
        m.send('typed\r')
        m.expect('BOOT-READ typed', 60)
        if m.wait_exit(60) != 0:
            raise machine.Failure('power off did not end with status 0')


def compat(myna):
    """A POWER9 that is told to be a POWER8."""
    task = 'grep -E "^(cpu|MMU)" /proc/cpuinfo | sed "s/^/BOOT-INFO /"\npoweroff -f\n'
    with boot(myna, task, 'kernel', '-nic', 'none', '-machine', 'max-cpu-compat=power8') as m:
        m.expect(r'BOOT-INFO cpu\s*: POWER8 \(architected\)', 600)
        m.expect(r'BOOT-INFO MMU\s*: Hash', 10)
        if m.wait_exit(60) != 0:
            raise machine.Failure('power off did not end with status 0')


def compile_kernel(folder, source):
    """A program of ours that is started as a kernel: its file."""
    compiler = 'powerpc64-linux-gnu-gcc'
    if not shutil.which(compiler):
        machine.skip(f'{compiler} is not installed (Debian package gcc-powerpc64-linux-gnu)')
    path = os.path.join(folder, 'kernel')
    subprocess.run([compiler, '-O1', '-mabi=elfv2', '-mcpu=power7', '-msoft-float', '-mno-altivec', '-mno-vsx', '-fno-pic', '-no-pie',
                    '-fno-stack-protector', '-ffreestanding', '-nostdlib', '-static', '-Wl,-Ttext=0x1000000', '-o', path,
                    pathlib.Path(__file__).with_name(source)], check=True)
    return path


def client(myna):
    """The tree that the built-in firmware shows, with so many processors that it is large."""
    cpus = 160
    with tempfile.TemporaryDirectory() as folder:
        path = compile_kernel(folder, 'client.c')
        with machine.Machine(program(myna), *NO_FIRMWARE, '-cpu', 'power9', '-smp', cpus, '-m', 256, '-vga', 'none', '-nic', 'none',
                             '-kernel', path) as m:
            m.expect(f'CLIENT processors {cpus} set 1000 done', 120)
            if m.wait_exit(60) != 0:
                raise machine.Failure('the end did not end with status 0')


def hypercalls(myna, cpu):
    """What processors ask for, from a program that is started as a kernel."""
    with tempfile.TemporaryDirectory() as folder:
        path = compile_kernel(folder, 'hcalls.c')
        with machine.Machine(program(myna), *NO_FIRMWARE, '-cpu', cpu, '-smp', 2, '-m', 256, '-vga', 'none', '-nic', 'none',
                             '-kernel', path) as m:
            m.expect('HCALLS done', 120)
            bad = re.findall(r'(\S+) BAD', m.text)
            if bad or m.text.count(' ok\n') != 14:
                raise machine.Failure(f'{bad or "some are not there"}')
            if m.wait_exit(60) != 0:
                raise machine.Failure('power off did not end with status 0')


def resize(myna):
    """The kernel asks for a larger hashed page table, and for smaller ones, while processes run."""
    task = '''
mount -t debugfs debug /sys/kernel/debug
order=/sys/kernel/debug/powerpc/hpt_order
echo BOOT-ORDER $(cat $order)
head -c 4000000 /dev/urandom > /tmp/data
before=$(md5sum < /tmp/data)
(while true; do for i in 1 2 3 4 5 6 7 8; do md5sum < /tmp/data; done | sort -u >> /tmp/sums; done) &
for n in 23 20 18 22; do echo $n > $order; sleep 1; i=0; while [ $i -lt 50 ]; do i=$(expr $i + 1); done; echo BOOT-ORDER $(cat $order); done
echo 24 > $order || echo BOOT-REFUSED
[ "$(sort -u /tmp/sums)" = "$before" ] && echo BOOT-SAME
dmesg | grep "HPT resize" | sed "s/^/BOOT-INFO /"
poweroff -f
'''
    with boot(myna, task, 'kernel', '-nic', 'none', cpu='power8', cpus=2) as m:
        m.expect(r'(?s)BOOT-ORDER 22.*BOOT-ORDER 23.*BOOT-ORDER 20.*BOOT-ORDER 18.*BOOT-ORDER 22.*BOOT-REFUSED.*BOOT-SAME', 900)
        m.expect(r'BOOT-INFO .*HPT resize to shift 23 complete', 60)
        if m.wait_exit(60) != 0:
            raise machine.Failure('power off did not end with status 0')


def refused(myna):
    """What cannot run, said in a line."""
    def line(*args):
        run = subprocess.run([program(myna), '-accel', 'tcg', '-display', 'none', '-serial', 'none', '-monitor', 'none', *map(str, args)],
                             capture_output=True, text=True, timeout=60)
        return run.returncode, run.stderr

    with tempfile.TemporaryDirectory() as folder:
        short = os.path.join(folder, 'short')
        with open(short, 'wb') as f:
            f.truncate(3072)
        for args, says in (
                (['-kernel', __file__], r'is no ELF file: the pseries board starts'),
                (['-kernel', sys.executable], r'is for another processor'),
                (['-bios', 'no-such-firmware'], r"firmware 'no-such-firmware' not found"),
                (['-initrd', short], r'-initrd needs -kernel'),
                (['-machine', 'x-vof=on'], r'needs -kernel'),
                (['-cpu', 'power99'], r"no PowerPC processor 'power99'"),
                (['-cpu', '970'], r'has POWER7 and later processors'),
                (['-m', 64], r'at least 128 MiB'),
                (['-smp', 256], r'from 1 to 255 CPUs'),
                (['-smp', '8,threads=2'], r'cores of the pseries board have one thread'),
                (['-machine', 'max-cpu-compat=power5'], r'there are power7, power8, power9 and power10'),
                (['-machine', 'ic-mode=apic'], r'there are xics, xive and dual'),
                (['-machine', 'resize-hpt=maybe'], r'there are disabled, enabled and required'),
                (['-kernel', mac.ppc_guest('vmlinux-pmac32')], r'is a Linux kernel for 32-bit processors'),
                (['-kernel', mac.ppc_guest('uImage-bamboo')], r'is no ELF file'),
                (['-device', 'spapr-pci-host-bridge,index=0'], r'index 0 is taken'),
                (['-bios', short], r"firmware '.*short' has no code at 100h"),
                (['-bios', sys.executable], r"firmware '.*' (is an ELF file|is larger than 4 MiB)"),
                (['-machine', 'cap-foo=on'], r"does not know 'cap-foo'"),
                (['-machine', 'cap-htm=on'], r'does not have transactional memory'),
                (['-machine', 'cap-cfpc=maybe'], r'there are broken, workaround, fixed'),
                (['-machine', 'cap-hpt-max-page-size=3k'], r'not a power of two'),
                (['-initrd', '/nowhere', '-kernel', mac.ppc_guest('vmlinux-g5')], r"initrd '/nowhere' does not exist"),
                (['-cpu', 'power8', '-machine', 'ic-mode=xive'], r'needs a POWER9 processor'),
                (['-prom-env', 'auto-boot'], r'not NAME=VALUE'),
                (['-drive', f'if=pflash,format=raw,file={short}'], r'3072 bytes, not 8 KiB to 1 MiB')):
            status, text = line(*args)
            if status != 1 or not re.search(says, text) or text.count('\n') != 1:
                raise machine.Failure(f'{args}: {status}, {text}')


def told(myna):
    """What is odd but runs, said in a line each."""
    for args, says in ((['-bios', __file__], 'has no header of SLOF'), (['-machine', 'cap-vsx=off'], 'cap-vsx=off has no effect'),
                       (['-machine', 'cap-hpt-max-page-size=4k'], 'has no effect'), (['-machine', 'cap-htm=off,cap-cfpc=fixed'], None)):
        run = subprocess.run([program(myna), '-accel', 'tcg', '-S', '-display', 'none', '-serial', 'none', '-monitor', 'stdio', *args],
                             input='quit\n', capture_output=True, text=True, timeout=60)
        if run.returncode or (not re.search(says, run.stderr) if says else run.stderr):
            raise machine.Failure(f'{args}: {run.returncode}, {run.stderr}')


def big(myna, task, way, *args, cpu='power7', cpus=1):
    """The big-endian kernel with a task of its initial RAM disk."""
    if way == 'slof':
        need_slof()
    return machine.Machine(program(myna), *(SLOF if way == 'slof' else NO_FIRMWARE), '-cpu', cpu, '-smp', cpus, '-m', 512,
                           '-vga', 'none', '-kernel', mac.ppc_guest('vmlinux-g5'), '-initrd', mac.ppc_guest('initrd-ppc64.gz'),
                           '-append', f'console=hvc0 t={task}', *args)


def big_shell(myna, way, cpu, cpus, radix=True):
    """To its end; the kernel chooses its page table by what its command line says."""
    mmu = 'Hash' if cpu in ('power7', 'power8') or not radix else 'Radix'
    task = 'poweroff disable_radix=' + ('no' if radix else 'yes')
    with big(myna, task, way, '-nic', 'none', cpu=cpu, cpus=cpus) as m:
        m.expect('CORPUS-READY', PATIENCE)
        if m.text.count('\nprocessor') != cpus:
            raise machine.Failure('wrong number of processors')
        for line in (rf'cpu\s*: {cpu.upper()}', rf'MMU\s*: {mmu}', 'CORPUS-MD5 ok', 'CORPUS-FP ok', 'CORPUS-PIPE ok'):
            m.expect(line, 5)
        mac.finish(m)


def installer(myna, way, cpu, cpus=1):
    """Debian's installer, to its first dialog."""
    if way == 'slof':
        need_slof()
    kernel, initrd = machine.installer(ARCH)
    with machine.Machine(program(myna), *(SLOF if way == 'slof' else NO_FIRMWARE), '-cpu', cpu, '-smp', cpus, '-m', 1024, '-vga', 'none',
                         '-kernel', kernel.parent / 'vmlinux', '-initrd', initrd, '-append', 'console=hvc0', '-nic', 'none') as m:
        m.expect('Choose the language', 1600)


def disk(myna, kind):
    device = {'vscsi': '/dev/sda', 'virtio': '/dev/vda'}[kind]
    task = f'''
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b {device} ] && break; sleep 1; done
echo BOOT-FOUND $(head -c 9 {device})
dd if=/dev/urandom of=/tmp/random bs=64k count=64 2>/dev/null
dd if=/tmp/random of={device} bs=64k seek=16 2>/dev/null; sync
echo 3 > /proc/sys/vm/drop_caches
dd if={device} of=/tmp/again bs=64k skip=16 count=64 2>/dev/null
cmp /tmp/random /tmp/again && echo BOOT-SAME
echo BOOT-SUM $(md5sum < /tmp/random)
poweroff -f
'''
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'disk.img')
        with open(image, 'wb') as f:
            f.write(b'greetings')
            f.truncate(16 << 20)
        interface = {'vscsi': 'scsi', 'virtio': 'virtio'}[kind]
        with boot(myna, task, 'kernel', '-nic', 'none', '-drive', f'file={image},format=raw,if={interface}',
                  modules=MODULES[kind]) as m:
            m.expect('BOOT-FOUND greetings', 600)
            m.expect('BOOT-SAME', 120)
            expected = m.expect(r'BOOT-SUM ([0-9a-f]{32})', 60)[1]
            m.wait_exit(60)
        with open(image, 'rb') as f:
            f.seek(1 << 20)
            if hashlib.md5(f.read(4 << 20)).hexdigest() != expected:
                raise machine.Failure('the image has something else')


def net(myna, kind):
    """An address from the user network's DHCP, then a ping of its gateway."""
    task = '''
ifconfig eth0 up
udhcpc -i eth0 -s /etc/dhcp -n -q -t 10
ping -c 3 10.0.2.2 && echo BOOT-PING
poweroff -f
'''
    model = {'vlan': 'spapr-vlan', 'virtio': 'virtio-net-pci'}[kind]
    modules = MODULES[{'vlan': 'vlan', 'virtio': 'virtio-net'}[kind]] + ['af_packet']
    with boot(myna, task, 'kernel', '-nic', f'user,model={model}', modules=modules) as m:
        m.expect(r'BOOT-DHCP 10\.0\.2\.15', 600)
        m.expect('BOOT-PING', 120)
        m.wait_exit(60)


TESTS = {
    'slof': slof,
    'refused': refused,
    'told': told,
    'compat': compat,
    'client': client,
    'hypercalls-power8': lambda myna: hypercalls(myna, 'power8'),
    'hypercalls-power10': lambda myna: hypercalls(myna, 'power10'),
    'resize': resize,
    'disk-vscsi': lambda myna: disk(myna, 'vscsi'),
    'disk-virtio': lambda myna: disk(myna, 'virtio'),
    'net-vlan': lambda myna: net(myna, 'vlan'),
    'net-virtio': lambda myna: net(myna, 'virtio'),
}
for way_ in ('kernel', 'slof'):
    for cpu_ in ('power8', 'power9', 'power10'):
        TESTS[f'installer-{way_}-{cpu_}'] = lambda myna, way=way_, cpu=cpu_: installer(myna, way, cpu)
        TESTS[f'installer-{way_}-{cpu_}-4'] = lambda myna, way=way_, cpu=cpu_: installer(myna, way, cpu, 4)
        for cpus_ in (1, 4):
            TESTS[f'{way_}-{cpu_}-{cpus_}'] = lambda myna, way=way_, cpu=cpu_, cpus=cpus_: shell(myna, way, cpu, cpus)
            TESTS[f'{way_}-{cpu_}-{cpus_}-hash'] = lambda myna, way=way_, cpu=cpu_, cpus=cpus_: shell(myna, way, cpu, cpus, radix=False)

    for cpu_ in ('power7', 'power8', 'power9', 'power10'):
        for cpus_ in (1, 4):
            TESTS[f'big-{way_}-{cpu_}-{cpus_}'] = lambda myna, way=way_, cpu=cpu_, cpus=cpus_: big_shell(myna, way, cpu, cpus)
            TESTS[f'big-{way_}-{cpu_}-{cpus_}-hash'] = lambda myna, way=way_, cpu=cpu_, cpus=cpus_: big_shell(myna, way, cpu, cpus, radix=False)

if __name__ == '__main__':
    machine.main(TESTS)
