#!/usr/bin/env python3
"""The window on an X server without a screen: it shows what the guest does, and keyboard and mouse go through it.

Usage: window.py MYNA [test...]

$MYNA_SCREENS is a folder that gets pictures of the X server's screen.
"""
import contextlib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import time
import zlib

import firmware
import mac
import machine
import pseries

PATIENCE = mac.PATIENCE
MODIFIERS = 'ctrl+alt+'  # of the window's own keys


class Screen:
    """An X server; use as a context manager, around the machine."""

    def __init__(self):
        for tool, package in (('Xvfb', 'xvfb'), ('xdotool', 'xdotool')):
            if not shutil.which(tool):
                machine.skip(f'{tool} is not installed (Debian package {package})')
        self.folder = tempfile.mkdtemp(prefix='myna-window-')
        told, tell = os.pipe()
        self.server = subprocess.Popen(['Xvfb', '-displayfd', str(tell), '-screen', '0', '1024x768x24', '-fbdir', self.folder, '-nolisten', 'tcp'],
                                       pass_fds=[tell], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(tell)
        with os.fdopen(told) as number:
            self.display = ':' + number.readline().strip()
        self.before = {name: os.environ.get(name) for name in ('DISPLAY', 'SDL_VIDEODRIVER')}
        os.environ.update(DISPLAY=self.display, SDL_VIDEODRIVER='x11')

    def __enter__(self):
        return self

    def __exit__(self, *what):
        for name, value in self.before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def do(self, *args):
        return subprocess.run(['xdotool', *map(str, args)], capture_output=True, text=True, check=False).stdout.strip()

    def type(self, text):
        """One key after the other, as slowly as ADB asks for them."""
        for line in text.splitlines(keepends=True):
            self.do('type', '--delay', 120, line.rstrip('\n'))
            if line.endswith('\n'):
                self.do('key', 'Return')

    def read(self):
        """Width, height, and rows of four bytes a pixel: blue, green, red."""
        data = (pathlib.Path(self.folder) / 'Xvfb_screen0').read_bytes()
        header = struct.unpack('>25I', data[:100])
        size, width, height, stride, colours = header[0], header[4], header[5], header[12], header[19]
        start = size + 12 * colours
        return width, height, [data[start + y * stride:start + y * stride + 4 * width] for y in range(height)]

    def keep(self, name):
        if 'MYNA_SCREENS' not in os.environ:
            return
        width, height, rows = self.read()
        raw = b''
        for row in rows:
            rgb = bytearray(3 * width)
            rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
            raw += b'\0' + rgb

        def chunk(kind, body):
            return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

        pathlib.Path(os.environ['MYNA_SCREENS'], f'{name}.png').write_bytes(
            b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(raw)) + chunk(b'IEND', b''))

    def find_window(self):
        """Waits for it, points into its midst and gives it the keyboard, as a window manager would."""
        for _ in range(100):
            found = self.do('search', '--onlyvisible', '--class', '^myna$').split()
            if found:
                self.window = found[0]
                break
            time.sleep(0.2)
        else:
            raise machine.Failure('there is no window')
        self.do('windowfocus', self.window)

    def title(self):
        return self.do('getwindowname', self.window)

    def geometry(self):
        """Of the window on the X server's screen: X, Y, WIDTH and HEIGHT, in pixels."""
        return {name: int(value) for name, value in re.findall(r'(\w+)=(-?\d+)', self.do('getwindowgeometry', '--shell', self.window))}

    def shows(self, m):
        """Whether the window, in its own size, has the guest's pixels. (An ADB guest's cursor may blink in between.)"""
        width, height, pixels = m.screenshot()
        geometry = self.geometry()
        if (geometry['WIDTH'], geometry['HEIGHT']) != (width, height):
            return False
        x, y = geometry['X'], geometry['Y']
        _, _, rows = self.read()
        for line in range(height):
            row = rows[y + line][4 * x:4 * (x + width)]
            rgb = bytearray(3 * width)
            rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
            if rgb != pixels[3 * width * line:3 * width * (line + 1)]:
                return False
        return True

    def expect_shown(self, m):
        for _ in range(40):
            if self.shows(m):
                return
            time.sleep(0.25)
        self.keep('not-shown')
        raise machine.Failure("the window does not show the guest's screen")


