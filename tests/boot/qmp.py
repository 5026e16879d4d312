#!/usr/bin/env python3
"""Talks QMP and HMP to a machine that has not started, then runs and ends it.

usage: qmp.py MYNA
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

count = 0


def check(name, good, detail=''):
    global count
    count += 1
    print(f'{"ok" if good else "not ok"} {count} - {name}')
    if not good:
        print(f'# {str(detail)[:2000]}')


def connect(path):
    for _ in range(100):
        try:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30)
            sock.connect(path)
            return sock
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(path)


class Qmp:
    def __init__(self, path):
        self.file = connect(path).makefile('rw')
        self.greeting = json.loads(self.file.readline())
        self.events = []

    def answer(self):
        while True:
            message = json.loads(self.file.readline())
            if 'event' not in message:
                return message
            self.events.append(message)

    def ask(self, command, arguments=None, **members):
        request = {'execute': command, **members}
        if arguments is not None:
            request['arguments'] = arguments
        self.file.write(json.dumps(request) + '\n')
        self.file.flush()
        return self.answer()

    def get(self, command, **arguments):
        answer = self.ask(command, arguments)
        return answer.get('return', answer)

    def hmp(self, line):
        return self.get('human-monitor-command', **{'command-line': line})

    def wait_event(self, name):
        while not any(event['event'] == name for event in self.events):
            message = json.loads(self.file.readline())
            if 'event' in message:
                self.events.append(message)
        found = next(event for event in self.events if event['event'] == name)
        self.events.remove(found)
        return found


def queries(qmp):
    check('capabilities', qmp.ask('qmp_capabilities', id=3) == {'return': {}, 'id': 3})
    check('it has not started', qmp.get('query-status')['status'] == 'prelaunch')
    commands = {command['name'] for command in qmp.get('query-commands')}
    check('commands are listed', {'query-status', 'send-key', 'quit'} <= commands, commands)
    for command in sorted(name for name in commands if name.startswith('query-')):
        answer = qmp.ask(command)
        expected = {'query-balloon': 'DeviceNotActive'}.get(command)  # this machine has no balloon
        check(command, answer['error']['class'] == expected if expected else 'return' in answer, answer)
    check('the machine', any(m['name'] == 'pc' for m in qmp.get('query-machines')))
    check('two CPUs', [cpu['cpu-index'] for cpu in qmp.get('query-cpus-fast')] == [0, 1])
    check('its name', qmp.get('query-name') == {'name': 'qmp-test'})
    check('PCI', any(d['id'] == {'device': 0x1237, 'vendor': 0x8086}
                     for d in qmp.get('query-pci')[0]['devices']))
    drives = {drive['device']: drive for drive in qmp.get('query-block')}
    check('a CD drive', drives.get('cd', {}).get('removable') is True, drives)
    check('unknown command', qmp.ask('nonsense')['error']['class'] == 'CommandNotFound')
    check('wrong arguments', qmp.ask('memsave', {'val': 'x'})['error']['class'] == 'GenericError')
    types = {kind['name'] for kind in qmp.get('qom-list-types')}
    check('device types', 'ide-cd' in types, types)
    check('properties', 'drive' in {p['name'] for p in qmp.get('device-list-properties', typename='ide-cd')})


def people(qmp):
    for line, expected in [('info status', 'paused (prelaunch)'), ('info registers', 'EIP=0000fff0'),
                           ('info registers -a', 'CPU#1'), ('info mtree', 'pc.ram'),
                           ('info mtree -f', 'bios'), ('info qtree', 'i440fx'), ('info pci', '8086:1237'),
                           ('info pic', 'imr'), ('info block', 'cd: [not inserted]'),
                           ('info network', ''), ('info chardev', 'unix:'), ('info jit', 'translator'),
                           ('info cpus', 'CPU #1'), ('info version', 'Myna'), ('info name', 'qmp-test'),
                           ('info mem', 'PG disabled'), ('x/2i $pc', '0xfffffff0:'),
                           ('xp/4xb 0xffff0', '0xea'), ('p $cs.base', '0xffff0000'), ('cpu 1', ''),
                           ('cpu 2', 'Error'), ('sendkey ctrl-alt-delete', ''), ('log none', ''),
                           ('i/b 0x64', 'portb[0x0064]'), ('o/b 0x80 1', ''), ('gva2gpa 16', 'gpa: 0x10')]:
        text = qmp.hmp(line)
        check(f'hmp: {line}', isinstance(text, str) and expected in text and (expected or not text or
              line == 'info network'), text)


def media(qmp, folder):
    image = f'{folder}/cd.iso'
    with open(image, 'wb') as file:
        file.write(bytes(1 << 20))
    check('a medium', qmp.get('blockdev-change-medium', device='cd', filename=image, format='raw') == {})
    check('is in the drive', qmp.get('query-block')[0].get('inserted', {}).get('file') == image)
    check('its event', qmp.wait_event('DEVICE_TRAY_MOVED')['data']['device'] == 'cd')
    check('is ejected', qmp.get('eject', device='cd', force=True) == {})
    check('is gone', 'inserted' not in qmp.get('query-block')[0])
    check('no such drive', 'error' in qmp.ask('eject', {'device': 'none'}))


def running(qmp, folder):
    check('cont', qmp.get('cont') == {})
    qmp.wait_event('RESUME')
    time.sleep(1)
    check('it runs', qmp.get('query-status') == {'running': True, 'singlestep': False, 'status': 'running'})
    check('registers while it runs', 'CPU#0' in qmp.hmp('info registers'))
    for kind, magic in [('ppm', b'P6'), ('png', b'\x89PNG')]:
        picture = f'{folder}/screen.{kind}'
        check(f'screendump {kind}', qmp.get('screendump', filename=picture, format=kind) == {})
        with open(picture, 'rb') as file:
            check(f'is a {kind}', file.read(4).startswith(magic))
    check('pmemsave', qmp.get('pmemsave', val=0xf0000, size=0x10000, filename=f'{folder}/rom') == {})
    check('has its size', os.path.getsize(f'{folder}/rom') == 0x10000)
    check('keys', qmp.get('send-key', keys=[{'type': 'qcode', 'data': 'ret'}]) == {})
    check('mouse', qmp.get('input-send-event', events=[
        {'type': 'rel', 'data': {'axis': 'x', 'value': 5}},
        {'type': 'btn', 'data': {'button': 'left', 'down': True}}]) == {})
    check('stop', qmp.get('stop') == {})
    qmp.wait_event('STOP')
    first = qmp.hmp('info registers')
    check('it stands', qmp.get('query-status')['status'] == 'paused' and first == qmp.hmp('info registers'))
    check('reset', qmp.get('system_reset') == {})
    check('its event', qmp.wait_event('RESET')['data'] == {'guest': False, 'reason': 'host-qmp-system-reset'})
    check('starts anew', 'EIP=0000fff0' in qmp.hmp('info registers'))


def person(path):
    sock = connect(path)
    text = b''
    while b'(qemu) ' not in text:
        text += sock.recv(4096)
    check('a banner', b"monitor - type 'help' for more information" in text, text)
    sock.sendall(b'p 6*\x1b[D7 \x7f\x1b[F1\r')  # editing: 67*1
    text = b''
    while not text.endswith(b'\r\n(qemu) '):
        text += sock.recv(4096)
    check('a line edited', b'0x43\r\n' in text, text)


def main():
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.argv[1], '-S', '-display', 'none', '-name', 'qmp-test', '-smp', '2',
                     '-serial', 'null', '-drive', 'if=ide,media=cdrom,id=cd',
                     '-qmp', f'unix:{folder}/qmp,server=on,wait=off',
                     '-monitor', f'unix:{folder}/hmp,server=on,wait=off']
        with subprocess.Popen(arguments) as myna:
            try:
                qmp = Qmp(f'{folder}/qmp')
                check('greeting', 'oob' in qmp.greeting['QMP']['capabilities'])
                queries(qmp)
                people(qmp)
                media(qmp, folder)
                running(qmp, folder)
                person(f'{folder}/hmp')
                check('quit', qmp.get('quit') == {})
                check('its event', qmp.wait_event('SHUTDOWN')['data'] ==
                      {'guest': False, 'reason': 'host-qmp-quit'})
                check('ends the program', myna.wait(10) == 0)
            finally:
                myna.kill()
    print(f'1..{count}')


main()
