#!/usr/bin/env python3
"""A folder of the host in a Debian guest: its 9p driver against virtio-9p, and what version 1 of the protocol gets.

Usage: share.py MYNA [test...]
"""
import fcntl
import hashlib
import os
import pathlib
import re
import stat
import subprocess
import tempfile

import linux
import machine

MODULES = ['virtio_pci', '9p', '9pnet_virtio']
APPLETS = 'for a in find chmod ln mv readlink stat touch truncate df cmp tar flock setfattr getfattr mkfifo chown mknod rmdir tr; do ' \
          '[ -e /bin/$a ] || ln -s busybox /bin/$a; done\n'
RECIPE = '''
m() {{ mount -t 9p -o trans=virtio,version=9p2000.L,{options} share /mnt || echo BOOT-FAIL mount; }}
sums() {{ cd $1; find . -type f | sort | while read f; do md5sum "$f"; done | md5sum | cut -c1-32; cd /; }}
fail() {{ echo BOOT-FAIL $*; }}
m
'''

# Both ways: what the host made is read, what the guest makes is compared on the host.
TREE_TASK = '''
echo BOOT-READ $(sums /mnt/tree)
mkdir /mnt/out; cp -a /mnt/tree /mnt/out/; umount /mnt; m
echo BOOT-AGAIN $(sums /mnt/out/tree)
cd /mnt/out
[ "$(readlink tree/link)" = sub/deep/big ] || fail readlink
ln tree/small hard; [ $(stat -c %h hard) = 2 ] || fail link count
echo more >> hard; cmp hard tree/small || fail hard link
chmod 640 hard; [ $(stat -c %a tree/small) = 640 ] || fail mode
ln -s /etc/nowhere dangling; [ "$(readlink dangling)" = /etc/nowhere ] || fail symlink
touch -d "2001-02-03 04:05:06" dated; [ $(stat -c %Y dated) = 981173106 ] || fail time
dd if=/dev/urandom of=cut bs=1000 count=300 2>/dev/null; truncate -s 12345 cut; [ $(stat -c %s cut) = 12345 ] || fail truncate
truncate -s 1000000 cut; [ $(stat -c %s cut) = 1000000 ] || fail extend
exec 5>moving; echo one >&5; mv moving moved; echo two >&5; mkdir away; mv moved away/; echo three >&5; exec 5>&-
[ "$(cat away/moved | tr '\\n' ' ')" = "one two three " ] || fail rename of an open file
exec 6>gone; echo x >&6; rm gone; echo y >&6 || fail write to a removed file; exec 6>&-; [ -e gone ] && fail gone
mkdir -p a/b/c/d; mv a/b z; [ -d z/c/d ] || fail move of a folder; echo w > z/c/d/f; mv z a/; cat a/z/c/d/f > /dev/null || fail moved twice
rmdir a 2>/dev/null && fail rmdir of a full folder; rm -r a; [ -e a ] && fail rm -r
mkfifo fifo; [ -p fifo ] || fail fifo
mkdir many; cd many; i=0; while [ $i -lt {files} ]; do : > n$i; i=$((i+1)); done; cd ..
[ $(ls many | wc -l) = {files} ] || fail $(ls many | wc -l) names
ls -l many | tail -n +2 | wc -l
df /mnt | tail -1 | grep -q share || fail df
cd /
cp /mnt/tree/small /mnt/small; share-test /mnt {xattrs}
cat /mnt/evil 2>/dev/null && fail a link led out of the folder
cat /mnt/escape/passwd 2>/dev/null && fail a linked folder led out of the folder
ls -ld /mnt/evil | grep -q passwd || fail the link is not shown
cd /mnt; md5sum out/cut | cut -c1-32 | sed "s/^/BOOT-CUT /"; cd /
umount /mnt
echo BOOT-END
poweroff -f
'''


def make_tree(folder):
    """Files of many sizes, links and modes; returns the sum that the guest's `sums` prints."""
    tree = folder / 'tree'
    (tree / 'sub/deep').mkdir(parents=True)
    for name, size in (('empty', 0), ('small', 10), ('page', 4096), ('odd', 12345), ('sub/deep/big', 3 << 20), ('sub/a b', 70000)):
        (tree / name).write_bytes(os.urandom(size))
    (tree / 'sub/deep/big').chmod(0o755)
    (tree / 'link').symlink_to('sub/deep/big')
    (folder / 'evil').symlink_to('/etc/passwd')
    (folder / 'escape').symlink_to('/etc')
    return sums(tree)


