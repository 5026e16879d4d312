#!/usr/bin/env python3
"""Unattended Debian 12 installations over the network, and the first start from the installed disk.

Usage: install.py MYNA [test...]; QEMU in place of Myna gives the figures to compare with.
"""
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import firmware
import machine
import udebs

# Of the installer's main menu.
STEPS = ('download-installer', 'partman-base', 'bootstrap-base', 'apt-setup-udeb', 'pkgsel', 'grub-installer', 'finish-install')

PRESEED = '''
d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i netcfg/choose_interface select auto
d-i netcfg/wireless_wep string
d-i mirror/country string manual
d-i mirror/protocol string http
d-i mirror/http/hostname string {here}
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i mirror/suite string bookworm
d-i mirror/udeb/suite string installer
d-i debian-installer/allow_unauthenticated boolean true
d-i partman/early_command string debconf-set debian-installer/allow_unauthenticated false; debconf-set mirror/http/hostname {mirror}; debconf-set mirror/http/directory {folder}
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
d-i base-installer/initramfs-tools/driver-policy select dep
d-i apt-setup/services-select multiselect
d-i apt-setup/non-free-firmware boolean false
d-i apt-setup/enable-source-repositories boolean false
d-i pkgsel/run_tasksel boolean false
d-i pkgsel/include string
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


class Syslog:
    """Collects what the installer logs, on the host's loopback; a context manager that prints its end after a failure."""

    def __enter__(self):
        self.text = ''
        self.start = time.monotonic()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.arguments = f'log_host=10.0.2.2 log_port={self.socket.getsockname()[1]}'
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def read(self):
        while True:
            line = self.socket.recv(65536).decode('latin1').strip('\0\n') + '\n'
            self.text += line
            if 'MYNA_SERIAL_LOG' in os.environ:
                with open(os.environ['MYNA_SERIAL_LOG'] + '.syslog', 'a', encoding='latin1') as log:
                    log.write(f'{time.monotonic() - self.start:8.1f} {line}')

    def expect(self, word, timeout):
        end = time.monotonic() + timeout
        while word not in self.text:
            if time.monotonic() > end:
                raise machine.Failure(f'no {word} in the log of the installer')
            time.sleep(1)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print('--- the last of the log:\n' + self.text[-4000:], flush=True)


class Stopwatch:
    """Prints how long something took, and the processor time of the programs that ended within."""

    def __init__(self, what):
        self.what = what

    def ended(self):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def text(self, running=None):
        """The time since the start, and the processor time since then (and that of a program still running)."""
        used = self.ended() - self.used
        if running:
            fields = pathlib.Path(f'/proc/{running}/stat').read_text().rpartition(')')[2].split()
            used += (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        return f'{time.monotonic() - self.start:.0f} s, {used:.0f} s of processor time'

    def __enter__(self):
        self.start, self.used = time.monotonic(), self.ended()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            print(f'{self.what} in {self.text()}', flush=True)


def udebs_in_reach(host, folder):
    """The installer's packages and its mini.iso: Debian 12's if the mirror carries all that is needed, else Debian 13's."""
    missing = []
    for release, codename in ((12, 'bookworm'), (13, 'trixie')):
        try:
            found = udebs.Udebs(f'http://{host}{folder}', codename, *machine.installer('amd64', 'text', release))
        except OSError as error:
            machine.skip(f'the mirror {host} does not answer: {error}')
        if not found.missing:
            print(f"installer: Debian {release}'s, without {' '.join(found.lacking) or 'nothing'}", flush=True)
            return found, machine.mini_iso('amd64', 'text', release)
        missing += found.missing
    machine.skip(f"the mirror in reach does not carry the installer's packages: {' '.join(missing)}")


def install(myna, form, disk, options='', memory=1024):
    """Installs onto a new image of that format and looks at what came of it.

    disk makes command-line options from the image's path; options are the installer kernel's.
    """
    host, folder = mirror()
    packages, iso = udebs_in_reach(host, folder)
    server = udebs.Server(packages, lambda here: PRESEED.format(here=here, mirror=host, folder=folder))
    with tempfile.TemporaryDirectory() as temporary:
        image = new_image(temporary, form)
        with Stopwatch('installed') as watch, Syslog() as log, \
                machine.Machine(myna, '-m', memory, '-cdrom', iso, *disk(image), '-boot', 'd') as m:
            m.connect()
            firmware.wait_picture(m, "ISOLINUX's menu", lambda p: p[0] == 640 and firmware.colours(p)[0] > 100, 300)
            m.keys('esc')
            if comparing():
                time.sleep(10)  # QEMU's monitor does not tell what is on the screen
            else:
                m.wait_screen('boot:', 60)
            m.type(f'auto url={server.url} hostname=mynaguest domain=test {log.arguments} {options} '
                   'DEBIAN_FRONTEND=text console=ttyS0\n')
            for step in STEPS:
                log.expect(f"'{step}' selected", 7200)
                print(f'{step} after {watch.text(m.process.pid)}', flush=True)
            if m.wait_exit(1200) != 0:
                raise machine.Failure('the installer did not power off')
        start_installed(myna, memory, disk(image))
        check_image(image, form, temporary)


def start_installed(myna, memory, disk):
    """The first start from the disk: firmware, boot loader, log-in, power off."""
    with Stopwatch('started, asked and powered off'), machine.Machine(myna, '-m', memory, *disk, '-boot', 'c') as m:
        m.expect('mynaguest login:', 1200)
        m.send('root\n')
        m.expect('Password:', 120)
        m.send('installed\n')
        m.expect(r'root@mynaguest:~# ', 120)
        m.send('dpkg --audit && echo AUDIT-$((40 + 2)) $(uname -m) $(cat /etc/debian_version)\n')
        print(m.expect('AUDIT-42 x86_64 12.*', 120)[0], flush=True)
        m.send('systemctl --failed --no-legend; df -h /; poweroff\n')
        if m.wait_exit(600) != 0:
            raise machine.Failure('the installed system did not power off')


def check_image(image, form, folder):
    """The image under the checkers of others: Debian's qemu-img and e2fsck."""
    if not shutil.which('qemu-img'):
        print('qemu-img is not there to check the image (Debian package qemu-utils)', flush=True)
        return
    if form != 'qcow':  # the tool has no check for version 1; that it reads the image is what there is
        subprocess.run(['qemu-img', 'check', '-q', '-f', form, image], check=True)
    raw = os.path.join(folder, 'raw.img')
    subprocess.run(['qemu-img', 'convert', '-f', form, '-O', 'raw', image, raw], check=True)
    with open(raw, 'rb') as f:
        start = int.from_bytes(f.read(512)[454:458], 'little') * 512  # of the first partition
    check = subprocess.run(['/sbin/e2fsck', '-fn', f'{raw}?offset={start}'], capture_output=True, text=True)
    if check.returncode != 0:
        raise machine.Failure(f'e2fsck: {check.stdout}')
    print(check.stdout.splitlines()[-1].replace(raw, 'hda.img'), f'in {os.stat(image).st_blocks * 512 >> 20} MiB', flush=True)


def new_image(folder, form):
    """A disk of 6 GiB in a file that grows, as a user makes it."""
    path = os.path.join(folder, 'hda.img')
    tool = [shutil.which('qemu-img')] if comparing() else [sys.argv[1], 'img']
    subprocess.run([*tool, 'create', path, '-f', form, '6G'], check=True, stdout=subprocess.DEVNULL)
    return path


def comparing():
    """Whether it is QEMU that installs, for its figures."""
    return 'qemu' in os.path.basename(sys.argv[1])


TESTS = {
    'installer': lambda myna: install(myna, 'qcow', lambda image: ['-hda', image]),
    # Programs are at fixed addresses, so that no block is position-independent.
    'installer-virtio': lambda myna: install(myna, 'qcow2', lambda image: ['-drive', f'file={image},if=virtio'], 'norandmaps'),
}

if __name__ == '__main__':
    machine.main(TESTS)
