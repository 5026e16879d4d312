#!/usr/bin/env python3
"""Macintoshes: OpenBIOS at its prompt, Linux with disk, network, keyboard and screen.

Usage: mac.py MYNA [test...]

Kernels and initial RAM disks are those of scripts/make-ppc-guests.
"""
import array
import collections
import gzip
import hashlib
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import tempfile
import time
import wave

import firmware
import grub
import initramfs
import machine

PATIENCE = 250  # seconds for a kernel to come up, on a busy host too
# A guest that switches off at once may cut what its serial port still has to send.
READY = 'CORPUS-READY|reboot: Power down'


def ppc_guest(name):
    folder = pathlib.Path(os.environ.get('MYNA_GUESTS') or
                          pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'myna-guests')
    path = folder / 'ppc' / name
    if not path.exists():
        machine.skip(f'{path} is not there (scripts/make-ppc-guests builds it)')
    return path


def need_firmware():
    if not pathlib.Path('/usr/share/qemu/openbios-ppc').exists():
        machine.skip('openbios-ppc is not installed (Debian package qemu-system-data)')


def openbios(myna, board):
    """Firmware that does sums, knows its settings, and powers off."""
    need_firmware()
    with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-prom-env', 'auto-boot?=false',
                         '-prom-env', 'boot-command=words', '-nic', 'none', '-nographic') as m:
        m.expect(r'0 > ', 240)
        m.send('2 3 * 1 + .\r')
        m.expect(r'\. 7  ok', 30)
        m.send('printenv\r')
        m.expect(r'boot-command\s+"words"', 60)
        registers = m.command('human-monitor-command', **{'command-line': 'info registers'})
        if not re.search(r'HID0 0000c000', registers):
            raise machine.Failure('caches are off, and software would not survive its first dcbz')
        m.send('power-off\r')
        if m.wait_exit(60) != 0:
            raise machine.Failure('power-off did not end with status 0')


def boot(myna, board, task, kernel='vmlinux-pmac32', initrd='initrd-ppc32.gz', arch='ppc', args=(), append=''):
    need_firmware()
    return machine.Machine(firmware.system(myna, arch), '-M', board, '-kernel', ppc_guest(kernel), '-initrd', ppc_guest(initrd),
                           '-append', f'console=ttyPZ0 t={task} {append}', *args)


def finish(m):
    m.expect('CORPUS-POWEROFF|reboot: Power down', 60)
    if m.wait_exit(60) != 0:
        raise machine.Failure('power off did not end with status 0')
    bad = re.findall(r'CORPUS-\w+ .*bad.*', m.text)
    if bad:
        raise machine.Failure('; '.join(bad))


def linux(myna, board, model, **how):
    """A kernel with hashing, floating point, a pipeline; the clock is right; power off."""
    with boot(myna, board, 'poweroff', **how) as m:
        m.expect(READY, PATIENCE)
        if not re.search(model, m.text):
            raise machine.Failure(f'no {model} in /proc/cpuinfo')
        for what in ('MD5', 'FP', 'PIPE'):
            m.expect(f'CORPUS-{what} ok', 5)
        finish(m)


def restart(myna):
    with boot(myna, 'mac99', 'reboot') as m:
        m.expect(r'(?s)CORPUS-READY.*OpenBIOS.*CORPUS-READY', 2 * PATIENCE)


def corpus_disk(path):
    """Sector 0 names it, sector 1 has the MD5 sum of the 4 MiB at 1 MiB."""
    body = random.Random(1).randbytes(4 << 20)
    with open(path, 'wb') as f:
        f.truncate(32 << 20)
        f.write(b'CORPUS-DISK')
        f.seek(512)
        f.write(hashlib.md5(body).hexdigest().encode())
        f.seek(1 << 20)
        f.write(body)


