"""Block devices of the host as images: loop devices, which only root can make."""
import contextlib
import os
import subprocess

from tool import check, content, img, img_json, main, noise, qemu, run, same, write, QEMU


@contextlib.contextmanager
def loop(name, *options):
    """A loop device over a file; None where there are none."""
    made = subprocess.run(['losetup', '-f', '--show', *options, name], capture_output=True, text=True) if os.getuid() == 0 else None
    device = made.stdout.strip() if made and made.returncode == 0 else None
    try:
        yield device
    finally:
        if device:
            subprocess.run(['losetup', '-d', device], check=True)


@check
def size_and_content():
    write('a.img', size=16 << 20)
    data = noise(3 << 20)
    write('b.img', (1 << 20, data), size=16 << 20)
    with loop('a.img') as device:
        if not device:
            return
        same(img_json('info', '-f', 'raw', device)['virtual-size'], 16 << 20)
        img('convert', '-n', '-f', 'raw', '-O', 'raw', 'b.img', device)
        img('compare', '-s', '-f', 'raw', '-F', 'raw', device, 'b.img')
        img('compare', '-T', 'none', '-f', 'raw', '-F', 'raw', device, 'b.img')
        img('convert', '-f', 'raw', '-O', 'qcow2', device, 'c.qcow2')
        img('compare', '-F', 'qcow2', '-f', 'raw', device, 'c.qcow2')
        img('resize', '-f', 'raw', device, '32M', status=1)
        assert 'cannot be resized' in run.stderr
        img('create', '-q', '-f', 'qcow2', device, '64M') # an image on a device
        img('convert', '-n', '-O', 'qcow2', 'c.qcow2', device)
        img('check', '-q', '-f', 'qcow2', device)
        img('compare', '-f', 'qcow2', '-F', 'raw', device, 'b.img')
        if QEMU:
            qemu('check', '-q', '-f', 'qcow2', device)
            qemu('compare', '-f', 'qcow2', '-F', 'raw', device, 'b.img')


@check
def what_cannot_be_written_or_opened():
    write('a.img', (0, noise(65536)), size=1 << 20)
    with loop('a.img', '-r') as device:
        if not device:
            return
        before = content('a.img')
        img('create', '-q', '-f', 'qcow2', device, '1M', status=1)
        assert 'read-only device' in run.stderr
        img('convert', '-f', 'raw', '-O', 'raw', device, 'b.img')
        same(content('b.img'), before)
        os.chmod('.', 0o755)
        img('info', device, status=1, user='nobody')
        assert f"'{device}': Permission denied" in run.stderr, run.stderr


@check
def a_device_in_use_is_locked():
    write('a.img', size=1 << 20)
    with loop('a.img') as device:
        if not device or not QEMU:
            return
        with subprocess.Popen(['qemu-io', '-f', 'raw', device], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
            user.stdin.write(b'write 0 512\n')
            user.stdin.flush()
            user.stdout.readline()
            img('create', '-q', '-f', 'qcow2', device, '1M', status=1)
            assert 'lock' in run.stderr, run.stderr
            img('info', '-U', '-f', 'raw', device)
            user.stdin.close()


main()
