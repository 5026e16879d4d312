"""myna-img bitmap against qemu-img bitmap: the same steps on two images, the same dirty ranges and flags afterwards."""
import json
import os
import shutil
import subprocess
import time

from tool import check, img, main, qemu, run, same, QEMU

STEPS = [
    ['--add', 'a.q', 'b0'], ['--add', '--disable', '-g', '4k', 'a.q', 'b1'], 'write -P 1 1M 200k', 'write -P 2 5M 1M',
    ['--merge', 'b0', 'a.q', 'b1'], ['--add', '-g', '1M', 'a.q', 'b2'], 'write -z 7M 64k', ['--merge', 'b1', '--merge', 'b0', 'a.q', 'b2'],
    ['--disable', 'a.q', 'b0'], 'write -P 3 9M 512', ['--clear', '--enable', 'a.q', 'b0'], 'write -P 4 3M 3k',
    ['--add', '--disable', '--merge', 'b0', '-b', 'a.q.old', '-F', 'qcow2', 'a.q', 'b3'], ['--remove', 'a.q', 'b1'],
]


def dirty(image, name):
    """The ranges that qemu's NBD server says are dirty."""
    sock = os.path.abspath('bitmap.sock')
    server = subprocess.Popen(['qemu-nbd', '-r', '-f', 'qcow2', '-B', name, '-k', sock, image])
    try:
        for _ in range(200):
            if os.path.exists(sock):
                break
            time.sleep(0.05)
        ranges = json.loads(qemu('map', '--output=json', '--image-opts', 'driver=nbd,server.type=unix,server.path=' + sock +
                                 ',x-dirty-bitmap=qemu:dirty-bitmap:' + name))
        return [(r['start'], r['length']) for r in ranges if not r['data']]
    finally:
        server.terminate()
        server.wait()
        if os.path.exists(sock):
            os.unlink(sock)


def follow(tool, folder):
    os.mkdir(folder)
    os.chdir(folder)
    try:
        qemu('create', '-q', '-f', 'qcow2', 'a.q', '10M')
        for step in STEPS:
            if isinstance(step, str):
                run('qemu-io', '-f', 'qcow2', '-c', step, 'a.q')
            else:
                if '-b' in step:
                    shutil.copy('a.q', 'a.q.old')
                tool('bitmap', *step)
            qemu('check', '-q', 'a.q')
            img('check', '-q', 'a.q')
        bitmaps = json.loads(qemu('info', '--output=json', 'a.q'))['format-specific']['data']['bitmaps']
        for b in bitmaps:
            b['dirty'] = dirty('a.q', b['name'])
        return sorted(bitmaps, key=lambda b: b['name'])
    finally:
        os.chdir('..')


@check
def the_same_steps_leave_the_same_bitmaps():
    if QEMU and shutil.which('qemu-nbd') and shutil.which('qemu-io'):
        ours = follow(img, 'ours')
        same(ours, follow(qemu, 'theirs'))
        assert len(ours) == 3 and all(b['dirty'] for b in ours), ours


@check
def what_is_wrong_is_told():
    img('create', '-q', '-f', 'qcow2', 'a.q', '10M')
    img('create', '-q', '-f', 'qcow2', '-o', 'compat=0.10', 'old.q', '10M')
    img('create', '-q', '-f', 'qcow2', 'b.q', '11M')
    img('create', '-q', 'a.raw', '1M')
    img('bitmap', '--add', 'a.q', 'x')
    img('bitmap', '--add', 'b.q', 'x')
    for args, text in [(['a.q', 'x'], 'at least one of'), (['--add', 'a.q', 'x'], 'already exists'), (['--add', 'old.q', 'x'], 'v2'),
                       (['--remove', 'a.q', 'y'], "'y' not found"), (['--clear', '-g', '64k', 'a.q', 'x'], 'only supported'),
                       (['--add', '-g', '3k', 'a.q', 'y'], 'power of 2'), (['--add', 'a.raw', 'x'], 'no bitmaps'),
                       (['--clear', '-b', 'b.q', 'a.q', 'x'], 'only supported'), (['--add', 'a.q'], 'bitmap name'),
                       (['--add', 'a.q', 'n' * 1024], 'too long'), (['--merge', 'x', '-b', 'b.q', 'a.q', 'x'], 'different sizes')]:
        img('bitmap', *args, status=1)
        assert text in run.stderr, f'{args}: {run.stderr}'
    img('check', '-q', 'a.q')
    img('bitmap', '--remove', 'a.q', 'x')
    assert 'bitmaps' not in img('info', '--output=json', 'a.q')


main()
