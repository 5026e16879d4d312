#!/usr/bin/env python3
"""Engines: a firmware of checks under the translator; SeaBIOS and GRUB with a command typed under KVM.

Usage: engines.py MYNA [test...]

Kernels that implement KVM by page tables, without VT or SVM, run firmware some 50 times slower: hence the patience.
"""
import os
import pathlib
import subprocess
import tempfile
import time

import firmware
import machine

PATIENCE = 5
GOOD = 0x10 << 1 | 1  # isa-debug-exit's status
NO_PAGING = 0x11 << 1 | 1


def need_kvm():
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
    except OSError as error:
        machine.skip(f'/dev/kvm: {error.strerror}')


def checks(myna, *args, good=(GOOD,)):
    with tempfile.TemporaryDirectory() as folder:
        bios = firmware.assemble(folder, pathlib.Path(__file__).with_name('engine.S'))
        with machine.Machine(myna, '-nodefaults', '-m', 16, '-bios', bios, '-device', 'isa-debug-exit,iobase=0x501', *args,
                             serial=False) as m:
            status = m.wait_exit(30 * PATIENCE)
            if status not in good:
                raise machine.Failure(f'step {status >> 1} of engine.S failed: {m.text}')


def kvm_checks(myna, chips, cpus):
    """KVM by page tables has paging in long mode only."""
    need_kvm()
    flags = pathlib.Path('/proc/cpuinfo').read_text().split()
    real = 'vmx' in flags or 'svm' in flags
    checks(myna, '-accel', f'kvm,kernel-irqchip={chips}', '-smp', cpus, good=(GOOD,) if real else (GOOD, NO_PAGING))


def seabios(myna, chips):
    need_kvm()
    with machine.Machine(myna, '-accel', f'kvm,kernel-irqchip={chips}', '-m', 64, '-nic', 'none', '-device', 'isa-debugcon,iobase=0x402,chardev=fw',
                         '-chardev', 'file,id=fw,path=/dev/stdout', serial=False) as m:
        m.wait_screen('No bootable device', 60 * PATIENCE)
        # registers and memory as a debugger sees them while the vCPU is paused and goes on
        for _ in range(20):
            m.command('stop')
            if 'EIP=' not in m.command('human-monitor-command', **{'command-line': 'info registers'}):
                raise machine.Failure('no registers')
            m.command('cont')


def rescue_disk(folder):
    """A disk with the least of GRUB: its boot sector, and a core of one command, which unpacks in seconds rather than minutes."""
    modules, tools = (machine.guest(name) / path for name, path in (('grub-pc', 'usr/lib/grub/i386-pc'), ('grub-common', 'usr/bin')))
    core, disk = os.path.join(folder, 'core.img'), pathlib.Path(folder) / 'disk'
    try:
        subprocess.run([tools / 'grub-mkimage', '-O', 'i386-pc', '-d', modules, '-p', '(memdisk)', '-o', core, 'echo'], check=True)
    except (OSError, subprocess.CalledProcessError):
        machine.skip("grub-mkimage does not run here (Debian's grub-common wants libdevmapper1.02.1)")
    disk.write_bytes((modules / 'boot.img').read_bytes() + pathlib.Path(core).read_bytes())
    os.truncate(disk, 1 << 20)
    return disk


def grub(myna):
    """GRUB to its rescue prompt, with a command typed.

    Under KVM by page tables no interrupt of the kernel's 8259s arrives in real mode, for any emulator; ours do.
    """
    need_kvm()
    with tempfile.TemporaryDirectory() as folder:
        with machine.Machine(myna, '-accel', 'kvm,kernel-irqchip=off', '-m', 32, '-nodefaults', '-device', 'VGA',
                             '-drive', f'if=ide,format=raw,file={rescue_disk(folder)}', serial=False) as m:
            m.wait_screen('grub rescue>', 120 * PATIENCE)
            m.type('echo myna says hello\n')
            m.wait_screen(r'(?m)^\s*myna says hello', 20 * PATIENCE)


