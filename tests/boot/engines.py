#!/usr/bin/env python3
"""Engines: a firmware of checks under the translator; SeaBIOS and GRUB with a command typed under KVM.

Usage: engines.py MYNA [test...]

Kernels that implement KVM by page tables, without VT or SVM, run firmware some 50 times slower: hence the patience.
"""
import os
import pathlib
import tempfile
import time

import firmware
import machine

PATIENCE = 5
GOOD = 0x10 << 1 | 1  # isa-debug-exit's status


def need_kvm():
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
    except OSError as error:
        machine.skip(f'/dev/kvm: {error.strerror}')


def checks(myna, *args):
    with tempfile.TemporaryDirectory() as folder:
        bios = firmware.assemble(folder, pathlib.Path(__file__).with_name('engine.S'))
        with machine.Machine(myna, '-nodefaults', '-m', 16, '-bios', bios, '-device', 'isa-debug-exit,iobase=0x501', *args,
                             serial=False) as m:
            status = m.wait_exit(20 * PATIENCE)
            if status != GOOD:
                raise machine.Failure(f'step {status >> 1} of engine.S failed: {m.text}')


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


def grub(myna):
    need_kvm()
    firmware.grub(myna, '-accel', 'kvm', '-m', 64, '-fda', firmware.grub_folder() / 'grub-rescue-floppy.img', '-boot', 'a',
                  patience=PATIENCE)


def switches(myna, chips):
    """A hundred changes of the engine under a guest that computes and does I/O."""
    need_kvm()
    with tempfile.TemporaryDirectory() as folder:
        bios = firmware.assemble(folder, pathlib.Path(__file__).with_name('switch.S'))
        with machine.Machine(myna, '-accel', 'tcg', '-M', f'pc,kernel-irqchip={chips}', '-cpu', 'qemu64,-pni', '-nodefaults', '-m', 16, '-bios', bios,
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
            if status != GOOD:
                raise machine.Failure(f'check {status >> 1} of switch.S failed')


TESTS = {
    'translator': checks,
    'translator-smp': lambda myna: checks(myna, '-smp', '4'),
    'seabios': lambda myna: seabios(myna, 'on'),
    'seabios-split': lambda myna: seabios(myna, 'split'),
    'seabios-off': lambda myna: seabios(myna, 'off'),
    'grub': grub,
    'switches': lambda myna: switches(myna, 'on'),
    'switches-split': lambda myna: switches(myna, 'split'),
    'switches-off': lambda myna: switches(myna, 'off'),
}

if __name__ == '__main__':
    machine.main(TESTS)
