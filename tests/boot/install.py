#!/usr/bin/env python3
"""Unattended Debian 12 installations over the network, and the first start from the installed disk.

Usage: install.py MYNA [test...]; QEMU in place of Myna gives the figures to compare with.
"""
import http.server
import lzma
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import firmware
import initramfs
import linux
import machine

PRESEED = '''
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/get_hostname string mynaguest
d-i netcfg/get_domain string test
d-i netcfg/wireless_wep string
d-i mirror/country string manual
d-i mirror/http/hostname string {mirror}
d-i mirror/http/directory string {folder}
d-i mirror/http/proxy string
d-i passwd/root-login boolean true
d-i passwd/make-user boolean false
d-i passwd/root-password password installed
d-i passwd/root-password-again password installed
d-i clock-setup/utc boolean true
d-i time/zone string UTC
d-i clock-setup/ntp boolean false
d-i partman-auto/method string regular
d-i partman-auto/choose_recipe select atomic
d-i partman-partitioning/confirm_write_new_label boolean true
d-i partman/choose_partition select finish
d-i partman/confirm boolean true
d-i partman/confirm_nooverwrite boolean true
d-i base-installer/install-recommends boolean false
d-i apt-setup/services-select multiselect
d-i apt-setup/non-free-firmware boolean false
d-i apt-setup/enable-source-repositories boolean false
tasksel tasksel/first multiselect
d-i pkgsel/upgrade select none
d-i pkgsel/update-policy select none
popularity-contest popularity-contest/participate boolean false
d-i grub-installer/only_debian boolean true
d-i grub-installer/bootdev string default
d-i finish-install/reboot_in_progress note
d-i debian-installer/exit/poweroff boolean true
d-i debian-installer/add-kernel-opts string console=ttyS0
'''


def mirror():
    """Host and folder of the Debian mirror that this machine's apt uses."""
    run = subprocess.run(['apt-get', 'indextargets', '--format', '$(SITE) $(RELEASE)'], capture_output=True, text=True)
    for line in run.stdout.splitlines():
        site, _, release = line.partition(' ')
        if site.startswith('http://') and release.startswith('bookworm'):
            host, _, folder = site.removeprefix('http://').partition('/')
            return host, '/' + folder
    machine.skip('apt knows no HTTP mirror of Debian 12')


def need_installer_packages(host, folder):
    """Mirrors can carry Debian's packages without those (.udeb) that the installer itself is made of."""
    base = f'http://{host}{folder}'
    index = urllib.request.urlopen(f'{base}/dists/bookworm/main/debian-installer/binary-amd64/Packages.xz', timeout=60).read()
    for package in ('partman-ext3', 'grub-installer', 'finish-install'):
        path = re.search(rf'(?ms)^Package: {package}$.*?^Filename: (\S+)', lzma.decompress(index).decode())[1]
        try:
            urllib.request.urlopen(urllib.request.Request(f'{base}/{path}', method='HEAD'), timeout=60)
        except urllib.error.HTTPError as error:
            machine.skip(f'the mirror in reach does not carry {package}: {error}')


class Preseed:
    """Serves the answers on the host's loopback; guests reach it through user networking."""

    def __init__(self, text):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f'http://10.0.2.2:{self.server.server_port}/preseed.cfg'


def install(myna, make_image, memory=1024, iso_arch='amd64'):
    """Installs onto the image and starts from it; returns (seconds, processor seconds) of the installation."""
    host, folder = mirror()
    need_installer_packages(host, folder)
    preseed = Preseed(PRESEED.format(mirror=host, folder=folder))
    iso = machine.mini_iso(iso_arch)
    start = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as temporary:
        image = make_image(temporary)
        with machine.Machine(myna, '-m', memory, '-cdrom', iso, *image, '-boot', 'd') as m:
            m.connect()
            firmware.wait_picture(m, "ISOLINUX's menu", lambda p: p[0] == 640 and firmware.colours(p)[0] > 100, 90)
            m.keys('esc')
            m.wait_screen('boot:', 30)
            m.type(f'auto url={preseed.url} priority=critical DEBIAN_FRONTEND=text console=ttyS0\n')
            m.expect('Configuring the network with DHCP', 240)
            m.wait_exit(5400)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = time.monotonic() - start
        processor = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        print(f'installed in {seconds:.0f} s, {processor:.0f} s of processor time', flush=True)
        start_installed(myna, memory, image)
        return seconds, processor