def switches(myna, chips):
    """A hundred changes of the engine under a guest that computes and does I/O."""
    need_kvm()
    with tempfile.TemporaryDirectory() as folder:
        bios = firmware.assemble(folder, pathlib.Path(__file__).with_name('switch.S'))
        with machine.Machine(myna, '-accel', 'tcg', '-M', f'pc,kernel-irqchip={chips}', '-cpu', 'qemu64,-pni,-pcid,-invpcid,-tsc-deadline', '-nodefaults', '-m', 16, '-bios', bios,
                             '-device', 'isa-debug-exit,iobase=0x501') as m:
            for n in range(100):
                m.command('x-accel-switch', accel='tcg' if n % 2 else 'kvm')
                with m.changed:
                    seen = len(m.text)
                end = time.monotonic() + 30 * PATIENCE
                while not {'t', 'a'} <= set(m.text[seen:]):
                    if time.monotonic() > end or len(m.text) > seen + 2000 or m.process.poll() is not None:
                        m.text = m.text[seen:seen + 200]
                        raise machine.Failure(f'silence after switch {n}')
                    time.sleep(0.01)
            m.send('q')
            status = m.wait_exit(20 * PATIENCE)
            if 'KVM: cannot' in m.text:
                raise machine.Failure(m.text)
            if status != GOOD:
                raise machine.Failure(f'check {status >> 1} of switch.S failed')


def vectors(myna, chips):
    """A disk with an I/O thread: each request's message arrives, whether by irqfd or by way of the machine lock."""
    if chips:
        need_kvm()
    with tempfile.TemporaryDirectory() as folder:
        bios = firmware.assemble(folder, pathlib.Path(__file__).with_name('vectors.S'))
        disk, log = pathlib.Path(folder) / 'disk', pathlib.Path(folder) / 'log'
        disk.write_bytes(b'data'.ljust(1 << 20, b'\0'))
        with machine.Machine(myna, '-accel', f'kvm,kernel-irqchip={chips}' if chips else 'tcg', '-nodefaults', '-m', 16, '-bios', bios,
                             '-device', 'isa-debug-exit,iobase=0x501', '-object', 'iothread,id=io',
                             '-drive', f'if=none,id=d,format=raw,file={disk}', '-trace', 'kvm_irqfd', '-D', log,
                             '-device', 'virtio-blk-pci,drive=d,iothread=io,addr=4,disable-modern=on,queue-size=256', serial=False) as m:
            status = m.wait_exit(20 * PATIENCE)
            if status != GOOD:
                raise machine.Failure(f'step {status >> 1} of vectors.S failed: {m.text}')
        wires = log.read_text().count('to fee') if log.exists() else 0  # at first, unmasked, rewritten
        if wires != (3 if chips in ('on', 'split') else 0):
            raise machine.Failure(f'the vector was connected {wires} times')


def refused_switch(myna):
    """A processor with AMD-V stays with the translator: KVM is told nothing of a guest's guests."""
    need_kvm()
    with machine.Machine(myna, '-accel', 'tcg', '-cpu', 'qemu64,+svm,-pni,-pcid,-invpcid,-tsc-deadline', '-nodefaults', '-m', 16, serial=False) as m:
        said = m.command('human-monitor-command', **{'command-line': 'accel_switch kvm'})
        if "KVM here lacks what the guest's CPU has: svm" not in said or m.command('query-kvm')['enabled']:
            raise machine.Failure(said)


TESTS = {
    'translator': checks,
    'translator-smp': lambda myna: checks(myna, '-smp', '4'),
    'kvm': lambda myna: kvm_checks(myna, 'on', 1),
    'kvm-smp': lambda myna: kvm_checks(myna, 'on', 2),
    'kvm-split': lambda myna: kvm_checks(myna, 'split', 2),
    'kvm-off': lambda myna: kvm_checks(myna, 'off', 1),
    'kvm-off-smp': lambda myna: kvm_checks(myna, 'off', 2),
    'seabios': lambda myna: seabios(myna, 'on'),
    'seabios-split': lambda myna: seabios(myna, 'split'),
    'seabios-off': lambda myna: seabios(myna, 'off'),
    'grub': grub,
    'vectors': lambda myna: vectors(myna, None),
    'vectors-on': lambda myna: vectors(myna, 'on'),
    'vectors-split': lambda myna: vectors(myna, 'split'),
    'vectors-off': lambda myna: vectors(myna, 'off'),
    'refused-switch': refused_switch,
    'switches': lambda myna: switches(myna, 'on'),
    'switches-split': lambda myna: switches(myna, 'split'),
    'switches-off': lambda myna: switches(myna, 'off'),
}

if __name__ == '__main__':
    machine.main(TESTS)
