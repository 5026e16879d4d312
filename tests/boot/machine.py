"""Runs Myna for tests: serial line, QMP, screens; finds guests."""
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SKIP = 77
PATIENCE = float(os.environ.get('MYNA_PATIENCE') or 1)  # all timeouts are so many times as long, for a busy host


def skip(reason):
    print(f'SKIP: {reason}', flush=True)
    sys.exit(SKIP)


def guest(name):
    """The folder of a guest of scripts/get-guests, fetched if it is not there."""
    run = subprocess.run([str(TOP / 'scripts/get-guests'), name], capture_output=True, text=True)
    if run.returncode != 0:
        skip(f'cannot fetch guest {name}: {run.stderr.strip().splitlines()[-1:]}')
    return pathlib.Path(run.stdout.strip())


def installer(arch, flavour='text', release=12):
    """Kernel and initial RAM disk of Debian's installer."""
    folder = guest(f'di-{arch}' if release == 12 else f'di{release}-{arch}') / \
        f'usr/lib/debian-installer/images/{release}/{arch}/{flavour}/debian-installer/{arch}'
    return folder / 'linux', folder / 'initrd.gz'


def mini_iso(arch, flavour='text', release=12):
    path = pathlib.Path(os.environ.get('MYNA_GUESTS') or
                        pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') /
                        'myna-guests') / (f'mini-{arch}-{flavour}.iso' if release == 12 else f'mini{release}-{arch}-{flavour}.iso')
    script = TOP / 'scripts/make-mini-iso'
    if not path.exists() or path.stat().st_mtime < script.stat().st_mtime:
        if not shutil.which('xorriso'):
            skip('xorriso is not installed (Debian package xorriso)')
        subprocess.run([str(script), arch, flavour, str(path), str(release)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def one(pattern):
    found = sorted(glob.glob(str(pattern)))
    if not found:
        skip(f'nothing matches {pattern}')
    return found[-1]


def check_disk(image, file, digest, folder):
    """The host finds a file system without an error in a raw image, and in its `file` what has this MD5 digest."""
    check = subprocess.run(['/sbin/e2fsck', '-fn', image], capture_output=True, text=True)
    if check.returncode != 0:
        raise Failure(f'{image}: e2fsck: {check.stdout}')
    copy = os.path.join(folder, 'copy')
    subprocess.run(['/sbin/debugfs', '-R', f'dump {file} {copy}', image], capture_output=True, check=True)
    if hashlib.md5(pathlib.Path(copy).read_bytes()).hexdigest() != digest:
        raise Failure(f'{image}: the file on the host differs from the one in the guest')


class Failure(Exception):
    pass


class Machine:
    """A running Myna. Serial output collects in .text (and in the file $MYNA_SERIAL_LOG); use as a context manager."""

    def __init__(self, myna, *args, serial=True):
        self.folder = tempfile.mkdtemp(prefix='myna-test-')
        self.qmp_path = os.path.join(self.folder, 'qmp')
        engine = [] if '-accel' in args else ['-accel', 'tcg']  # the same wherever the tests run
        argv = [myna, *engine, '-display', 'none', '-monitor', 'none', '-d', 'cpu_reset',
                '-qmp', f'unix:{self.qmp_path},server=on,wait=off',
                '-serial', 'stdio' if serial else 'none', *map(str, args)]
        self.text = ''
        self.changed = threading.Condition()
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.qmp = None
        self.events = []

    def _read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            with self.changed:
                self.text += data.decode('latin1').replace('\r', '')
                self.changed.notify_all()
            if 'MYNA_SERIAL_LOG' in os.environ:
                with open(os.environ['MYNA_SERIAL_LOG'], 'ab') as log:
                    log.write(data)
            if not data:
                return

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        difference = re.search(r'.*but the interpreter says.*', self.text)  # -accel tcg,verify=N
        if difference and kind is None:
            raise Failure(difference[0])
        if kind is not None:
            print('--- the last of the serial line:\n' + self.text[-3000:], flush=True)

    def expect(self, pattern, timeout):
        """Waits for a regular expression on the serial line; returns the match."""
        end = time.monotonic() + timeout * PATIENCE
        with self.changed:
            while True:
                match = re.search(pattern, self.text)
                if match:
                    return match
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self.changed.wait(0.3)):
                    raise Failure(f'no {pattern!r} on the serial line')
                self.changed.wait(min(left, 1))

    def send(self, text):
        os.write(self.process.stdin.fileno(), text.encode())

    def wait_exit(self, timeout):
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure('Myna did not end') from None
        self.reader.join(10)  # the last of .text
        return status

    # ---- QMP

    def connect(self):
        if self.qmp:
            return
        end = time.monotonic() + 60 * PATIENCE
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.qmp_path)
                break
            except OSError:
                sock.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Failure('no QMP socket') from None
                time.sleep(0.1)
        self.qmp = sock.makefile('rw')
        self.greeting = json.loads(self.qmp.readline())
        self.command('qmp_capabilities')

    def command(self, name, /, **arguments):
        if name != 'qmp_capabilities':
            self.connect()
        self.qmp.write(json.dumps({'execute': name, 'arguments': arguments}) + '\n')
        self.qmp.flush()
        while True:
            line = self.qmp.readline()
            if not line:
                raise Failure(f'QMP ended during {name}')
            answer = json.loads(line)
            if 'event' in answer:
                self.events.append(answer)
            if 'error' in answer:
                raise Failure(f'{name}: {answer["error"]}')
            if 'return' in answer:
                return answer['return']

    def wait_event(self, name, timeout, **data):
        """The next event of that name whose data has these members."""
        end = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < end:
            self.command('query-status')  # events come before its answer
            for event in self.events:
                if event['event'] == name and data.items() <= event.get('data', {}).items():
                    self.events.remove(event)
                    return event
            time.sleep(0.2)
        raise Failure(f'no event {name} {data}')

    def keys(self, *names):
        """Presses keys one after the other; "shift-a" is a chord."""
        for name in names:
            self.command('send-key', keys=[{'type': 'qcode', 'data': k} for k in name.split('-')])
            time.sleep(0.12)

    def type(self, text):
        names = {' ': 'spc', '/': 'slash', '.': 'dot', '-': 'minus', '=': 'equal', ',': 'comma', '\n': 'ret',
                 '(': 'shift-9', ')': 'shift-0', '"': 'shift-apostrophe', '_': 'shift-minus', ':': 'shift-semicolon'}
        for c in text:
            self.keys(names.get(c) or (f'shift-{c.lower()}' if c.isupper() else c))

    def screen_text(self):
        """The characters on a text-mode screen."""
        return self.command('human-monitor-command', **{'command-line': 'info screen'})

    def wait_screen(self, pattern, timeout):
        end = time.monotonic() + timeout * PATIENCE
        text = ''
        while time.monotonic() < end:
            text = self.screen_text()
            if re.search(pattern, text):
                return text
            time.sleep(0.5)
        raise Failure(f'no {pattern!r} on the screen:\n{text}')

    def screenshot(self):
        """(width, height, bytes of RGB) of the screen."""
        path = os.path.join(self.folder, 'screen.ppm')
        self.command('screendump', filename=path)
        data = pathlib.Path(path).read_bytes()
        magic, width, height, _, pixels = re.match(rb'(P6)\s(\d+)\s(\d+)\s(\d+)\s(.*)', data, re.S).groups()
        return int(width), int(height), pixels


def main(tests):
    """Runs functions named on the command line (or all); exits 1 on a failure, 77 if all skip."""
    myna = sys.argv[1]
    for name in sys.argv[2:] or list(tests):
        start = time.monotonic()
        try:
            tests[name](myna)
        except Failure as failure:
            print(f'not ok {name}: {failure}', flush=True)
            sys.exit(1)
        print(f'ok {name} ({time.monotonic() - start:.1f} s)', flush=True)