def disk(myna, board, args=(), **guest):
    """Two IDE disks by DMA: read, written, with a file system that the host's e2fsck finds clean."""
    with tempfile.TemporaryDirectory() as folder:
        images = [os.path.join(folder, name) for name in ('a.img', 'b.img')]
        for image in images:
            corpus_disk(image)
        with boot(myna, board, 'disk', args=[*args, '-drive', f'file={images[0]},format=raw', '-drive', f'file={images[1]},format=raw',
                                             '-nic', 'none'], append='quiet', **guest) as m:
            m.expect(r'CORPUS-DISKS-DONE 2', PATIENCE + 120)
            for what in ('READ', 'WRITE', 'EXT2'):
                for name in ('sda', 'sdb'):
                    m.expect(f'CORPUS-{what} {name} ok', 5)
            finish(m)
        for image in images:
            check = subprocess.run(['/sbin/e2fsck', '-fn', f'{image}?offset=12582912'], capture_output=True, text=True)
            if check.returncode != 0:
                raise machine.Failure(f'e2fsck: {check.stdout}{check.stderr}')


def grub_tree(folder, title):
    tree = pathlib.Path(folder) / title
    os.makedirs(tree / 'boot/grub')
    shutil.copy(ppc_guest('vmlinux-pmac32'), tree / 'vmlinux')
    shutil.copy(ppc_guest('initrd-ppc32.gz'), tree / 'initrd.gz')
    (tree / 'boot/grub/grub.cfg').write_text(grub.menu(title, '/vmlinux console=ttyPZ0 t=poweroff', '/initrd.gz'))
    return tree


def grub_image(folder, title):
    """GRUB and a kernel for a CD-ROM, or for a disk: its sectors are of both sizes."""
    image = pathlib.Path(folder) / f'{title}.iso'
    grub.rescue(image, grub_tree(folder, title))
    return image


def cd(myna, board):
    """The firmware boots a CD-ROM: GRUB, its prompt with a command typed in, and from its menu Linux, which sees the drive."""
    need_firmware()
    with tempfile.TemporaryDirectory() as folder:
        image = grub_image(folder, 'Corpus')
        with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-cdrom', image, '-boot', 'd', '-m', '256', '-nic', 'none',
                             '-nographic') as m:
            grub.from_menu(m, 'Corpus')
            m.expect(READY, PATIENCE)
            m.expect(r'CORPUS-DISKS .*sr0', 1)
            finish(m)


def order(myna, board):
    """Of a disk and a CD-ROM that both have GRUB, -boot names the one that starts; the disk's goes on to Linux, from its partition."""
    need_firmware()
    with tempfile.TemporaryDirectory() as folder:
        drives = ['-drive', f'file={grub_image(folder, "Disk")},format=raw,snapshot=on', '-cdrom', grub_image(folder, 'Disc')]
        for boot, title in ((['-boot', 'd'], 'Disc'), ([], 'Disk'), (['-boot', 'c'], 'Disk')):
            with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, *drives, *boot, '-m', '256', '-nic', 'none', '-nographic') as m:
                m.expect(rf'(?s)GNU GRUB.*\b{title}\b', 240)
                if boot != ['-boot', 'c']:
                    continue
                grub.from_menu(m, title)
                m.expect(READY, PATIENCE)
                m.expect(r'CORPUS-DISKS .*sda', 1)
                finish(m)


def bootstrap(myna, board):
    """A disk as Linux distributions for Macs make them: the firmware finds the loader in the blessed folder of a bootstrap partition."""
    need_firmware()
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'mac.img')
        grub.apple_disk(image, grub_tree(folder, 'Blessed'), 'Blessed')
        with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-drive', f'file={image},format=raw,snapshot=on', '-boot', 'c',
                             '-m', '256', '-nic', 'none', '-nographic') as m:
            grub.from_menu(m, 'Blessed')
            m.expect(READY, PATIENCE)
            m.expect(r'CORPUS-DISKS .*sda', 1)
            finish(m)


