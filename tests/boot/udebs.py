"""Serves Debian's installer the packages it is made of (.udeb), as far as the mirror in reach carries them.

Mirrors can have an index of such packages whose files they lack: superseded ones, or all that Debian's ordinary packages
do not share a source with. The installer gives up at the first it cannot fetch, be it for a file system nobody asked for.
So an index is made of those that are there and whose dependencies are; it stands under a release name of its own
("installer", the answer to mirror/udeb/suite). What cannot be left out, mke2fs, is made of the package e2fsprogs.
"""
import concurrent.futures
import email.utils
import gzip
import hashlib
import http.server
import lzma
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

SUITE = 'installer'
INDEX = 'main/debian-installer/binary-amd64/Packages.gz'

# What an installation onto one ext4 partition with GRUB goes through, beyond the initial RAM disk.
NEEDED = ('apt-mirror-setup apt-setup-udeb base-installer bootstrap-base clock-setup debootstrap-udeb e2fsprogs-udeb '
          'finish-install grub-installer partman-auto partman-base partman-basicfilesystems partman-ext3 '
          'partman-partitioning partman-target pkgsel tzsetup-udeb user-setup-udeb').split()
# A dependency of convenience: partitioning can shrink foreign file systems, where their tools are there.
DISPENSABLE = {'ntfs-3g-udeb', 'xfsprogs-udeb', 'btrfs-progs-udeb'}


def stanzas(text):
    """Package name to its fields, of an index or a status file."""
    packages = {}
    for stanza in text.split('\n\n'):
        fields = dict(re.findall(r'(?m)^([\w-]+): *(.*(?:\n[ \t].*)*)', stanza))
        if 'Package' in fields:
            packages[fields['Package']] = fields
    return packages


def names(relation):
    """The names in a Depends or Provides field, each a list of alternatives."""
    return [[re.sub(r'\s*\(.*', '', name).strip() for name in group.split('|')] for group in relation.split(',') if group.strip()]


def initrd_status(initrd):
    """The packages inside the installer's initial RAM disk."""
    data = gzip.decompress(pathlib.Path(initrd).read_bytes())
    position = 0
    while data[position:position + 6] == b'070701':
        fields = [int(data[position + 6 + 8 * i:position + 14 + 8 * i], 16) for i in range(13)]
        size, name_size = fields[6], fields[11]
        start = (position + 110 + name_size + 3) & ~3
        if data[position + 110:position + 110 + name_size].rstrip(b'\0').endswith(b'var/lib/dpkg/status'):
            return stanzas(data[start:start + size].decode())
        position = (start + size + 3) & ~3
    raise ValueError(f'{initrd} holds no list of packages')


def kernel_version(vmlinuz):
    data = pathlib.Path(vmlinuz).read_bytes()
    start = int.from_bytes(data[0x20e:0x210], 'little') + 0x200  # the boot protocol's kernel_version
    return data[start:data.index(b'\0', start)].split()[0].decode()


def provided(packages):
    """All names that a dependency on one of the packages can have."""
    found = set(packages)
    for fields in packages.values():
        found.update(name for group in names(fields.get('Provides', '')) for name in group)
    return found


