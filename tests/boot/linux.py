#!/usr/bin/env python3
"""Debian kernels with a busybox initramfs: processors, messages, disk, power.

Usage: linux.py MYNA [test...]
"""
import os
import pathlib
import re
import subprocess
import tempfile

import initramfs
import machine

ARCHES = {
    'amd64': ('linux-amd64', 'busybox-amd64', 'x86_64'),
    'i386': ('linux-686', 'busybox-i386', 'i686'),
    'i386-pae': ('linux-686-pae', 'busybox-i386', 'i686'),
}
# The end of a task: commands come by the serial line. They are not echoed, as the echo of one looks like its answer once a message of
# the kernel is in the midst of it; and no message is in the midst of an answer. QUIT shows them all.
SHELL = 'stty -echo; dmesg -n 1; echo BOOT-READY\nwhile read line; do eval "$line"; done\n'
QUIT = 'dmesg; poweroff -f\n'
DISK_MODULES = ['ata_piix', 'sd_mod', 'crc32c_generic', 'ext4']

# Warnings that this kernel prints on comparable hardware too (no KVM clock, no microcode to load, ...).
HARMLESS = re.compile(
    r'Spectre|Speculat|MDS|TAA|RETBleed|Retbleed|MMIO Stale|microcode|device-mapper|platform regulatory|'
    r'Kernel is locked|tainting kernel|module verification failed|systemd|FAT-fs|Unknown kernel command line|'
    r'Warning: Spectre|PCI: Fatal: No config space|acpi PNP0A03:00: fail to add MMCONFIG|'
    r'can.t access extended PCI|Decoding supported only on Scalable MCA|RAS: Correctable|SRBDS|ITLB|L1TF|Meltdown|'
    r'[]>](?: +#\d+)+$|APIC calibration not consistent|tsc: Unable to calibrate|Fast TSC calibration failed|BIOS may be outdated|kvm: no hardware support|hrtimer: interrupt took|hpet: Lost \d+ RTC|clocksource|atkbd serio0: Failed to|PCI: System does not support PCI')


def kernel(arch):
    package, busybox, _ = ARCHES[arch]
    root = machine.guest(package)
    return machine.one(root / 'boot/vmlinuz-*'), machine.guest(busybox) / 'bin/busybox', root


def boot(myna, arch, task, modules=(), args=(), memory=384, smp=1, append='', restart=False,
         programs=(), files=None, parameters=None):
    vmlinuz, busybox, root = kernel(arch)
    name = tempfile.NamedTemporaryFile(prefix='initramfs-', delete=False).name
    initramfs.build(name, busybox, root, modules, task, programs, files, parameters)
    binary = str(pathlib.Path(myna).parent / ('myna-system-x86_64' if arch == 'amd64' else 'myna-system-i386'))
    m = machine.Machine(binary, '-m', memory, '-smp', smp, '-kernel', vmlinuz, '-initrd', name,
                        *([] if restart else ['-no-reboot']), '-append', f'console=ttyS0 panic=-1 {append}', *args)
    m.initramfs = name
    return m


def shell(myna, arch, smp, **how):
    task = '''
echo BOOT-CPUS $(nproc)
cat /proc/cpuinfo | grep -c "^processor"
dmesg -r | grep "^<[0-4]>" | sed "s/^/BOOT-WARNING /"
i=0; while [ $i -lt 2000 ]; do i=$(expr $i + 1); true; done
echo BOOT-SUM $i
sh -c "echo BOOT-SHELL; read word; echo BOOT-READ \\$word"
echo BOOT-END
poweroff -f
'''
    with boot(myna, arch, task, smp=smp, args=['-nic', 'none'], **how) as m:
        m.expect(f'BOOT-UP {ARCHES[arch][2]}', 150)
        if int(m.expect(r'BOOT-CPUS (\d+)\n', 30)[1]) != smp:
            raise machine.Failure('wrong number of processors')
        m.expect('BOOT-SHELL', 60)
        m.send('typed\n')
        m.expect('BOOT-READ typed', 10)
        m.expect('BOOT-END', 10)
        if m.wait_exit(30) != 0:
            raise machine.Failure('power off did not end with status 0')
        bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not HARMLESS.search(line)]
        if bad:
            raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))
        return m.text


def pae(myna, smp):
    """A kernel with page tables of three levels; it uses memory above 4 GiB."""
    text = shell(myna, 'i386-pae', smp, memory=4608, append='no_timer_check')
    known = re.search(r'Memory: \d+K/(\d+)K available', text)
    if '-686-pae ' not in text or not known or int(known[1]) < 4 << 20:
        raise machine.Failure('no kernel with PAE, or not all of the memory')