def nvram(myna, board):
    """An image keeps the settings from one run to the next; -prom-env changes the one that it names."""
    need_firmware()
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'nvram.img')
        with open(image, 'wb') as f:
            f.truncate(8192)
        for settings, says in ((('auto-boot?=false', 'boot-args=old', 'boot-file=a'), r'boot-args\s+"old"'),
                               (('boot-file=b',), r'(?s)boot-args\s+"old".*boot-file\s+"b"')):
            args = [arg for setting in settings for arg in ('-prom-env', setting)]
            with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-drive', f'if=mtd,format=raw,file={image}', *args,
                                 '-nic', 'none', '-nographic') as m:
                m.expect(r'0 > ', 240)
                m.send('printenv\r')
                m.expect(says, 120)
                m.send('power-off\r')
                if m.wait_exit(60) != 0:
                    raise machine.Failure('power-off did not end with status 0')


def tone_program(folder):
    program = os.path.join(folder, 'tone')
    if not shutil.which('powerpc-linux-gnu-gcc'):
        machine.skip('powerpc-linux-gnu-gcc is not installed (Debian packages gcc-powerpc-linux-gnu, libc6-dev-powerpc-cross)')
    subprocess.run(['powerpc-linux-gnu-gcc', '-O1', '-static', '-o', program, machine.TOP / 'tests/boot/tone.c', '-lm'], check=True)
    return pathlib.Path(program).read_bytes()


def check_tone(path, seconds):
    """1000 Hz on the left, the same at half the level and upside down on the right, and nothing missing in between."""
    with wave.open(path) as w:
        rate, frames = w.getframerate(), array.array('h', w.readframes(w.getnframes()))
    left, right = frames[0::2], frames[1::2]
    loud = [n for n, sample in enumerate(left) if abs(sample) > 100]
    if not loud or abs((loud[-1] - loud[0]) / rate - seconds) > 0.1:
        raise machine.Failure(f'{(loud[-1] - loud[0]) / rate if loud else 0} seconds of sound')
    rises = [n for n in range(loud[0] + 1, loud[-1]) if left[n - 1] < 0 <= left[n]]
    wrong = [b - a for a, b in zip(rises, rises[1:]) if abs((b - a) * 1000 / rate - 1) > 0.05]
    if abs(len(rises) - 1000 * seconds) > 30 or len(wrong) > 4:
        raise machine.Failure(f'{len(rises)} waves, {len(wrong)} of the wrong length')
    at = max(range(len(left)), key=lambda n: left[n])
    if not -0.55 < right[at] / left[at] < -0.45 or left[at] < 4000:
        raise machine.Failure(f'levels: left {left[at]}, right {right[at]}')


def check_waves(path, count):
    """So many waves of 1000 Hz, the right side at half the level and upside down. A busy host may leave gaps between them."""
    with wave.open(path) as w:
        rate, frames = w.getframerate(), array.array('h', w.readframes(w.getnframes()))
    left, right = frames[0::2], frames[1::2]
    rises = [n for n in range(1, len(left)) if left[n - 1] < 0 <= left[n]]
    right_ones = sum(abs((b - a) * 1000 / rate - 1) <= 0.05 for a, b in zip(rises, rises[1:]))
    if not 0.9 * count < right_ones < 1.2 * count or right_ones < 0.95 * len(rises):
        raise machine.Failure(f'{len(rises)} waves, {right_ones} of the right length, not {count}')
    at = max(range(len(left)), key=lambda n: left[n])
    if not -0.55 < right[at] / left[at] < -0.45 or left[at] < 4000:
        raise machine.Failure(f'levels: left {left[at]}, right {right[at]}')


RATES = (48000, 44100, 22050)


def sound(myna, board, card=None):
    """ALSA's driver of the board's own sound, or of a PCI card, plays a tone, which the file of -audiodev wav has."""
    with tempfile.TemporaryDirectory() as folder:
        path, initrd, extra = (os.path.join(folder, name) for name in ('out.wav', 'initrd', 'extra'))
        cpio = initramfs.Cpio()
        cpio.folder('t')
        cpio.file('t/tone', tone_program(folder), 0o755)
        rates = ' '.join(map(str, RATES)) if card else '44100'
        cpio.file('t/run', f'#!/bin/sh\nfor rate in {rates}; do ./tone $rate || exit 1; done\n'.encode(), 0o755)
        args = ['-prom-env', 'use-nvramrc?=false', *card] if card else []  # which makes the firmware leave Screamer out
        with open(initrd, 'wb') as f:
            f.write(ppc_guest('initrd-ppc32.gz').read_bytes())
            f.write(gzip.compress(cpio.finish()))
        with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-kernel', ppc_guest('vmlinux-sound'), '-initrd', initrd,
                             '-append', 'console=ttyPZ0 t=run', '-audiodev', f'wav,id=snd,path={path}', '-nic', 'none', *args) as m:
            m.expect('CORPUS-READY', PATIENCE)
            m.expect('TONE played', 120)
            m.expect('CORPUS-RUN-STATUS 0|reboot: Power down', 120)
            finish(m)
        if card:
            check_waves(path, 2000 * len(RATES))
        else:
            check_tone(path, 2)