class Udebs:
    """The packages of one release of the installer that a mirror (its URL) carries."""

    def __init__(self, mirror, codename, vmlinuz, initrd):
        self.mirror, self.codename = mirror, codename
        self.files = {}  # path to content, of what is served from here
        inside = initrd_status(initrd)
        kernel = kernel_version(vmlinuz)
        index = stanzas(lzma.decompress(self.fetch(f'dists/{codename}/main/debian-installer/binary-amd64/Packages.xz')).decode())
        index = {name: fields for name, fields in index.items()
                 if name not in inside and fields.get('Kernel-Version', kernel) == kernel}
        needed = [name for name in [*NEEDED, f'ext4-modules-{kernel}-di', f'ata-modules-{kernel}-di'] if name not in inside]
        there = self.carried({name: index[name] for name in needed if name in index})
        self.missing = [name for name in needed if name not in there and name != 'e2fsprogs-udeb']
        if self.missing:
            return
        self.packages = self.carried(index)
        self.lacking = [name for name in index if name not in self.packages]
        if 'e2fsprogs-udeb' in self.lacking:
            self.make_e2fsprogs(index['e2fsprogs-udeb'])
        while True:  # what is left depends on nothing that is not there
            have = provided(self.packages) | provided(inside) | DISPENSABLE
            broken = [name for name, fields in self.packages.items()
                      if not all(have & set(group) for group in names(fields.get('Depends', '')))]
            if not broken:
                break
            for name in broken:
                del self.packages[name]
        for fields in self.packages.values():
            depends = [' | '.join(group) for group in names(fields.get('Depends', '')) if not set(group) & (DISPENSABLE - set(self.packages))]
            fields['Depends'] = ', '.join(depends)
        self.missing = [name for name in needed if name not in self.packages]
        self.publish()

    def fetch(self, path):
        return urllib.request.urlopen(f'{self.mirror}/{path}', timeout=120).read()

    def carried(self, packages):
        """Those of the packages whose files are there."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            there = list(pool.map(self.carries, (fields['Filename'] for fields in packages.values())))
        return {name: fields for (name, fields), yes in zip(packages.items(), there) if yes}

    def carries(self, path):
        try:
            urllib.request.urlopen(urllib.request.Request(f'{self.mirror}/{path}', method='HEAD'), timeout=60)
            return True
        except urllib.error.HTTPError:
            return False

    def make_e2fsprogs(self, fields):
        """The installer's package of mke2fs, out of the ordinary packages of the same release."""
        main = stanzas(lzma.decompress(self.fetch(f'dists/{self.codename}/main/binary-amd64/Packages.xz')).decode())
        sources = [name for name in ('e2fsprogs', 'libext2fs2t64', 'libext2fs2', 'libcom-err2') if name in main]
        if not all(self.carries(main[name]['Filename']) for name in sources):
            return
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder, 'tree')
            for name in sources:
                deb = pathlib.Path(folder, f'{name}.deb')
                deb.write_bytes(self.fetch(main[name]['Filename']))
                subprocess.run(['dpkg-deb', '-x', deb, folder + '/all'], check=True)
            for path in pathlib.Path(folder, 'all').rglob('*'):
                if re.search(r'/sbin/(mke2fs|mkfs\.ext|e2fsck|fsck\.ext|tune2fs|resize2fs|badblocks)|\.so\.\d|mke2fs\.conf$', str(path)) \
                        and not path.is_dir():
                    place = tree / path.relative_to(folder + '/all')
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.rename(path, place)
            (tree / 'DEBIAN').mkdir()
            version = main['e2fsprogs']['Version']
            (tree / 'DEBIAN/control').write_text(
                f'Package: e2fsprogs-udeb\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody <nobody@invalid>\n'
                'Description: mke2fs for the installer\n')
            udeb = pathlib.Path(folder, 'e2fsprogs-udeb.udeb')
            subprocess.run(['dpkg-deb', '--root-owner-group', '-Zxz', '-b', tree, udeb], check=True, stdout=subprocess.DEVNULL)
            content = udeb.read_bytes()
        path = 'pool/e2fsprogs-udeb.udeb'
        self.files[path] = content
        self.packages['e2fsprogs-udeb'] = {
            **fields, 'Version': version, 'Depends': 'libblkid1-udeb, libuuid1-udeb', 'Filename': path, 'Size': str(len(content)),
            'MD5sum': hashlib.md5(content).hexdigest(), 'SHA256': hashlib.sha256(content).hexdigest()}

    def publish(self):
        """The index and its Release file."""
        text = '\n'.join(''.join(f'{key}: {value}\n' for key, value in fields.items()) for fields in self.packages.values())
        index = gzip.compress(text.encode(), mtime=0)
        self.files[f'dists/{SUITE}/{INDEX}'] = index
        self.files[f'dists/{SUITE}/Release'] = (
            f'Origin: Debian\nSuite: {SUITE}\nCodename: {SUITE}\nDate: {email.utils.formatdate()}\nArchitectures: amd64\n'
            f'Components: main\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} {INDEX}\n').encode()


class Server:
    """Serves preseed.cfg and a mirror under /debian on the host's loopback; guests reach it through user networking."""

    def __init__(self, udebs, preseed):
        """preseed is a function of the server's host and port, as the guest sees them."""
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.removeprefix('/debian/').lstrip('/')
                content = udebs.files.get(path)
                if path == 'preseed.cfg':
                    content = text.encode()
                elif content is None:
                    try:
                        content = udebs.fetch(path)
                    except OSError as error:
                        self.send_error(getattr(error, 'code', 502))
                        return
                self.send_response(200)
                self.send_header('Content-Length', str(len(content)))
                self.end_headers()
                if self.command == 'GET':
                    self.wfile.write(content)

            do_HEAD = do_GET

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.host = f'10.0.2.2:{self.server.server_port}'
        self.url = f'http://{self.host}/preseed.cfg'
        text = preseed(self.host)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
