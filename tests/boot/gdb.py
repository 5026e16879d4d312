#!/usr/bin/env python3
"""Runs the gdb server with a small firmware of its own: packets by hand, then the real gdb.

usage: gdb.py MYNA
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

# F000:E000: ds = 0, then count up at 0x500 and read it back, for ever.
CODE = bytes.fromhex('31c0 8ed8 ff060005 a10005 90 ebf6'.replace(' ', ''))
LOOP, LOAD, NOP = 0xfe004, 0xfe008, 0xfe00b
RIP = 16
count = 0


def check(name, good, detail=''):
    global count
    count += 1
    print(f'{"ok" if good else "not ok"} {count} - {name}')
    if not good:
        print(f'# {detail}')


def write_firmware(path):
    image = bytearray(0x10000)
    image[0xe000:0xe000 + len(CODE)] = CODE
    image[0xfff0:0xfff5] = bytes.fromhex('ea00e000f0')
    with open(path, 'wb') as file:
        file.write(image)


class Link:
    def __init__(self, path):
        for _ in range(100):
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.settimeout(20)
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.1)
        self.data = b''

    def byte(self):
        if not self.data:
            self.data = self.socket.recv(65536)
            if not self.data:
                raise EOFError
        first, self.data = self.data[:1], self.data[1:]
        return first

    def send(self, text):
        raw = text if isinstance(text, bytes) else text.encode()
        self.socket.sendall(b'$' + raw + b'#%02x' % (sum(raw) & 255))

    def receive(self):
        while self.byte() != b'$':
            pass
        raw = b''
        while (b := self.byte()) != b'#':
            raw += bytes([self.byte()[0] ^ 0x20]) if b == b'}' else b
        self.byte(), self.byte()
        self.socket.sendall(b'+')
        return raw.decode('latin-1')

    def ask(self, text):
        self.send(text)
        return self.receive()

    def rip(self):
        return int.from_bytes(bytes.fromhex(self.ask(f'p{RIP:x}')), 'little')


def by_hand(link):
    check('features are offered', 'qXfer:features:read+' in link.ask('qSupported:swbreak+'))
    xml, offset = '', 0
    while True:
        part = link.ask(f'qXfer:features:read:target.xml:{offset:x},300')
        xml += part[1:]
        offset += len(part) - 1
        if part[0] == 'l':
            break
    check('the description is whole', xml.endswith('</target>') and 'name="rip"' in xml, xml[-40:])
    check('unknown packets get an empty answer', link.ask('vMustReplyEmpty') == '')
    check('there is one thread', link.ask('qfThreadInfo') == 'm01' and link.ask('qsThreadInfo') == 'l')
    check('it starts at the reset vector', link.rip() == 0xfffffff0, hex(link.rip()))
    check('a step', link.ask('s').startswith('T05') and link.rip() == 0xfe000, hex(link.rip()))
    check('Z0', link.ask(f'Z0,{LOOP:x},1') == 'OK')
    check('stops at a breakpoint', link.ask('c').startswith('T05') and link.rip() == LOOP, hex(link.rip()))
    before = link.ask('m500,2')
    check('and again', link.ask('vCont;c').startswith('T05') and link.rip() == LOOP, hex(link.rip()))
    check('the guest ran between', link.ask('m500,2') != before)
    check('z0', link.ask(f'z0,{LOOP:x},1') == 'OK' and link.ask(f'z0,{LOOP:x},1') == 'E22')
    check('Z2', link.ask('Z2,500,2') == 'OK')
    stop = link.ask('c')
    check('stops after a write', 'watch:500;' in stop and link.rip() == LOAD, f'{stop} {link.rip():x}')
    check('z2, Z3', link.ask('z2,500,2') == 'OK' and link.ask('Z3,501,1') == 'OK')
    stop = link.ask('c')
    check('stops after a read', 'rwatch:501;' in stop, f'{stop} {link.rip():x}')
    check('z3', link.ask('z3,501,1') == 'OK')
    check('memory is written', link.ask('M500,2:3412') == 'OK' and link.ask('m500,2') == '3412')
    check('also as bytes', link.ask(b'X500,2:}\x03}\x04') == 'OK' and link.ask('m500,2') == '2324')
    check('registers are written', link.ask('P0=7856341200000000') == 'OK' and
          link.ask('p0') == '7856341200000000')
    check('g has all', link.ask('g').startswith('7856341200000000'))
    check('unmapped threads are refused', link.ask('Hg7') != 'OK' and link.ask('T1') == 'OK')
    link.send('c')
    time.sleep(0.3)
    link.socket.sendall(b'\x03')
    check('Ctrl-C stops', link.receive().startswith('T02'))
    link.send('qRcmd,' + b'info status'.hex())
    text = ''
    while (part := link.receive()) != 'OK':
        text += bytes.fromhex(part[1:]).decode()
    check('monitor commands', text == 'VM status: paused\n', text)
    link.socket.sendall(b'$m0,1#00')
    check('a damaged packet is refused', link.byte() == b'-')
    check('a long one is survived', link.ask('M500,4000:' + '00' * 0x5000) is not None)


def with_gdb(address):
    script = ['set confirm off', 'set pagination off', 'set architecture i386:x86-64',
              f'target remote {address}', f'break *{NOP:#x}', 'continue', 'info registers rip', 'delete',
              'watch *(unsigned short *)0x500', 'continue', 'delete', 'stepi', 'x/2i $pc', 'monitor info name',
              'kill']
    arguments = sum((['-ex', line] for line in script), [])
    run = subprocess.run(['gdb', '-nx', '-batch'] + arguments, capture_output=True, text=True, timeout=60)
    check('gdb stops at its breakpoint', f'rip            {NOP:#x}' in run.stdout, run.stdout + run.stderr)
    check('gdb sees a watchpoint', 'New value = ' in run.stdout, run.stdout + run.stderr)
    check('gdb asks the monitor', 'gdb-test' in run.stdout + run.stderr, run.stdout + run.stderr)


def main():
    with tempfile.TemporaryDirectory() as folder:
        firmware, path = f'{folder}/bios', f'{folder}/gdb'
        write_firmware(firmware)
        with subprocess.Popen([sys.argv[1], '-S', '-nodefaults', '-display', 'none', '-bios', firmware,
                               '-name', 'gdb-test', '-gdb', f'unix:{path}']) as myna:
            try:
                link = Link(path)
                by_hand(link)
                link.socket.close()
                if shutil.which('gdb'):
                    with_gdb(path)
                    check('kill ends the emulator', myna.wait(10) == 0)
                else:
                    print('# no gdb here: SKIP')
            finally:
                myna.kill()
    print(f'1..{count}')


main()