@contextlib.contextmanager
def window(*args):
    """A machine with a window: the screen, the machine."""
    with Screen() as screen, machine.Machine(*args, '-display', 'sdl', '-nic', 'none') as m:
        screen.find_window()
        yield screen, m


def settled(m):
    """Once two pictures are the same and there is something on them."""
    before = None
    for _ in range(60):
        time.sleep(1)
        now = m.screenshot()
        if now == before and len(set(now[2][i:i + 3] for i in range(0, len(now[2]), 3))) > 1:
            return
        before = now
    raise machine.Failure('the screen does not come to rest')


def forth(myna, board, name):
    """OpenBIOS's prompt: the machine switches off only if a sum, typed into the window, is right."""
    mac.need_firmware()
    with window(firmware.system(myna, 'ppc'), '-M', board, '-prom-env', 'auto-boot?=false') as (screen, m):
        settled(m)
        screen.type('2 3 * 1 + .\n')
        settled(m)
        screen.expect_shown(m)
        screen.keep(f'{name}-sum')
        screen.type(': sum 2 3 * 1 + 7 <> if ." no" else power-off then ;\n')
        settled(m)
        screen.keep(f'{name}-word')
        screen.type('sum\n')
        if m.wait_exit(60) != 0:
            raise machine.Failure('power-off did not end with status 0')


def shell(myna, board, name, keyboard, mouse):
    """A command in a shell on the framebuffer; then a click takes the mouse, whose movements and buttons the guest reads."""
    mac.need_firmware()
    with window(firmware.system(myna, 'ppc'), '-M', board, '-kernel', mac.ppc_guest('vmlinux-pmac32'), '-initrd', mac.ppc_guest('initrd-ppc32.gz'),
                '-append', 'console=ttyPZ0 console=tty0') as (screen, m):
        m.expect('Run /init', PATIENCE)
        m.expect(keyboard, 1)
        for _ in range(12):
            time.sleep(5)
            screen.type('\nmd5sum /proc/version > /dev/ttyPZ0\n')
            if re.search(r'\w{32}  /proc/version', m.text):
                break
        m.expect(r'\w{32}  /proc/version', 30)
        screen.expect_shown(m)
        screen.type('cat /proc/bus/input/devices > /dev/ttyPZ0\n')
        number = m.expect(rf'(?s)Name="[^"]*{mouse}[^"]*".{{0,300}}?event(\d)', 30)[1]
        screen.type(f'cat /proc/cpuinfo; hexdump -v /dev/input/event{number} > /dev/ttyPZ0\n')
        mouse_events(screen, m, 0x112 if 'ADB' in mouse else 0x111)
        screen.keep(f'{name}-shell')


def mouse_events(screen, m, other_button):
    """A hexdump of evdev's records comes on the serial line. (Linux takes the other button of an ADB mouse for the middle one.)"""
    def record(kind, code, value):
        return f'{kind:04x} {code:04x} {value >> 16 & 0xffff:04x} {value & 0xffff:04x}'

    time.sleep(3)
    screen.do('mousemove', 512, 384, 'click', 1)
    for _ in range(20):
        if 'Ctrl+Alt+G' in screen.title():
            break
        time.sleep(0.2)
    else:
        raise machine.Failure('the click did not take the mouse')
    time.sleep(1)
    screen.do('mousemove_relative', 9, 0)
    m.expect(record(2, 0, 9), 60)
    screen.do('mousemove_relative', '--', 0, -5)
    m.expect(record(2, 1, -5), 60)
    for button, code in ((1, 0x110), (3, other_button)):
        screen.do('mousedown', button)
        m.expect(record(1, code, 1), 60)
        screen.do('mouseup', button)
        m.expect(record(1, code, 0), 60)
    screen.do('key', 'ctrl+alt+g')
    for _ in range(20):
        if 'Ctrl+Alt+G' not in screen.title():
            return
        time.sleep(0.2)
    raise machine.Failure('the mouse was not given back')