def net(myna, board, card=None, args=(), **guest):
    """DHCP and echoes of the user network, by the board's own card or another."""
    args = [*args, '-nic', 'user' + (f',model={card}' if card else '')]
    if card == 'rtl8139' and b'CLS mismatch' not in ppc_guest('vmlinux-pmac32').read_bytes():
        machine.skip('this kernel was built without PCI_QUIRKS, and 8139cp does not start without the size of cache lines')
    with boot(myna, board, 'net', args=args, append='quiet', **guest) as m:
        m.expect('CORPUS-LEASE 10.0.2.15 10.0.2.2', PATIENCE)
        m.expect(r'CORPUS-PING eth\d ok', 60)
        finish(m)


def screen(myna, board, keyboard, kernel='vmlinux-pmac32', initrd='initrd-ppc32.gz', arch='ppc', args=()):
    """The framebuffer console: a command typed on the keyboard that the board has; letters are grey on black."""
    need_firmware()
    with machine.Machine(firmware.system(myna, arch), '-M', board, '-kernel', ppc_guest(kernel),
                         '-initrd', ppc_guest(initrd), '-append', 'console=ttyPZ0 console=tty0',
                         '-g', '800x600x32', '-nic', 'none', *args) as m:
        m.expect('Run /init', PATIENCE)  # what comes now is on the screen
        if not re.search(keyboard, m.text):
            raise machine.Failure('no keyboard')
        m.expect(r'fb0: Open Firmware frame buffer', 1)
        for attempt in range(12):
            time.sleep(10)
            m.keys('ret')
            m.type('md5sum /proc/version ')
            m.keys('shift-dot')
            m.type(' /dev/ttyPZ0\n')
            if re.search(r'\w{32}  /proc/version', m.text):
                break
        m.expect(r'\w{32}  /proc/version', 30)
        width, height, pixels = m.screenshot()
        if (width, height) != (800, 600):
            raise machine.Failure(f'the screen has {width}x{height} pixels')
        colours = collections.Counter(pixels[i:i + 3] for i in range(0, len(pixels), 3)).most_common(2)
        paper, ink = (colour for colour, _ in colours)
        if paper != b'\0\0\0' or max(ink) - min(ink) > 8 or max(ink) < 0x80:
            raise machine.Failure(f'no grey text on black, but {ink.hex()} on {paper.hex()}')


def mouse(myna, board, name):
    """Movements and a button of the mouse that the board has, as evdev shows them."""
    need_firmware()
    with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-kernel', ppc_guest('vmlinux-pmac32'),
                         '-initrd', ppc_guest('initrd-ppc32.gz'), '-append', 'console=ttyPZ0 t=shell', '-nic', 'none') as m:
        m.expect('CORPUS-READY', PATIENCE)
        m.send('for n in /sys/class/input/event*; do echo "NAME $n $(cat $n/device/name)"; done\r')
        number = m.expect(rf'NAME /sys/class/input/event(\d+) .*{name}', 60)[1]
        m.send(f'echo LIS""TENS; hexdump -v -e \'8/2 "%04x " "\\n"\' /dev/input/event{number}\r')
        m.expect('LISTENS', 60)
        time.sleep(2)
        for events, shown in (([{'type': 'rel', 'data': {'axis': 'x', 'value': 10}}], '0002 0000 0000 000a'),
                              ([{'type': 'rel', 'data': {'axis': 'y', 'value': -5}}], '0002 0001 ffff fffb'),
                              ([{'type': 'btn', 'data': {'button': 'left', 'down': True}}], '0001 0110 0000 0001'),
                              ([{'type': 'btn', 'data': {'button': 'left', 'down': False}}], '0001 0110 0000 0000')):
            m.command('input-send-event', events=events)
            m.expect(shown, 60)


