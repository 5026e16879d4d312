#!/usr/bin/env python3
"""UEFI firmware (Debian's ovmf) in flash: its shell, GRUB and Debian's kernel from disks of each kind, variables.

Usage: uefi.py MYNA [test...]
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

OVMF = pathlib.Path('/usr/share/OVMF')
ESP_START, ESP_SIZE = 1 << 20, 40 << 20
ESP_TYPE = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B'


def run(*command):
    try:
        subprocess.run([str(c) for c in command], check=True, capture_output=True)
    except FileNotFoundError:
        machine.skip(f'{command[0]} is missing (Debian packages mtools, fdisk)')


def flash(folder, code='OVMF_CODE_4M.fd', template='OVMF_VARS_4M.fd'):
    """Arguments for the firmware's two chips; the variables are a copy in the folder, made once."""
    if not (OVMF / code).exists():
        machine.skip('no UEFI firmware (Debian package ovmf)')
    variables = os.path.join(folder, 'vars.fd')
    if not os.path.exists(variables):
        shutil.copyfile(OVMF / template, variables)
    return ['-drive', f'if=pflash,format=raw,unit=0,readonly=on,file={OVMF}/{code}',
            '-drive', f'if=pflash,format=raw,unit=1,file={variables}']


def system(myna, folder, *args):
    return machine.Machine(firmware.system(myna), *flash(folder), '-m', 384, '-nic', 'none', *args)


def secure_system(myna, folder, *args, variables='OVMF_VARS_4M.fd'):
    """The firmware for secure boot: its variables are kept in system management mode."""
    return machine.Machine(firmware.system(myna), *flash(folder, 'OVMF_CODE_4M.secboot.fd', variables), '-accel', 'tcg', '-M',
                           'q35,smm=on', '-m', 384, '-nic', 'none', *args)