def pseries_console(myna):
    """A shell on the VGA of a partition: USB keyboard and tablet through the window."""
    task = '''
cat /proc/fb | sed "s/^/BOOT-FB /"
(sleep 2; n=$(grep -A5 Tablet /proc/bus/input/devices | grep -o event.); hexdump -v /dev/input/$n) > /dev/hvc0 &
exec sh < /dev/tty0 > /dev/tty0 2>&1
'''
    with Screen() as screen, pseries.boot(myna, task, 'slof', '-nic', 'none', '-device', 'qemu-xhci,id=x', '-device', 'usb-kbd,bus=x.0',
                                          '-device', 'usb-tablet,bus=x.0', '-display', 'sdl', append='console=tty0 console=hvc0', screen=True,
                                          modules=['xhci_pci', 'usbhid', 'hid_generic', 'evdev']) as m:
        screen.find_window()
        m.expect('BOOT-FB 0 OFfb vga', 600)
        for _ in range(12):
            screen.type('\nmd5sum /proc/version > /dev/hvc0\n')
            if re.search(r'\w{32}  /proc/version', m.text):
                break
            time.sleep(5)
        m.expect(r'\w{32}  /proc/version', 60)
        screen.expect_shown(m)
        screen.keep('pseries-shell')
        geometry = screen.geometry()
        for _ in range(12):  # whoever reads the events begins late on a busy host
            screen.do('mousemove', geometry['X'] + 10, geometry['Y'] + 10)
            time.sleep(1)
            screen.do('mousemove', geometry['X'] + geometry['WIDTH'] - 1, geometry['Y'] + 20)
            time.sleep(4)
            if '0003 0000 7fff 0000' in m.text:
                break
        m.expect(r'0003 0000 7fff 0000', 60)  # the right edge
        screen.do('mousedown', 1)
        m.expect(r'0001 0110 0001 0000', 60)


def first(myna):
    """With the text consoles that a machine has by default, which are there before it has a screen, the window comes up with the screen."""
    with window(firmware.system(myna), '-serial', 'vc', '-monitor', 'vc') as (screen, m):
        m.wait_screen('No bootable device', PATIENCE)
        width, height, pixels = m.screenshot()
        lit = {x for x in range(width) if any(pixels[3 * (y * width + x)] > 64 for y in range(height))}
        for _ in range(40):
            # The window has the screen's width, but is as high as a monitor would show it.
            geometry = screen.geometry()
            _, _, rows = screen.read()
            shown = {x for x in range(geometry['WIDTH'])
                     if any(row[4 * (geometry['X'] + x)] > 64 for row in rows[geometry['Y']:geometry['Y'] + geometry['HEIGHT']])}
            if len(lit) > 200 and len(lit ^ shown) <= 9:  # the cursor blinks
                break
            time.sleep(0.25)
        else:
            screen.keep('first-not-shown')
            raise machine.Failure(f'the window has light in {len(shown)} columns, the screen in {len(lit)}')
        screen.keep('first')


TESTS = {'first': first, 'pseries': pseries_console}
for name, board, keyboard, mouse in (('mac99', 'mac99', 'ADB keyboard', 'ADB mouse'), ('mac99-pmu', 'mac99,via=pmu', 'USB HID', 'Mouse'),
                                     ('mac99-pmu-adb', 'mac99,via=pmu-adb', 'ADB keyboard', 'ADB mouse'),
                                     ('g3beige', 'g3beige', 'ADB keyboard', 'ADB mouse')):
    TESTS[f'forth-{name}'] = lambda myna, board=board, name=name: forth(myna, board, name)
    TESTS[f'shell-{name}'] = lambda myna, board=board, name=name, keyboard=keyboard, mouse=mouse: shell(myna, board, name, keyboard, mouse)

if __name__ == '__main__':
    machine.main(TESTS)