def mode(myna, board):
    """-g: the firmware's screen has so many pixels, and its prompt on it."""
    need_firmware()
    for wanted in ((1024, 768, 32), (640, 480, 8), (1280, 1024, 16)):
        with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-prom-env', 'auto-boot?=false', '-nic', 'none',
                             '-g', 'x'.join(map(str, wanted))) as m:
            settled(m, f'{board}-{wanted[0]}', 0)
            if m.screenshot()[:2] != wanted[:2]:
                raise machine.Failure(f'{m.screenshot()[:2]} pixels, not {wanted}')


def ink(m, name):
    """How many pixels have another colour than most; $MYNA_SCREENS is a folder that gets the picture."""
    width, height, pixels = m.screenshot()
    if 'MYNA_SCREENS' in os.environ:
        path = pathlib.Path(os.environ['MYNA_SCREENS'], f'{name}.ppm')
        path.write_bytes(b'P6 %d %d 255\n' % (width, height) + pixels)
    colours = collections.Counter(pixels[i:i + 3] for i in range(0, len(pixels), 3)).most_common()
    return sum(count for _, count in colours[1:])


def settled(m, name, least):
    """The same, once it is that much and the screen stays as it is."""
    before, now = -1, 0
    for _ in range(40):
        time.sleep(5)
        before, now = now, ink(m, name)
        if now > least and now == before:
            return now
    raise machine.Failure(f'{name}: {now} pixels on the screen, not more than {least}')


def firmware_screen(myna, board):
    """OpenBIOS on its screen: the keyboard that the board has asks for all words, then switches off."""
    need_firmware()
    with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-prom-env', 'auto-boot?=false', '-g', '800x600x32', '-nic', 'none') as m:
        prompt = settled(m, f'{board}-prompt', 0)
        m.type('words\n')
        settled(m, f'{board}-words', 2 * prompt)
        m.type('power-off\n')
        try:
            status = m.wait_exit(60)
        except machine.Failure:
            ink(m, f'{board}-power-off')
            raise
        if status != 0:
            raise machine.Failure('power-off did not end with status 0')