MODELS = {
    'i386': ['pentium2', 'pentium3', 'athlon', 'n270', 'coreduo', 'qemu32', 'kvm32'],
    'amd64': ['default', 'qemu64', 'kvm64', 'core2duo', 'phenom', 'Conroe', 'Penryn', 'Nehalem', 'Westmere', 'SandyBridge', 'IvyBridge', 'Haswell',
              'Skylake-Client', 'EPYC', 'x86-64-v2', 'x86-64-v3', 'max'],
}


# Flags that the kernel sets or clears itself: AMD's long mode or 3DNow! bring prefetches, errata take large pages from Atoms of old
# microcode, self-snooping from the first Cores, and PAT from all before them.
CHANGED = {'athlon': {'3dnowprefetch'}, 'n270': {'pse'}, 'coreduo': {'ss', 'pat'}, 'core2duo': {'ss'},
           'pentium2': {'pat'}, 'pentium3': {'pat'}, 'qemu32': {'pat'}, 'qemu64': {'3dnowprefetch'}}


def claimed(myna, *model):
    """What CPUID says that a model has, in the kernel's words; without a model: all that there are."""
    program = pathlib.Path(myna).parent.parent / 'tests/test-x86_models'
    return set(subprocess.run([program, '--flags', *model], capture_output=True, text=True, check=True).stdout.split())


def models(myna, *names):
    """Each CPU model boots the kernel for it without a complaint, and with the flags that CPUID claims; names: only these."""
    wrong = []
    for arch, all_of_arch in MODELS.items():
        for name in [n for n in all_of_arch if not names or n in names]:
            task = "dmesg -r | grep -E '^<[0-4]>' | sed 's/^/BOOT-WARNING /'\ngrep -m1 flags /proc/cpuinfo\necho BOOT-END\npoweroff -f\n"
            with boot(myna, arch, task, args=['-nic', 'none', '-cpu', name + ',check=off'],
                      append='no_timer_check') as m:
                shown, claims = set(m.expect(r'flags\s*: (.*)\n', 300)[1].split()), claimed(myna, name)
                m.expect('BOOT-END', 60)
                bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not HARMLESS.search(line)]
                print(name, 'flags:', *sorted(shown), flush=True)
                wrong += [f'{name}: {line}' for line in bad[:5]]
                wrong += [f'{name}: no {flag} in /proc/cpuinfo' for flag in sorted(claims - shown - CHANGED.get(name, set()))]
                wrong += [f'{name}: {flag} in /proc/cpuinfo' for flag in sorted(shown & claimed(myna) - claims - CHANGED.get(name, set()))]
    if wrong:
        raise machine.Failure('kernels complain: ' + '; '.join(wrong))


def disk(myna, arch='amd64'):
    """A file system on an IDE disk: written by the guest, checked by the host's e2fsck."""
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'disk.img')
        with open(image, 'wb') as f:
            f.truncate(64 << 20)
        mkfs = subprocess.run(['/sbin/mkfs.ext4', '-q', '-F', image])
        if mkfs.returncode != 0:
            machine.skip('mkfs.ext4 is missing (Debian package e2fsprogs)')
        task = '''
mount -t ext4 /dev/sda /mnt || echo BOOT-FAIL mount
i=0; while [ $i -lt 40 ]; do dd if=/dev/urandom of=/mnt/file$i bs=64k count=4 2>/dev/null; i=$(expr $i + 1); done
mkdir /mnt/d; cp /mnt/file1 /mnt/d/copy; rm /mnt/file2
sync
echo BOOT-SUM $(md5sum /mnt/d/copy | cut -c1-32)
umount /mnt
dd if=/dev/sda of=/dev/null bs=1M 2>/dev/null && echo BOOT-READ
echo BOOT-END
reboot -f
'''
        with boot(myna, arch, task, modules=DISK_MODULES,
                  args=['-nic', 'none', '-drive', f'file={image},format=raw']) as m:
            digest = m.expect('BOOT-SUM (\\w{32})', 200)[1]
            m.expect('BOOT-READ', 60)
            m.expect('BOOT-END', 30)
            m.wait_exit(60)  # -no-reboot: the reboot ends it
        machine.check_disk(image, '/d/copy', digest, folder)


def reboot(myna):
    """A guest that restarts comes up again, through the firmware."""
    with boot(myna, 'amd64', 'echo BOOT-END\nreboot -f\n', args=['-nic', 'none'], restart=True) as m:
        m.expect(r'(?s)BOOT-END.*BOOT-UP x86_64.*BOOT-END', 200)