def sums(tree):
    names = sorted((p for p in tree.rglob('*') if p.is_file() and not p.is_symlink()),
                   key=lambda p: ('./' + str(p.relative_to(tree))).encode())
    text = ''.join(f'{hashlib.md5(p.read_bytes()).hexdigest()}  ./{p.relative_to(tree)}\n' for p in names)
    return hashlib.md5(text.encode()).hexdigest()


def program(folder, arch):
    compiler = 'gcc' if arch == 'amd64' else 'i686-linux-gnu-gcc'
    name = folder / 'share-test'
    try:
        subprocess.run([compiler, '-O1', '-static', '-D_FILE_OFFSET_BITS=64', '-o', name,
                        pathlib.Path(__file__).parent / 'share.c'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        machine.skip(f'{compiler} cannot make a static program')
    return name


def has_xattrs(folder):
    try:
        os.setxattr(folder, 'user.test', b'x')
        os.removexattr(folder, 'user.test')
    except OSError:
        return False
    return True


def tree(myna, model='none', mount='msize=131072', files=10000, arch='amd64'):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / 'share'
        folder.mkdir()
        want = make_tree(folder)
        if model == 'mapped-xattr' and not has_xattrs(folder):
            machine.skip('the file system of temporary files has no extended attributes')
        xattrs = 0 if not has_xattrs(folder) else 2 if model.startswith('mapped') else 1
        held = open(folder / 'held', 'wb')
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB, 10)
        task = APPLETS + RECIPE.format(options=mount) + TREE_TASK.format(files=files, xattrs=xattrs)
        with linux.boot(myna, arch, task, modules=MODULES, programs=[program(pathlib.Path(name), arch)], args=[
                '-nic', 'none', '-fsdev', f'local,id=f,path={folder},security_model={model}',
                '-device', 'virtio-9p-pci,fsdev=f,mount_tag=share']) as m:
            for step in ('BOOT-READ', 'BOOT-AGAIN'):
                if m.expect(step + r' (\w{32})\n', 200)[1] != want:
                    raise machine.Failure(f'{step}: the files differ')
            m.expect('BOOT-C', 200)
            cut = m.expect(r'BOOT-CUT (\w{32})', 60)[1]
            m.expect('BOOT-END', 30)
            m.wait_exit(30)
            bad = re.findall('BOOT-FAIL.*|BUG:.*|Call Trace', m.text)
            if bad:
                raise machine.Failure('; '.join(bad))
        held.close()
        if 'BOOT-MAPPED' in m.text and (folder / 'mapped').read_bytes() != b'm' * 20000:
            raise machine.Failure('a shared mapping on the host')
        out = folder / 'out'
        if hashlib.md5((out / 'cut').read_bytes()).hexdigest() != cut:
            raise machine.Failure('a file on the host differs from the one in the guest')
        if model in ('none', 'passthrough'):
            check_plain(out, want)
        elif not stat.S_ISREG((out / 'dangling').lstat().st_mode) or not stat.S_ISREG((out / 'fifo').lstat().st_mode):
            raise machine.Failure('a special file reached the host')
        if len([p for p in (out / 'many').iterdir() if not p.name.startswith('.')]) != files:
            raise machine.Failure('names on the host')


def check_plain(out, want):
    if sums(out / 'tree') == want:
        raise machine.Failure('the hard link was not written through')
    text = (out / 'tree/small').read_bytes()
    if not text.endswith(b'more\n') or (out / 'hard').read_bytes() != text or (out / 'hard').stat().st_mode & 0o777 != 0o640:
        raise machine.Failure('the hard link on the host')
    if os.readlink(out / 'dangling') != '/etc/nowhere' or not stat.S_ISFIFO((out / 'fifo').lstat().st_mode):
        raise machine.Failure('special files on the host')
    if (out / 'away/moved').read_text() != 'one\ntwo\nthree\n':
        raise machine.Failure('the renamed file on the host')


TESTS = {
    'none': tree,
    'i386': lambda myna: tree(myna, arch='i386', files=500),
    'mapped-xattr': lambda myna: tree(myna, 'mapped-xattr', files=1000),
    'mapped-file': lambda myna: tree(myna, 'mapped-file', files=1000),
    'loose': lambda myna: tree(myna, mount='cache=loose,msize=512000'),
    'mmap': lambda myna: tree(myna, mount='cache=mmap,msize=8192', files=1000),
}

if __name__ == '__main__':
    machine.main(TESTS)