def elf(machine_number=20, byte_order=2, wide=False, text=b''):
    """An ELF program of one segment."""
    order = '>' if byte_order == 2 else '<'
    ident = b'\x7fELF' + bytes([2 if wide else 1, byte_order, 1])
    if wide:
        header = struct.pack(order + '16sHHIQQQIHHHHHH', ident, 2, machine_number, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        return header + struct.pack(order + '2I6Q', 1, 5, 120, 0, 0, len(text), len(text) + 64, 4) + text
    header = struct.pack(order + '16sHHIIIIIHHHHHH', ident, 2, machine_number, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return header + struct.pack(order + '8I', 1, 84, 0, 0, len(text), len(text) + 64, 7, 4) + text


def refused(myna):
    """What a Macintosh cannot start or have is named, with what is wrong."""
    need_firmware()
    kernels = {
        'text': (b'hello', 'no ELF program'),
        'little': (elf(byte_order=1), 'little-endian'),
        'x86': (elf(3), 'not for PowerPC'),
        '64': (elf(21, wide=True), 'for 64-bit processors'),
        'empty': (elf()[:44] + bytes(2) + elf()[46:], 'nothing to load'),
        'short': (elf(text=bytes(100))[:-1], 'damaged'),
        'large': (elf()[:72] + b'\x70' + elf()[73:], 'does not fit into memory'),
        'other': (elf(text=b'Linux version 6.1 Power Macintosh'), 'for another machine'),
    }
    runs = [('ppc', args, message) for args, message in (
        (['-M', 'mac99', '-initrd', '/dev/null'], '-initrd needs -kernel'),
        (['-M', 'g3beige', '-append', 'x'], '-append needs -kernel'),
        (['-M', 'mac99', '-kernel', '/nowhere'], "'/nowhere' does not exist"),
        (['-M', 'mac99', '-bios', '/nowhere'], "firmware '/nowhere' not found"),
        (['-M', 'mac99,via=adb'], 'there are cuda, pmu and pmu-adb'),
        (['-M', 'g3beige', '-boot', 'n'], '-boot n: a Macintosh'),
        (['-M', 'g3beige,via=cuda'], 'no such part'),
        (['-M', 'mac99', '-cpu', '7800'], "no PowerPC processor '7800'"),
        (['-M', 'mac99', '-cpu', '440ep'], "not a '440ep'"),
        (['-M', 'g3beige', '-cpu', '970fx'], "not a '970fx'"),
        (['-M', 'mac99', '-m', '4G'], 'from 16 to 2048 MiB'),
        (['-M', 'g3beige', '-m', '2G'], 'from 16 to 2047 MiB'),
        (['-M', 'mac99', '-m', '8'], 'from 16 to 2048 MiB'),
        (['-M', 'mac99', '-smp', '2'], 'has at most 1 CPU'),
        (['-M', 'mac99', '-g', '640x480x7'], 'the depth is'),
        (['-M', 'mac99', '-prom-env', 'boot-device'], 'not NAME=VALUE'),
        (['-M', 'bamboo', '-prom-env', 'a=b'], "'bamboo' has no firmware that takes it"),
        (['-M', 'mac99', '-boot', 'x'], "'x' is not a drive"))]
    with tempfile.TemporaryDirectory() as folder:
        def file(name, data):
            path = os.path.join(folder, name)
            pathlib.Path(path).write_bytes(data)
            return path

        for name, (data, message) in kernels.items():
            runs.append(('ppc', ['-M', 'mac99', '-kernel', file(name, data)], message))
        runs += [('ppc64', ['-M', 'mac99', '-kernel', file('32', elf(text=b'Linux version 6.1 PowerMac'))], 'for 32-bit processors'),
                 ('ppc', ['-M', 'mac99', '-bios', file('zeros', bytes(5000))], 'no instruction where the processor begins'),
                 ('ppc', ['-M', 'mac99', '-bios', file('large.bin', bytes(2 << 20))], 'larger than the ROM'),
                 ('ppc', ['-M', 'mac99', '-bios', file('elf.bin', elf(text=bytes(8)))], 'does not fit into the ROM'),
                 ('ppc', ['-M', 'mac99', '-bios', file('x86.bin', elf(3))], 'not for a 32-bit big-endian PowerPC'),
                 ('ppc', ['-M', 'mac99', '-drive', f'if=mtd,format=raw,file={file("nvram", bytes(512))}'], 'not 8192')]
        for arch, args, message in runs:
            run = subprocess.run([firmware.system(myna, arch), '-display', 'none', '-serial', 'none', *args], stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, timeout=60)
            if run.returncode != 1 or message not in run.stderr:
                raise machine.Failure(f'{args}: status {run.returncode}, {run.stderr!r} without {message!r}')


def blank_cd(myna, board):
    """A CD-ROM that has nothing to start: the firmware says so, and its prompt comes."""
    need_firmware()
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'blank.iso')
        with open(image, 'wb') as f:
            f.truncate(4 << 20)
        with machine.Machine(firmware.system(myna, 'ppc'), '-M', board, '-cdrom', image, '-boot', 'd', '-nic', 'none', '-nographic') as m:
            m.expect(r'(?s)No valid state has been set by load or init-program.*0 > ', 240)


G5 = {'kernel': 'vmlinux-g5', 'initrd': 'initrd-ppc64.gz', 'arch': 'ppc64', 'args': ['-m', '256']}
TESTS = {
    'refused': refused,
    'blank-cd-mac99': lambda myna: blank_cd(myna, 'mac99'),
    'blank-cd-g3beige': lambda myna: blank_cd(myna, 'g3beige'),
    'openbios-mac99': lambda myna: openbios(myna, 'mac99'),
    'openbios-g3beige': lambda myna: openbios(myna, 'g3beige'),
    'mac99': lambda myna: linux(myna, 'mac99', r'cpu\s*: 7400, altivec supported'),
    'mac99-pmu': lambda myna: linux(myna, 'mac99,via=pmu', r'model\s*: PowerMac3,1'),
    'mac99-pmu-adb': lambda myna: linux(myna, 'mac99,via=pmu-adb', r'model\s*: PowerMac3,1'),
    'g3beige': lambda myna: linux(myna, 'g3beige', r'cpu\s*: 740/750'),
    'g5': lambda myna: linux(myna, 'mac99,via=pmu', r'cpu\s*: PPC970FX', **G5),
    'reboot': restart,
    'disk-mac99': lambda myna: disk(myna, 'mac99'),
    'disk-g5': lambda myna: disk(myna, 'mac99,via=pmu', **G5),
    'disk-g3beige': lambda myna: disk(myna, 'g3beige'),
    'cd-mac99': lambda myna: cd(myna, 'mac99'),
    'cd-g3beige': lambda myna: cd(myna, 'g3beige'),
    'order-mac99': lambda myna: order(myna, 'mac99'),
    'order-g3beige': lambda myna: order(myna, 'g3beige'),
    'bootstrap-mac99': lambda myna: bootstrap(myna, 'mac99'),
    'bootstrap-g3beige': lambda myna: bootstrap(myna, 'g3beige'),
    'nvram-mac99': lambda myna: nvram(myna, 'mac99'),
    'nvram-g3beige': lambda myna: nvram(myna, 'g3beige'),
    'sound-mac99': lambda myna: sound(myna, 'mac99'),
    'sound-g3beige': lambda myna: sound(myna, 'g3beige'),
    'sound-mac99-ac97': lambda myna: sound(myna, 'mac99', ['-device', 'AC97']),
    'sound-mac99-hda': lambda myna: sound(myna, 'mac99', ['-device', 'intel-hda', '-device', 'hda-duplex']),
    'net-mac99': lambda myna: net(myna, 'mac99'),
    'net-g3beige': lambda myna: net(myna, 'g3beige'),
    'net-g5': lambda myna: net(myna, 'mac99,via=pmu', **G5),
    'net-mac99-e1000': lambda myna: net(myna, 'mac99', 'e1000'),
    'net-mac99-ne2k_pci': lambda myna: net(myna, 'mac99', 'ne2k_pci'),
    'net-mac99-rtl8139': lambda myna: net(myna, 'mac99', 'rtl8139'),
    'net-g3beige-e1000': lambda myna: net(myna, 'g3beige', 'e1000'),
    'firmware-screen-mac99': lambda myna: firmware_screen(myna, 'mac99'),
    'firmware-screen-mac99-pmu': lambda myna: firmware_screen(myna, 'mac99,via=pmu'),
    'firmware-screen-mac99-pmu-adb': lambda myna: firmware_screen(myna, 'mac99,via=pmu-adb'),
    'firmware-screen-g3beige': lambda myna: firmware_screen(myna, 'g3beige'),
    'mouse-mac99': lambda myna: mouse(myna, 'mac99', 'ADB mouse'),
    'mouse-mac99-usb': lambda myna: mouse(myna, 'mac99,via=pmu', 'Mouse'),
    'mouse-g3beige': lambda myna: mouse(myna, 'g3beige', 'ADB mouse'),
    'mode-mac99': lambda myna: mode(myna, 'mac99'),
    'mode-g3beige': lambda myna: mode(myna, 'g3beige'),
    'screen-mac99': lambda myna: screen(myna, 'mac99', 'ADB keyboard'),
    'screen-mac99-usb': lambda myna: screen(myna, 'mac99,via=pmu', 'USB HID'),
    'screen-g5': lambda myna: screen(myna, 'mac99,via=pmu', 'USB HID', **G5),
    'screen-g3beige': lambda myna: screen(myna, 'g3beige', 'ADB keyboard'),
}

if __name__ == '__main__':
    machine.main(TESTS)
