#!/usr/bin/env python3
"""KVM inside a guest: a Debian kernel with kvm_amd under our translator's SVM, and in it virtual machines.

Usage: nested.py MYNA [test...]

$MYNA_NESTED_IN names another emulator with SVM for the outer machine (qemu-system-x86_64), which tells whose a failure is.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import firmware
import initramfs
import linux
import machine

OUTER_MODULES = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4', 'kvm_amd']
INNER_MODULES = ['virtio_pci', 'virtio_blk', 'ata_piix', 'sd_mod', 'virtio_net', 'e1000']
PATIENCE = 10  # the inner kernel runs two virtualizations below the host
ROMS = ['bios-256k.bin', 'bios.bin', 'vgabios-stdvga.bin', 'kvmvapic.bin', 'linuxboot_dma.bin', 'pxe-e1000.rom', 'efi-e1000.rom',
        'efi-virtio.rom', 'pxe-virtio.rom', 'multiboot_dma.bin']
ROM_FOLDERS = ['/usr/share/seabios', '/usr/share/qemu', '/usr/lib/ipxe/qemu']

# In the outer guest: its disk becomes the root in which emulators run.
OUTER = '''
[ -e /dev/kvm ] || { echo BOOT-FAIL no /dev/kvm; dmesg | grep -i kvm; }
while [ ! -e /dev/vda ]; do sleep 0.1; done
mkdir /t; mount -t ext4 /dev/vda /t || echo BOOT-FAIL disk
mount --bind /dev /t/dev; mount --bind /proc /t/proc; mount --bind /sys /t/sys; mount -t tmpfs tmp /t/tmp
ip link set lo up
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm
echo BOOT-HOST $(uname -r)
'''


def put_program(root, program, name):
    """A program of this host with its libraries, without what only debuggers read."""
    target = root / 'usr/bin' / name
    shutil.copy(os.path.realpath(program), target)
    if shutil.which('strip'):
        subprocess.run(['strip', target], check=True)
    for path, source in initramfs.libraries(program).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / path)


def put_roms(root, myna):
    folder = root / 'usr/share/seabios'  # where both emulators look
    folder.mkdir(parents=True)
    for name in ROMS:
        for source in ROM_FOLDERS:
            if os.path.exists(f'{source}/{name}'):
                shutil.copy(f'{source}/{name}', folder / name)
    for rom in pathlib.Path(myna).parents[1].glob('pc-bios/myna-*.bin'):
        shutil.copy(rom, folder)


def tree_image(folder, myna, programs, files):
    """The outer guest's disk: programs ({name: file of the host}) in /usr/bin, firmware, and files ({path: file})."""
    root, image = pathlib.Path(folder) / 'root', os.path.join(folder, 'root.img')
    for name in ('usr/bin', 'dev', 'proc', 'sys', 'tmp', 'etc'):
        (root / name).mkdir(parents=True)
    for name, program in programs.items():
        put_program(root, program, name)
    put_roms(root, myna)
    for path, source in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / path)
    with open(image, 'wb') as f:
        f.truncate(256 << 20)
    mkfs = shutil.which('mkfs.ext4', path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
    if not mkfs:
        machine.skip('mkfs.ext4 is missing (Debian package e2fsprogs)')
    subprocess.run([mkfs, '-q', '-F', '-O', '^has_journal', '-d', root, image], check=True)
    shutil.rmtree(root)
    return image


def source(name):
    return pathlib.Path(__file__).with_name(name)


def outer(folder, myna, task, emulators, files=None, smp=2, memory=1024, programs=(), append='quiet'):
    """The machine whose guest has KVM; `task` is run in it with the emulator's root at /t."""
    vmlinuz, busybox, root = linux.kernel('amd64')
    initrd = os.path.join(folder, 'outer.cpio')
    image = tree_image(folder, myna, emulators, files or {})
    initramfs.build(initrd, busybox, root, OUTER_MODULES, OUTER + task + '\necho BOOT-END\npoweroff -f\n', programs)
    binary = os.environ.get('MYNA_NESTED_IN') or firmware.system(myna)
    question = [binary, '-accel', 'tcg', '-cpu', 'max,+svm', '-display', 'none', '-monitor', 'stdio', '-S']
    if "feature 'svm' is not available" in subprocess.run(question, input='quit\n', capture_output=True, text=True, timeout=60).stderr:
        machine.skip('this translator has no SVM')
    return machine.Machine(binary, '-m', memory, '-smp', smp, '-cpu', 'max,+svm', '-kernel', vmlinuz, '-initrd', initrd, '-nic', 'none',
                           '-no-reboot', '-drive', f'if=none,id=root,file={image},format=raw', '-device', 'virtio-blk-pci,drive=root',
                           # a host under load can be too late for the kernel's test of its timer
                           '-append', f'console=ttyS0 panic=-1 mitigations=off no_timer_check {append}')


def debian_qemu():
    path = shutil.which('qemu-system-x86_64')
    if not path:
        machine.skip('qemu-system-x86_64 is not installed (Debian package qemu-system-x86)')
    return path


def static_program(folder, name):
    """A C program of this folder that needs no libraries in the guest; its path."""
    program = os.path.join(folder, pathlib.Path(name).stem)
    try:
        subprocess.run(['gcc', '-O1', '-static', '-pthread', '-o', program, source(name)], check=True,
                       capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        machine.skip('gcc cannot make a static program (Debian packages gcc and libc6-dev)')
    return program


def one(myna, emulator):
    return {'emulator': emulator or firmware.system(myna)}


def seabios(myna, emulator=None, irqchip='on'):
    """A static program that uses each part of KVM's interface, then the firmware."""
    task = f'''
kvm-guest
chroot /t /usr/bin/emulator -accel kvm,kernel-irqchip={irqchip} -m 32 -display none -monitor none -nic none -nodefaults \\
    -device VGA -device isa-debugcon,iobase=0x402,chardev=fw -chardev stdio,id=fw < /dev/null
'''
    with tempfile.TemporaryDirectory() as folder, \
            outer(folder, myna, task, one(myna, emulator), programs=[static_program(folder, 'kvm-guest.c')]) as m:
        m.expect('BOOT-HOST', 60 * PATIENCE)
        if m.expect('KVM-(END|FAIL.*)', 30 * PATIENCE)[1] != 'END':
            raise machine.Failure('kvm-guest failed')
        print(re.search('KVM-RATE.*', m.text)[0])
        m.expect('No bootable device', 30 * PATIENCE)


def engine(myna):
    """The checks of engine.S on real virtualization, with each kind of interrupt controllers, with one processor and four."""
    task = '''
for chips in on split off; do for n in 1 4; do
    chroot /t /usr/bin/emulator -accel kvm,kernel-irqchip=$chips -smp $n -nodefaults -display none -monitor none -m 16 \\
        -bios /engine.bin -device isa-debug-exit,iobase=0x501 < /dev/null
    echo BOOT-STATUS $chips $n $?
done; done
'''
    with tempfile.TemporaryDirectory() as folder, \
            outer(folder, myna, task, one(myna, None), {'engine.bin': firmware.assemble(folder, source('engine.S'))}) as m:
        m.expect('BOOT-END', 90 * PATIENCE)
        results = re.findall(r'BOOT-STATUS (\w+) (\d) (\d+)', m.text)
        if bad := [f'{chips} with {n}: {status}' for chips, n, status in results if int(status) != 0x10 << 1 | 1] or len(results) != 6:
            raise machine.Failure(f'engine.S: {bad}')


def grub(myna):
    """GRUB's rescue floppy to its prompt, with a command typed."""
    task = '''
screen() { for i in $(seq 200); do echo info screen | nc -w 1 127.0.0.1 4444 | grep -E "$1" && return; sleep 0.5; done; echo BOOT-FAIL "$1"; }
keys() { for k in $*; do echo sendkey $k; sleep 0.3; done | nc -w 1 127.0.0.1 4444 > /dev/null; }
chroot /t /usr/bin/emulator -accel kvm -m 64 -display none -monitor tcp:127.0.0.1:4444,server=on,wait=off -nic none -fda /floppy -boot a &
sleep 1
screen "GNU GRUB"; keys c; screen "grub>"; keys e c h o spc h e l l o ret; screen "^hello" && echo BOOT-GRUB
kill $!; wait
'''
    with tempfile.TemporaryDirectory() as folder, \
            outer(folder, myna, task, one(myna, None), {'floppy': firmware.grub_folder() / 'grub-rescue-floppy.img'}) as m:
        m.expect('BOOT-END', 120 * PATIENCE)
        m.expect('BOOT-GRUB', 0.1)


# What the inner guest does with its two processors, two disks and its network; it is asked for a word at its shell.
INNER = '''
echo INNER-CPUS $(nproc)
dmesg | grep -iE "kvm|hypervisor|clocksource: Switched" | sed "s/^/INNER-LOG /"
while [ ! -e /dev/vda ] || [ ! -e /dev/sda ]; do sleep 0.1; done
for d in vda sda; do
    dd if=/dev/urandom of=/tmp/$d bs=64k count=64 2>/dev/null
    dd if=/tmp/$d of=/dev/$d bs=64k 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches
    [ "$(dd if=/dev/$d bs=64k count=64 2>/dev/null | md5sum)" = "$(md5sum < /tmp/$d)" ] || echo INNER-FAIL $d
    echo INNER-SUM $d $(md5sum < /tmp/$d | cut -c1-32)
done
for i in 0 1; do
    ifconfig eth$i up && udhcpc -i eth$i -n -q -s /etc/dhcp || echo INNER-FAIL dhcp
    wget -q -O /tmp/got http://10.0.2.2:8000/vmlinuz || echo INNER-FAIL wget
    echo INNER-GOT $(md5sum < /tmp/got | cut -c1-32)
    ifconfig eth$i 0.0.0.0 down
done
(i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; echo INNER-COUNT $i) & (i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done); wait
echo INNER-SHELL; read word; echo INNER-READ $word
poweroff -f
'''


def inner_linux(myna, emulator=None, irqchip='on', append=''):
    vmlinuz, busybox, root = linux.kernel('amd64')
    trace = '' if emulator else '-D /tmp/log -trace kvm_irqfd'
    with tempfile.TemporaryDirectory() as folder:
        inner = os.path.join(folder, 'inner.cpio')
        initramfs.build(inner, busybox, root, INNER_MODULES, INNER)
        task = f'''
cd /t; busybox httpd -p 8000 -h /t
dd if=/dev/zero of=/t/tmp/a bs=1M count=8 2>/dev/null; dd if=/dev/zero of=/t/tmp/b bs=1M count=8 2>/dev/null
echo BOOT-VMLINUZ $(md5sum < /t/vmlinuz | cut -c1-32)
chroot /t /usr/bin/emulator -accel kvm,kernel-irqchip={irqchip} -cpu host -smp 2 -m 256 -display none -monitor none -serial stdio -no-reboot \\
    -kernel /vmlinuz -initrd /initrd -append "console=ttyS0 panic=-1 {append}" -object iothread,id=io \\
    -drive if=none,id=a,file=/tmp/a,format=raw -device virtio-blk-pci,drive=a,iothread=io -drive if=ide,index=0,file=/tmp/b,format=raw \\
    -netdev user,id=n0 -device virtio-net-pci,netdev=n0,romfile= -netdev user,id=n1 -device e1000,netdev=n1,romfile= {trace}
echo BOOT-STATUS $?
[ -z "{trace}" ] || echo BOOT-WIRES $(grep -c "kvm_irqfd.*fee" /t/tmp/log)
for d in a b; do echo BOOT-WROTE $d $(dd if=/t/tmp/$d bs=64k count=64 2>/dev/null | md5sum | cut -c1-32); done
'''
        with outer(folder, myna, task, one(myna, emulator), {'vmlinuz': vmlinuz, 'initrd': inner}) as m:
            m.expect('BOOT-HOST', 60 * PATIENCE)
            original = m.expect(r'BOOT-VMLINUZ (\w{32})', 60)[1]
            if m.expect(r'INNER-CPUS (\d+)\s', 90 * PATIENCE)[1] != '2':
                raise machine.Failure('the inner guest has not two processors')
            sums = [m.expect(rf'INNER-SUM {d} (\w{{32}})', 30 * PATIENCE)[1] for d in ('vda', 'sda')]
            m.expect(rf'(?s)(INNER-GOT {original}.*){{2}}', 30 * PATIENCE)
            m.expect('INNER-SHELL', 30 * PATIENCE)
            m.send('typed\n')
            m.expect('INNER-READ typed', 3 * PATIENCE)
            m.expect('BOOT-STATUS 0', 10 * PATIENCE)
            wrote = [m.expect(rf'BOOT-WROTE {d} (\w{{32}})', 60)[1] for d in ('a', 'b')]
            m.expect('BOOT-END', 10 * PATIENCE)
            wires = re.search(r'BOOT-WIRES (\d+)', m.text)
            if wires and (int(wires[1]) > 0) != (irqchip != 'off'):
                raise machine.Failure(f'the I/O thread had {wires[1]} wires into the kernel')
            if wrote != sums:
                raise machine.Failure(f'on disk is {wrote}, not {sums}')
            if bad := re.search('(INNER|BOOT)-FAIL.*', m.text):
                raise machine.Failure(bad[0])


# Computes, reads a disk and talks to the network over and over until a word is typed, and says how often.
SWITCHED = '''
while [ ! -e /dev/vda ]; do sleep 0.1; done
ifconfig eth0 up && udhcpc -i eth0 -n -q -s /etc/dhcp || echo INNER-FAIL dhcp
dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null; dd if=/tmp/data of=/dev/vda bs=64k 2>/dev/null; sync
sum=$(md5sum < /tmp/data)
(read word < /dev/console; touch /tmp/enough) &
(i=0; while [ ! -e /tmp/enough ]; do i=$((i + 1)); [ $((i * 7 / 7)) = $i ] || echo INNER-FAIL sum; done; echo INNER-SUMS $i) &
echo ready | nc 10.0.2.2 5555
echo INNER-READY
n=0
while [ ! -e /tmp/enough ]; do
    echo 3 > /proc/sys/vm/drop_caches
    [ "$(dd if=/dev/vda bs=64k count=16 2>/dev/null | md5sum)" = "$sum" ] || echo INNER-FAIL disk
    ping -c 1 -W 20 10.0.2.2 > /dev/null || echo INNER-FAIL ping
    n=$((n + 1))
done
wait
dmesg | grep -E "lockup|stall|BUG|Call Trace" | sed "s/^/INNER-FAIL /"
echo INNER-ROUNDS $n
poweroff -f
'''
SWITCHES = 100


def switch(myna):
    """A guest that computes, with a disk and a network, changes between translator and KVM a hundred times."""
    vmlinuz, busybox, root = linux.kernel('amd64')
    with tempfile.TemporaryDirectory() as folder:
        inner = os.path.join(folder, 'inner.cpio')
        initramfs.build(inner, busybox, root, ['virtio_pci', 'virtio_blk', 'virtio_net'], SWITCHED)
        task = f'''
dd if=/dev/zero of=/t/tmp/a bs=1M count=8 2>/dev/null
(nc -l -p 5555
i=0; while [ $i -lt {SWITCHES // 2} ]; do
    for engine in tcg kvm; do echo accel_switch $engine; sleep 0.5; done; i=$((i + 1))
done | nc 127.0.0.1 4444 | sed "s/^/MONITOR /"
echo BOOT-SWITCHED) &
chroot /t /usr/bin/emulator -accel kvm -cpu qemu64 -smp 2 -m 256 -display none -monitor tcp:127.0.0.1:4444,server=on,wait=off \\
    -serial stdio -no-reboot -kernel /vmlinuz -initrd /initrd -append "console=ttyS0 panic=-1 quiet" \\
    -drive if=none,id=a,file=/tmp/a,format=raw -device virtio-blk-pci,drive=a \\
    -netdev user,id=n0 -device virtio-net-pci,netdev=n0,romfile=
echo BOOT-STATUS $?
'''
        with outer(folder, myna, task, one(myna, None), {'vmlinuz': vmlinuz, 'initrd': inner}) as m:
            m.expect('INNER-READY', 150 * PATIENCE)
            m.expect('BOOT-SWITCHED', 60 * PATIENCE)
            m.send('enough\n')
            rounds, sums = (int(m.expect(rf'INNER-{what} (\d+)\s', 30 * PATIENCE)[1]) for what in ('ROUNDS', 'SUMS'))
            m.expect('BOOT-STATUS 0', 10 * PATIENCE)
            if bad := re.search('(INNER|BOOT)-FAIL.*|MONITOR.*(error|cannot|does not).*', m.text):
                raise machine.Failure(bad[0])
            print(f'{SWITCHES} switches, {rounds} rounds of disk and network, {sums} sums')


TESTS = {
    'seabios': seabios,
    'seabios-split': lambda myna: seabios(myna, irqchip='split'),
    'seabios-off': lambda myna: seabios(myna, irqchip='off'),
    'seabios-qemu': lambda myna: seabios(myna, debian_qemu()),
    'engine': engine,
    'grub': grub,
    'linux': inner_linux,
    'linux-split': lambda myna: inner_linux(myna, irqchip='split'),
    'linux-off': lambda myna: inner_linux(myna, irqchip='off'),
    'switch': switch,
    'linux-qemu': lambda myna: inner_linux(myna, debian_qemu()),
}

if __name__ == '__main__':
    machine.main(TESTS)