def start_installed(myna, memory, image):
    """The first start from the disk: firmware, boot loader, log-in, power off."""
    with machine.Machine(myna, '-m', memory, *image, '-boot', 'c') as m:
        m.expect('mynaguest login:', 300)
        m.send('root\n')
        m.expect('Password:', 60)
        m.send('installed\n')
        m.expect(r'root@mynaguest:~# ', 60)
        m.send('dpkg --audit && uname -m && echo AUDIT-$((40 + 2)); df -h /\n')
        m.expect('AUDIT-42', 60)
        m.send('poweroff\n')
        if m.wait_exit(180) != 0:
            raise machine.Failure('the installed system did not power off')


# What the installer does behind its dialogs, for mirrors that carry packages but not the installer's own parts. Busybox's
# shell and chroot prefer its own dpkg and tar to the real ones, hence dash and coreutils' chroot.
BOOTSTRAP = '''
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -n -q -s /etc/dhcp
echo ',,L,*' | sfdisk -q /dev/sda && mdev -s && mkfs.ext4 -q /dev/sda1 && mount -t ext4 /dev/sda1 /mnt || echo BOOT-FAIL disk
dash /usr/sbin/debootstrap --arch=amd64 --variant=minbase --no-check-gpg --include=linux-image-amd64,grub-pc,systemd-sysv,udev bookworm /mnt http://{mirror}{folder} || {{
    tail -n 20 /mnt/debootstrap/debootstrap.log
    echo BOOT-FAIL debootstrap
    poweroff -f
}}
echo BOOT-BASE
echo '/dev/sda1 / ext4 errors=remount-ro 0 1' > /mnt/etc/fstab
echo mynaguest > /mnt/etc/hostname
echo 127.0.0.1 localhost mynaguest > /mnt/etc/hosts
echo GRUB_CMDLINE_LINUX=console=ttyS0 >> /mnt/etc/default/grub
mount -t proc proc /mnt/proc; mount -t sysfs sysfs /mnt/sys; mount -t devtmpfs dev /mnt/dev
echo root:installed | chroot /mnt chpasswd
chroot /mnt grub-install /dev/sda && chroot /mnt update-grub && echo BOOT-GRUB
umount /mnt/dev /mnt/sys /mnt/proc; umount /mnt && echo BOOT-END
poweroff -f
'''


def bootstrap(myna, make_image, memory=1024):
    """debootstrap, kernel and boot loader over the network onto the image; then the first start from the disk."""
    host, folder = mirror()
    programs = [shutil.which(p, path='/usr/sbin:/usr/bin:/sbin:/bin') for p in
                ('debootstrap', 'perl', 'sfdisk', 'mkfs.ext4', 'tar', 'dpkg-deb', 'sha256sum', 'dash', 'chroot')]
    if None in programs:
        machine.skip('needs debootstrap, perl-base, fdisk and e2fsprogs (Debian packages)')
    files = {}
    for program in programs:
        files[program.lstrip('/')] = program
        if pathlib.Path(program).read_bytes()[:4] == b'\x7fELF':
            files.update(initramfs.libraries(program))
    for tree in ('/usr/share/debootstrap', '/usr/lib/x86_64-linux-gnu/perl-base', '/etc/mke2fs.conf'):
        for path in [pathlib.Path(tree), *pathlib.Path(tree).rglob('*')]:
            if path.is_file():
                files[str(path).lstrip('/')] = str(path.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        image = make_image(temporary)
        start = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with linux.boot(myna, 'amd64', BOOTSTRAP.format(mirror=host, folder=folder),
                        modules=['e1000', *linux.DISK_MODULES], memory=memory, files=files, args=image) as m:
            m.expect('BOOT-BASE', 3600)
            m.expect('BOOT-GRUB', 600)
            m.expect('BOOT-END', 120)
            m.wait_exit(60)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        print(f'installed in {time.monotonic() - start:.0f} s, {processor:.0f} s of processor time', flush=True)
        start_installed(myna, memory, image)


def raw_image(folder):
    path = os.path.join(folder, 'hda.img')
    with open(path, 'wb') as f:
        f.truncate(6 << 30)
    return ['-drive', f'file={path},format=raw']


TESTS = {
    'installer': lambda myna: install(myna, raw_image),
    'bootstrap': lambda myna: bootstrap(myna, raw_image),
}

if __name__ == '__main__':
    machine.main(TESTS)
