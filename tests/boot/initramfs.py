"""Initial RAM disks of a static busybox, an init script and drivers out of Debian's kernel package."""
import gzip
import os
import pathlib
import re
import stat
import subprocess


class Cpio:
    """Writes the newc format that the kernel unpacks."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 1

    def add(self, name, mode, content=b'', rdev=(0, 0)):
        name_bytes = name.encode() + b'\0'
        fields = [self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, rdev[0], rdev[1], len(name_bytes), 0]
        self.data += b'070701' + b''.join(b'%08X' % f for f in fields) + name_bytes
        self.data += b'\0' * (-len(self.data) % 4) + content
        self.data += b'\0' * (-len(self.data) % 4)
        self.inode += 1

    def folder(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name, content, mode=0o644):
        self.add(name, stat.S_IFREG | mode, content)

    def link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, target.encode())

    def finish(self):
        self.add('TRAILER!!!', 0)
        return bytes(self.data)


def find_modules(root):
    """Module name (with underscores) to path, of an unpacked kernel package."""
    return {p.name.split('.ko')[0].replace('-', '_'): p for p in pathlib.Path(root).glob('lib/modules/**/*.ko')}


def with_dependencies(names, modules):
    """The modules in an order in which insmod takes them; what is built in is left out."""
    order = []

    def visit(name):
        name = name.replace('-', '_')
        if name not in modules or name in order:
            return
        found = re.search(rb'depends=([^\0]*)\0', modules[name].read_bytes())
        for need in (found[1].decode().split(',') if found and found[1] else []):
            visit(need)
        # crc32c and its like are asked for by name at run time, not listed as dependencies
        order.append(name)

    for name in names:
        visit(name)
    return order


INIT = '''#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for m in $(cat /modules.list); do
    insmod /modules/$m.ko $(cat /modules/$m.parameters 2>/dev/null) || echo BOOT-FAIL insmod $m
done
echo BOOT-UP $(uname -m)
. /task
'''


def libraries(program):
    """What a program of the host needs to run in a guest: {path: file}."""
    text = subprocess.run(['ldd', program], capture_output=True, text=True, check=True).stdout
    return {path.lstrip('/'): path for path in re.findall(r'(/\S+) \(0x', text)}


def followed(root, path):
    """What a link leads to, if that begins with the other system's root."""
    while path.is_symlink() and os.path.isabs(os.readlink(path)):
        path = root / os.readlink(path).lstrip('/')
    return path


def libraries_in(root, program):
    """The same for a program of another system, whose packages were unpacked into root."""
    found, wanted = {}, [program]
    while wanted:
        text = subprocess.run(['readelf', '-d', '-l', wanted.pop()], capture_output=True, text=True, check=True).stdout
        paths = [root / name for name in re.findall(r'program interpreter: /(\S+)\]', text)]
        for name in re.findall(r'Shared library: \[(\S+)\]', text):
            paths += sorted(path for path in root.glob(f'**/{name}') if path.is_file())[:1]
        for path in paths:
            if str(path.relative_to(root)) not in found:
                found[str(path.relative_to(root))] = followed(root, path)
                wanted.append(followed(root, path))
    return found


def build(output, busybox, kernel_root, module_names, task, programs=(), files=None, parameters=None):
    """Writes a gzipped initramfs whose /init loads modules and runs `task`, a shell script; programs go to /bin,
    files ({path: file of the host}) to their paths; parameters are what modules get ({module: text})."""
    cpio = Cpio()
    for name in ('bin', 'dev', 'proc', 'sys', 'tmp', 'mnt', 'modules', 'etc'):
        cpio.folder(name)
    cpio.add('dev/console', stat.S_IFCHR | 0o600, rdev=(5, 1))
    cpio.file('bin/busybox', pathlib.Path(busybox).read_bytes(), 0o755)
    applets = ('sh mount umount insmod echo cat uname ls dmesg grep sed awk wc head tail cut sleep sync ifconfig route '
               'udhcpc wget nc md5sum dd mkdir cp rm poweroff reboot mke2fs ip ping nproc date cmp true seq expr sort basename dirname chroot findfs printf od diff').split()
    for name in applets:
        cpio.link(f'bin/{name}', 'busybox')
    for program in programs:
        cpio.file(f'bin/{os.path.basename(program)}', pathlib.Path(program).read_bytes(), 0o755)
    for folder in sorted({str(parent) for path in files or {} for parent in pathlib.PurePath(path).parents} - {'.', 'bin', 'etc'}):
        cpio.folder(folder)
    for path, source in (files or {}).items():
        cpio.file(path, pathlib.Path(source).read_bytes(), 0o755)
    modules = find_modules(kernel_root)
    order = with_dependencies(module_names, modules)
    for name in order:
        cpio.file(f'modules/{name}.ko', modules[name].read_bytes())
    cpio.file('modules.list', '\n'.join(order).encode())
    for name, text in (parameters or {}).items():
        cpio.file(f'modules/{name}.parameters', text.encode())
    cpio.file('init', INIT.encode(), 0o755)
    cpio.file('task', task.encode())
    # busybox's DHCP client calls this to set what it has learnt
    cpio.file('etc/dhcp', b'#!/bin/sh\n[ "$1" = bound ] || exit 0\nifconfig $interface $ip netmask $subnet\n'
                          b'route add default gw $router\necho nameserver $dns > /etc/resolv.conf\n'
                          b'echo BOOT-DHCP $ip\n', 0o755)
    tmp = f'{output}.{os.getpid()}'
    with open(tmp, 'wb') as f:
        f.write(gzip.compress(cpio.finish(), 1))
    os.replace(tmp, output)