def make_esp(folder, task, script, modules=()):
    """A disk with a GPT and an EFI system partition: the kernel, an initial RAM disk, and what {path: content} adds."""
    vmlinuz, busybox, root = linux.kernel('amd64')
    disk, initrd = os.path.join(folder, 'disk.img'), os.path.join(folder, 'initrd')
    initramfs.build(initrd, busybox, root, modules, task)
    with open(disk, 'wb') as f:
        f.truncate(ESP_START + ESP_SIZE + (1 << 20))
    try:
        subprocess.run(['/sbin/sfdisk', '-q', disk], check=True, text=True, capture_output=True,
                       input=f'label: gpt\nstart={ESP_START // 512}, size={ESP_SIZE // 512}, type={ESP_TYPE}\n')
    except FileNotFoundError:
        machine.skip('sfdisk is missing (Debian package fdisk)')
    esp = f'{disk}@@{ESP_START}'
    run('mformat', '-i', esp, '-T', ESP_SIZE // 512, '-h', 16, '-s', 63, '-v', 'ESP', '::')
    files = {'vmlinuz.efi': vmlinuz, 'initrd': initrd, **script}
    folders = {str(parent) for path in files for parent in pathlib.PurePath(path).parents} - {'.'}
    for name in sorted(folders):
        run('mmd', '-i', esp, f'::{name}')
    for path, source in files.items():
        if isinstance(source, str) and '\n' in source:
            text, source = source, os.path.join(folder, 'text')
            pathlib.Path(source).write_text(text)
        run('mcopy', '-i', esp, source, f'::{path}')
    return disk


def grub_disk(folder, task, modules=(), said='GRUB-HERE'):
    grub = machine.guest('grub-efi') / 'usr/lib/grub/x86_64-efi/monolithic/grubx64.efi'
    return make_esp(folder, task, {
        'EFI/BOOT/BOOTX64.EFI': grub,
        'EFI/debian/grub.cfg': f'serial\nterminal_output console serial\necho {said}\n'
                               'linux /vmlinuz.efi console=ttyS0 panic=-1\ninitrd /initrd\nboot\n'}, modules)


def stub_disk(folder, task):
    """The kernel as an UEFI program, started by the shell's script."""
    return make_esp(folder, task, {'startup.nsh': 'fs0:\nvmlinuz.efi initrd=\\initrd console=ttyS0 panic=-1\n'})


TASK = '''
[ -d /sys/firmware/efi ] && echo BOOT-EFI $(cat /sys/firmware/efi/fw_platform_size)
dmesg | grep -E "efi: EFI v|ACPI: RSDP|DMI:" | sed "s/^/BOOT-TOLD /"
echo BOOT-END
poweroff -f
'''


def finish(m):
    m.expect('BOOT-UP x86_64', 300)
    m.expect('BOOT-EFI 64', 30)
    m.expect('BOOT-TOLD.*efi: EFI v2', 10)
    m.expect('BOOT-TOLD.*ACPI: RSDP', 10)
    m.expect('BOOT-END', 30)
    m.wait_exit(30)


def cpu_seconds(m):
    """What the process has used; for docs/performance.md."""
    fields = pathlib.Path(f'/proc/{m.process.pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def disk(myna, *devices):
    with tempfile.TemporaryDirectory() as folder:
        image = grub_disk(folder, TASK)
        with system(myna, folder, *[str(d).replace('IMAGE', f'format=raw,snapshot=on,file={image}') for d in devices]) as m:
            m.expect('GRUB-HERE', 300)
            to_grub = cpu_seconds(m)
            m.expect('BOOT-END', 600)
            print(f'CPU seconds: {to_grub:.1f} to GRUB, {cpu_seconds(m):.1f} to the end')
            finish(m)


def stub(myna):
    with tempfile.TemporaryDirectory() as folder:
        image = stub_disk(folder, TASK)
        with system(myna, folder, '-drive', f'format=raw,snapshot=on,file={image}') as m:
            m.expect('EFI stub: ', 300)
            finish(m)


def bios(myna):
    """The firmware in one piece as ROM: variables are lost, the rest works."""
    path = '/usr/share/ovmf/OVMF.fd'
    if not os.path.exists(path):
        machine.skip('no UEFI firmware (Debian package ovmf)')
    with machine.Machine(firmware.system(myna), '-bios', 'OVMF.fd', '-m', 256, '-nic', 'none') as m:
        m.expect('Shell> ', 200)


def shell(myna):
    """The shell on the screen and by keyboard; memory and devices as it lists them."""
    with tempfile.TemporaryDirectory() as folder:
        with system(myna, folder, '-debugcon', f'file:{folder}/debug', '-global', 'isa-debugcon.iobase=0x402') as m:
            m.expect('Shell> ', 200)
            firmware.wait_picture(m, "the shell's prompt", lambda p: p[:2] == (1280, 800) and
                                  firmware.has_colour(p, (255, 255, 0), 0.0002), 30)
            m.type('echo myna says hello\n')
            m.expect(r'(?<!echo )myna says hello', 20)
            m.type('reset -s\n')
            m.wait_exit(30)


def secboot(myna):
    """The shell of the firmware for secure boot, on two processors that both entered system management mode."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, 'log')
        with secure_system(myna, folder, '-smp', 2, '-d', 'int', '-D', log) as m:
            m.expect('Shell> ', 300)
            m.send('echo myna says hello\r')
            m.expect(r'(?<!echo )myna says hello', 20)
            m.send('reset -s\r')
            m.wait_exit(30)
        smis = re.findall(r'cpu (\d): SMI', pathlib.Path(log).read_text())
        if set(smis) != {'0', '1'} or len(smis) < 100:
            raise machine.Failure(f'{len(smis)} SMIs, of processors {sorted(set(smis))}')


def refused(myna):
    """With Microsoft's keys in its variables the firmware starts no GRUB that nobody signed."""
    with tempfile.TemporaryDirectory() as folder:
        image = grub_disk(folder, TASK)
        with secure_system(myna, folder, '-drive', f'format=raw,snapshot=on,file={image}', variables='OVMF_VARS_4M.ms.fd') as m:
            if m.expect('(Access Denied|Security Violation|GRUB-HERE)', 300)[1] == 'GRUB-HERE':
                raise machine.Failure('an unsigned program was started')


def variables(myna, system=system):
    """A variable that Linux sets through the firmware's run-time services is there at the next start."""
    name = '/vars/MynaTest-12345678-1234-1234-1234-123456789abc'
    task = f'''
mkdir -p /vars; mount -t efivarfs efivarfs /vars || echo BOOT-FAIL efivarfs
if [ -e {name} ]; then
    echo BOOT-KEPT $(busybox tail -c +5 {name})
else
    busybox printf '\\007\\000\\000\\000remembered' > {name} && echo BOOT-WRITTEN
    for i in 1 2 3 4 5 6 7 8 9; do
        busybox printf "\\007\\000\\000\\000%01000d" $i > /vars/Fill$i-12345678-1234-1234-1234-123456789abc || echo BOOT-FAIL $i
    done
fi
echo BOOT-END
poweroff -f
'''
    with tempfile.TemporaryDirectory() as folder:
        image = grub_disk(folder, task, ['efivarfs'])
        for expected in ('BOOT-WRITTEN', 'BOOT-KEPT remembered'):
            with system(myna, folder, '-drive', f'format=raw,file={image}') as m:
                m.expect(expected, 300)
                m.expect('BOOT-END', 60)
                m.wait_exit(30)
                if 'BOOT-FAIL' in m.text:
                    raise machine.Failure('a variable could not be written')


def installer(myna):
    """Debian's installer from its CD: GRUB's graphical menu, a choice by keyboard, and the kernel starts."""
    with tempfile.TemporaryDirectory() as folder:
        iso = os.path.join(folder, 'mini.iso')
        subprocess.run([str(machine.TOP / 'scripts/make-mini-iso'), 'amd64', 'text', iso], check=True, capture_output=True)
        with system(myna, folder, '-m', 1024, '-cdrom', iso) as m:
            m.connect()
            firmware.wait_picture(m, "GRUB's menu", lambda p: p[:2] == (800, 600) and firmware.colours(p)[0] > 500, 200)
            m.keys('ret')
            firmware.wait_picture(m, "the kernel's driver of the screen", lambda p: p[:2] == (1024, 768), 400)


def order(myna):
    """bootindex= chooses among disks; the firmware would have taken the other."""
    for kind in ('nvme,serial=1', 'virtio-blk-pci', 'scsi-hd,bus=scsi.0'):  # OVMF has no names for USB
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, 'other'))
            wanted = grub_disk(folder, TASK, said='GRUB-WANTED')
            other = grub_disk(os.path.join(folder, 'other'), TASK, said='GRUB-OTHER')
            with system(myna, folder, '-device', 'virtio-scsi-pci,id=scsi', '-drive', f'format=raw,snapshot=on,file={other}',
                        '-drive', f'if=none,id=d,format=raw,snapshot=on,file={wanted}',
                        '-device', f'{kind},drive=d,bootindex=0') as m:
                if m.expect('GRUB-(WANTED|OTHER)', 300)[1] != 'WANTED':
                    raise machine.Failure(f'{kind} was not taken first')


