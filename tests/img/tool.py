"""What the image tests share: running myna-img and qemu-img, test data, and the list of checks."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

QEMU = shutil.which('qemu-img')
MYNA = None
checks = []


def check(function):
    """A check: a function of no arguments, run in an empty folder."""
    checks.append(function)
    return function


def run(program, *args, status=0, **more):
    """Output of a run, which ends with the given status (None: any)."""
    names = {'executable': MYNA} if program == 'myna-img' else {}
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=120, **names, **more)
    if done.returncode < 0 or (status is not None and done.returncode != status):
        raise AssertionError(f'{program} {" ".join(map(str, args))}: status {done.returncode}, not {status}\n'
                             f'{done.stdout}{done.stderr}')
    run.stderr, run.status = done.stderr, done.returncode
    return done.stdout


def img(*args, **more):
    return run('myna-img', *args, **more)


def qemu(*args, **more):
    return run('qemu-img', *args, **more)


def img_json(*args, **more):
    return json.loads(img(*args, '--output=json', **more))


def qemu_json(*args, **more):
    return json.loads(qemu(*args, '--output=json', **more))


def same(a, b, what=''):
    assert a == b, f'{what}: {a!r} is not {b!r}'


def write(name, *parts, size=None):
    """A sparse file with (offset, bytes) parts."""
    with open(name, 'wb') as file:
        for offset, data in parts:
            file.seek(offset)
            file.write(data)
        if size is not None:
            file.truncate(size)


def patch(name, offset, data):
    with open(name, 'r+b') as file:
        file.seek(offset)
        file.write(data)


def content(name):
    with open(name, 'rb') as file:
        return file.read()


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def disk(name, size, seed=1):
    """A raw image such as guests leave: data at the start, in the middle, at the end, text that compresses, holes."""
    text = b'the quick brown fox jumps over the lazy dog. ' * 1500
    parts = [(0, noise(70000, seed)), (size // 3, text[:size // 8]), (size // 2 + 512, noise(min(5000, size // 8), seed + 1)),
             (size - 512, noise(512, seed + 2))]
    write(name, *[(o - o % 512, d[:size - o]) for o, d in parts if o < size], size=size)


def same_content(raw, image, fmt, other_raw='back.raw'):
    """Both tools read the image as the raw file, and no further than zeros beyond it."""
    img('compare', '-f', 'raw', '-F', fmt, raw, image)
    if QEMU:
        qemu('compare', '-f', 'raw', '-F', fmt, raw, image)
    img('convert', '-f', fmt, '-O', 'raw', image, other_raw)
    data, back = content(raw), content(other_raw)
    assert back[:len(data)] == data and not back[len(data):].strip(b'\0'), f'{image} reads otherwise than {raw}'


def main():
    """tests/img/NAME.py PROGRAM [check...]"""
    global MYNA
    MYNA = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    failed = 0
    for function in checks:
        if wanted and function.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix='myna-img-') as folder:
            os.chdir(folder)
            try:
                function()
                print(f'ok {function.__name__}')
            except (AssertionError, subprocess.TimeoutExpired, json.JSONDecodeError) as error:
                print(f'not ok {function.__name__}: {error}')
                failed += 1
            os.chdir('/')
    sys.exit(1 if failed else 0)


def need_qemu():
    if not QEMU:
        print('SKIP: no qemu-img here to compare with (Debian package qemu-utils)')
        sys.exit(77)