def compile_for(arch, folder, source, *options):
    """A program of this folder for the guest; the test is skipped where there is no compiler for it."""
    compiler = 'gcc' if arch == 'amd64' else 'i686-linux-gnu-gcc'
    program = os.path.join(folder, source.replace('.c', '-test'))
    try:
        subprocess.run([compiler, '-O1', '-o', program, pathlib.Path(__file__).parent / source, *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        machine.skip(f'{compiler} cannot make a static program')
    return program


def watch(myna, arch='amd64'):
    """The debug registers as ptrace uses them: watch.c counts traps."""
    with tempfile.TemporaryDirectory() as folder:
        program = compile_for(arch, folder, 'watch.c', '-static', '-msse2')
        with boot(myna, arch, 'watch-test\necho BOOT-END\npoweroff -f\n', args=['-nic', 'none'], programs=[program]) as m:
            m.expect('BOOT-END', 150)
            if 'WATCH-END' not in m.text or re.search('WATCH-FAIL|BOOT-FAIL', m.text):
                raise machine.Failure('debug registers do not work')
            print('\n'.join(re.findall('WATCH-OK.*', m.text)))


def avx(myna):
    """AVX2 and FMA in processes that are switched and interrupted: avx.c prints the same as on the host."""
    with tempfile.TemporaryDirectory() as folder:
        program = compile_for('amd64', folder, 'avx.c', '-O2', '-static')
        expected = subprocess.run([program], capture_output=True, text=True)
        if expected.returncode == 77:
            machine.skip('the host has no AVX2')
        task = 'avx-test\necho BOOT-END\npoweroff -f\n'
        with boot(myna, 'amd64', task, args=['-nic', 'none', '-cpu', 'max'], smp=2, programs=[program]) as m:
            m.expect('BOOT-END', 200)
            if set(re.findall('(?m)^AVX.*', m.text)) != set(expected.stdout.splitlines()):
                raise machine.Failure(f'the host prints {expected.stdout}')


def aslr(myna, arch='amd64'):
    """A program that is at another address each time it runs: aslr.c looks at what it sees of that."""
    with tempfile.TemporaryDirectory() as folder:
        program = compile_for(arch, folder, 'aslr.c', '-static-pie', '-fPIE')
        task = 'aslr-test & aslr-test\nwait\necho BOOT-END\npoweroff -f\n'
        with boot(myna, arch, task, args=['-nic', 'none'], smp=2, append='no_timer_check', programs=[program]) as m:
            m.expect('BOOT-END', 150)
            if m.text.count('ASLR-OK 40') != 2 or 'ASLR-FAIL' in m.text:
                raise machine.Failure('a program sees itself at a wrong address')


def la57(myna):
    """Five levels of page tables, two processors: programs above 47 bits of address; and four, where the kernel is told so."""
    with tempfile.TemporaryDirectory() as folder:
        program = compile_for('amd64', folder, 'la57.c', '-static')
        task = "grep -m1 -ow la57 /proc/cpuinfo\nla57-test & la57-test\nwait\necho BOOT-END\npoweroff -f\n"
        for append, levels in ('', 5), ('no5lvl', 4):
            with boot(myna, 'amd64', task, args=['-nic', 'none', '-cpu', 'Skylake-Client,la57=on'], smp=2, append=f'no_timer_check {append}',
                      programs=[program]) as m:
                m.expect('BOOT-END', 200)
                high = m.text.count('LA57-OK code runs there')
                if m.text.count('LA57-END') != 2 or 'LA57-FAIL' in m.text or high != (16 if levels == 5 else 0) or \
                        bool(re.search('(?m)^la57$', m.text)) != (levels == 5):
                    raise machine.Failure(f'{levels} levels: addresses are not what they should be')


TESTS = {
    'la57': la57,
    'aslr': aslr,
    'aslr-i386': lambda myna: aslr(myna, 'i386'),
    'avx': avx,
    'amd64-smp1': lambda myna: shell(myna, 'amd64', 1),
    'amd64-smp4': lambda myna: shell(myna, 'amd64', 4),
    'i386-smp1': lambda myna: shell(myna, 'i386', 1),
    'i386-smp4': lambda myna: shell(myna, 'i386', 4),
    'i386-pae-smp1': lambda myna: pae(myna, 1),
    'i386-pae-smp4': lambda myna: pae(myna, 4),
    'disk': disk,
    'reboot': reboot,
    'watch': watch,
    'watch-i386': lambda myna: watch(myna, 'i386'),
    'disk-i386': lambda myna: disk(myna, 'i386'),
    'models': models,
    **{f'model-{name}': (lambda myna, name=name: models(myna, name)) for names in MODELS.values() for name in names},
}

if __name__ == '__main__':
    machine.main(TESTS)