def direct(myna):
    """-kernel and -initrd: the firmware starts them, without a disk."""
    vmlinuz, busybox, root = linux.kernel('amd64')
    with tempfile.TemporaryDirectory() as folder:
        initrd = os.path.join(folder, 'initrd')
        initramfs.build(initrd, busybox, root, [], TASK)
        with system(myna, folder, '-kernel', vmlinuz, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1') as m:
            finish(m)


USB = ['-drive', 'if=none,id=u,IMAGE', '-device', 'usb-storage,bus=usb.0,drive=u,removable=on']
TESTS = {
    'shell': shell,
    'bios': bios,
    'stub': stub,
    'variables': variables,
    'secboot': secboot,
    'secboot-refused': refused,
    'secboot-variables': lambda myna: variables(myna, secure_system),
    'installer': installer,
    'order': order,
    'direct': direct,
    'ide': lambda myna: disk(myna, '-drive', 'IMAGE'),
    'ahci': lambda myna: disk(myna, '-device', 'ich9-ahci,id=sata', '-drive', 'if=none,id=d,IMAGE',
                              '-device', 'ide-hd,bus=sata.0,drive=d'),
    'virtio-blk': lambda myna: disk(myna, '-drive', 'if=virtio,IMAGE'),
    'virtio-scsi': lambda myna: disk(myna, '-device', 'virtio-scsi-pci,id=s', '-drive', 'if=none,id=d,IMAGE',
                                     '-device', 'scsi-hd,bus=s.0,drive=d'),
    'nvme': lambda myna: disk(myna, '-drive', 'if=none,id=d,IMAGE', '-device', 'nvme,serial=1,drive=d'),
    'usb-uhci': lambda myna: disk(myna, '-device', 'piix3-usb-uhci,id=usb', *USB),
    'usb-ehci': lambda myna: disk(myna, '-device', 'usb-ehci,id=usb', *USB),
    'usb-xhci': lambda myna: disk(myna, '-device', 'qemu-xhci,id=usb', *USB),
}

if __name__ == '__main__':
    machine.main(TESTS)
