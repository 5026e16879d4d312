#!/usr/bin/env python3
"""Network block devices against other people's ends: qemu-nbd and nbdkit as servers, qemu-io, qemu-img and libnbd's tools as
clients. usage: nbd.py MYNA"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MYNA = os.path.abspath(sys.argv[1])
SIZE = 8 << 20
folder = tempfile.mkdtemp(prefix='myna-nbd-')
running = []


def run(*words, good=True):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=folder)
    if good and done.returncode:
        raise SystemExit(f'{" ".join(words)}: {done.stdout}{done.stderr}')
    return done


def start(*words, socket):
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    running.append(process)
    for _ in range(500):
        if os.path.exists(os.path.join(folder, socket)):
            return process
        if process.poll() is not None:
            raise SystemExit(f'{words[0]} ended with {process.returncode}')
        time.sleep(0.01)
    raise SystemExit(f'{words[0]} does not listen')


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(20)


def digest(name):
    with open(os.path.join(folder, name), 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def make(name):
    """A disk with data and holes."""
    rand = random.Random(11)
    with open(os.path.join(folder, name), 'wb') as f:
        f.truncate(SIZE)
        for at in (0, 1 << 20, 5 << 20, SIZE - 512):
            f.seek(at)
            f.write(rand.randbytes(512 if at == SIZE - 512 else 100000 // 512 * 512))


def uri(socket, export=''):
    return f'nbd+unix:///{export}?socket={folder}/{socket}'


def check(what, condition, detail=''):
    if not condition:
        raise SystemExit(f'{what}: {detail}')
    print(f'ok: {what}')


def our_client():
    make('a.img')
    server = start('qemu-nbd', '-t', '-f', 'raw', '-e', '4', '-k', f'{folder}/q.sock', '-x', 'disk', 'a.img', socket='q.sock')
    run(MYNA, 'img', 'convert', '-O', 'raw', uri('q.sock', 'disk'), 'copy.img')
    check('read from qemu-nbd', digest('a.img') == digest('copy.img'))
    parts = json.loads(run(MYNA, 'img', 'map', '--output=json', uri('q.sock', 'disk')).stdout)
    check('qemu-nbd tells of holes', any(p['zero'] for p in parts) and any(p['data'] for p in parts), parts)
    wrong = run(MYNA, 'img', 'info', uri('q.sock', 'other'), good=False)
    check('an unknown export is named', wrong.returncode and 'other' in wrong.stderr, wrong.stderr)
    make('b.img')
    with open(os.path.join(folder, 'b.img'), 'r+b') as f:
        f.seek(3 << 20)
        f.write(b'new' * 1000)
    run(MYNA, 'img', 'convert', '-n', '-f', 'raw', '-O', 'raw', 'b.img', uri('q.sock', 'disk'))
    check('write to qemu-nbd', digest('a.img') == digest('b.img'))
    stop(server)
    if shutil.which('nbdkit'):
        for filters in ([], ['--filter=blocksize-policy', 'blocksize-minimum=4096', 'blocksize-error-policy=error'],
                        ['--no-sr'], ['--filter=nozero']):
            options = [w for w in filters if w.startswith('-')]
            settings = [w for w in filters if not w.startswith('-')]
            name = f'k{len(running)}.sock'
            server = start('nbdkit', '-f', '-U', f'{folder}/{name}', *options, 'file', f'{folder}/a.img', *settings,
                           socket=name)
            run(MYNA, 'img', 'convert', '-O', 'raw', uri(name), 'copy.img')
            check(f'read from nbdkit {" ".join(filters)}', digest('a.img') == digest('copy.img'))
            run(MYNA, 'img', 'convert', '-n', '-f', 'raw', '-O', 'raw', 'b.img', uri(name))
            check(f'write to nbdkit {" ".join(filters)}', digest('a.img') == digest('b.img'))
            stop(server)


def our_server():
    make('s.img')
    server = start(MYNA, 'nbd', '-t', '-f', 'raw', '-e', '8', '-k', f'{folder}/s.sock', '-x', 'disk', '-D', 'a disk', 's.img',
                   socket='s.sock')
    at = uri('s.sock', 'disk')
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', at, 'copy.img')
    check('qemu-img reads it', digest('s.img') == digest('copy.img'))
    parts = json.loads(run('qemu-img', 'map', '-f', 'raw', '--output=json', at).stdout)
    check('qemu-img sees holes', any(p['zero'] for p in parts) and any(p['data'] for p in parts), parts)
    run('qemu-io', '-f', 'raw', '-c', 'write -P 7 0 1M', '-c', 'write -f -P 8 1M 512', '-c', 'write -z 3M 64k',
        '-c', 'discard 4M 1M', '-c', 'aio_write -P 9 2M 64k', '-c', 'aio_write -P 10 2500k 64k', '-c', 'aio_flush',
        '-c', 'flush', '-c', 'read -P 7 0 1M', '-c', 'read -P 8 1M 512', '-c', 'read -P 0 3M 64k',
        '-c', 'read -P 9 2M 64k', at)
    with open(os.path.join(folder, 's.img'), 'rb') as f:
        data = f.read()
    check('qemu-io writes it', data[:1 << 20] == b'\7' * (1 << 20) and data[2500 << 10] == 10)
    if shutil.which('nbdinfo'):
        info = json.loads(run('nbdinfo', '--json', at).stdout)['exports'][0]
        check('nbdinfo', info['export-size'] == SIZE and info['can_fua'] and 'base:allocation' in info['contexts'], info)
        run('nbdcopy', at, f'{folder}/copy.img')
        check('nbdcopy', digest('s.img') == digest('copy.img'))
    check('its exports', "'disk'" in run(MYNA, 'nbd', '-L', '-k', f'{folder}/s.sock').stdout)
    check('an image in use is locked', run(MYNA, 'nbd', '-f', 'raw', '-k', f'{folder}/t.sock', 's.img',
                                           good=False).returncode == 1)
    stop(server)
    check('it ends in order', server.returncode == 0 and not os.path.exists(f'{folder}/s.sock'))


def broken_connections():
    """A server that is killed and comes back is met again."""
    make('r.img')
    server = start('qemu-nbd', '-t', '-f', 'raw', '-k', f'{folder}/r.sock', 'r.img', socket='r.sock')
    node = {'driver': 'raw', 'file': {'driver': 'nbd', 'server': {'type': 'unix', 'path': f'{folder}/r.sock'},
                                      'reconnect-delay': 10}}
    front = start(MYNA, 'nbd', '-t', '-k', f'{folder}/f.sock', 'json:' + json.dumps(node), socket='f.sock')
    run('qemu-io', '-f', 'raw', '-c', 'read 0 1M', uri('f.sock'))
    server.kill()
    server.wait()
    os.unlink(f'{folder}/r.sock')
    later = subprocess.Popen(['qemu-io', '-f', 'raw', '-c', 'write -P 5 1M 1M', uri('f.sock')], stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    server = start('qemu-nbd', '-t', '-f', 'raw', '-k', f'{folder}/r.sock', 'r.img', socket='r.sock')
    check('a write waits for the server', later.wait(20) == 0)
    stop(front)
    stop(server)
    with open(os.path.join(folder, 'r.img'), 'rb') as f:
        f.seek(1 << 20)
        check('and arrives', f.read(1 << 20) == b'\5' * (1 << 20))


def main():
    missing = [tool for tool in ('qemu-nbd', 'qemu-io', 'qemu-img') if not shutil.which(tool)]
    if missing:
        print(f'SKIP: no {", ".join(missing)} (qemu-utils)')
        sys.exit(77)
    try:
        our_client()
        our_server()
        broken_connections()
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


main()
