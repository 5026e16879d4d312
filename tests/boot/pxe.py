#!/usr/bin/env python3
"""Booting from the network: the cards' option ROMs, DHCP, TFTP, and on into a kernel.

Usage: pxe.py MYNA [test...]
"""
import pathlib
import tempfile

import initramfs
import linux
import machine

# The cards and the ROMs of Debian's package ipxe-qemu that they look for.
CARDS = {
    'e1000': 'efi-e1000.rom',
    'e1000e': 'efi-e1000e.rom',
    'vmxnet3': 'efi-vmxnet3.rom',
    'rtl8139': 'efi-rtl8139.rom',
    'ne2k_pci': 'efi-ne2k_pci.rom',
    'i82559er': 'efi-eepro100.rom',
    'pcnet': 'efi-pcnet.rom',
    'virtio-net-pci': 'efi-virtio.rom',
}
WAIT = 200


def start(myna, card, folder, bootfile, *args):
    if not pathlib.Path('/usr/lib/ipxe/qemu', CARDS[card]).exists():
        machine.skip(f'{CARDS[card]} is missing (Debian package ipxe-qemu)')
    return machine.Machine(myna, '-m', 384, '-boot', 'n', '-no-reboot', *args,
                           '-nic', f'user,model={card},tftp={folder},bootfile={bootfile}')


def banner(myna, card):
    """iPXE starts from the card's ROM, gets an address, and a script by TFTP."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, 'hello.ipxe').write_text(
            '#!ipxe\necho PXE-REACHED ${net0/ip} ${net0/mac} by ${net0/chip}\nprompt Press any key\n')
        with start(myna, card, folder, 'hello.ipxe') as m:
            m.wait_screen('iPXE', WAIT)
            text = m.wait_screen('PXE-REACHED [0-9.]+', WAIT)
            print([line for line in text.splitlines() if 'PXE-REACHED' in line][0].strip())
            if 'PXE-REACHED 10.0.2.15 52:54:00:12:34:56' not in text:
                raise machine.Failure(f'not the expected address:\n{text}')


def kernel(myna, card):
    """... and the script loads Linux and its initial RAM disk, which run."""
    vmlinuz, busybox, root = linux.kernel('amd64')
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        path.joinpath('vmlinuz').write_bytes(vmlinuz.read_bytes() if isinstance(vmlinuz, pathlib.Path)
                                             else pathlib.Path(vmlinuz).read_bytes())
        initramfs.build(path / 'initrd', busybox, root, [], 'cat /proc/cmdline\necho BOOT-END\npoweroff -f\n')
        path.joinpath('linux.ipxe').write_text(
            '#!ipxe\nkernel tftp://10.0.2.2/vmlinuz initrd=initrd console=ttyS0 panic=-1 quiet loaded=by-${net0/ip}\n'
            'initrd tftp://10.0.2.2/initrd\nboot\n')
        with start(myna, card, folder, 'linux.ipxe') as m:
            m.expect('loaded=by-10.0.2.15', WAIT)
            m.expect('BOOT-END', WAIT)
            m.wait_exit(WAIT)


TESTS = {card: lambda myna, card=card: banner(myna, card) for card in CARDS}
TESTS |= {f'kernel-{card}': lambda myna, card=card: kernel(myna, card) for card in CARDS}

if __name__ == '__main__':
    machine.main(TESTS)
