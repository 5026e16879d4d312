#!/usr/bin/env python3
"""The block layer under a real kernel: every cache mode, and a host file system that is full. usage: block.py MYNA NAME"""
import os
import shutil
import subprocess
import tempfile
import time

import linux
import machine

WRITE = '''
fill() {{ # fill LABEL: the kernel probes disks side by side, so their letters say nothing
    mount -t ext4 $(findfs LABEL=$1) /mnt || echo BOOT-FAIL mount
    i=0; while [ $i -lt {files} ]; do dd if=/dev/urandom of=/mnt/file$i bs=64k count=4 2>/dev/null; i=$(expr $i + 1); done
    cat /mnt/file* > /mnt/all || echo BOOT-FAIL write
    sync
    echo BOOT-SUM $1 $(md5sum /mnt/all | cut -c1-32)
    umount /mnt
}}
'''


def make_disk(path, label, size):
    with open(path, 'wb') as f:
        f.truncate(size)
    if subprocess.run(['/sbin/mkfs.ext4', '-q', '-F', '-L', label, path]).returncode != 0:
        machine.skip('mkfs.ext4 is missing (Debian package e2fsprogs)')


def caches(myna):
    """Four disks, each with another cache mode, written and checked on the host."""
    modes = ['none', 'writethrough', 'directsync', 'unsafe']
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder: # where O_DIRECT works
        task, args = WRITE.format(files=6), ['-nic', 'none']
        for i, mode in enumerate(modes):
            path = f'{folder}/{mode}.img'
            make_disk(path, mode, 24 << 20)
            aio = 'threads' if i % 2 else 'native' if mode == 'none' else 'io_uring'
            args += ['-drive', f'file={path},format=raw,index={i},cache={mode},aio={aio},discard=unmap,detect-zeroes=unmap']
            task += f'fill {mode}\n'
        task += 'echo BOOT-END\nreboot -f\n'
        with linux.boot(myna, 'amd64', task, modules=linux.DISK_MODULES, args=args) as m:
            digests = {mode: m.expect(f'BOOT-SUM {mode} (\\w{{32}})', 200)[1] for mode in modes}
            m.expect('BOOT-END', 30)
            m.wait_exit(60)
        for mode in modes:
            machine.check_disk(f'{folder}/{mode}.img', '/all', digests[mode], folder)


def full(myna):
    """The host's file system fills up: the machine stops, and goes on without a loss when there is room again."""
    with tempfile.TemporaryDirectory() as folder:
        place = f'{folder}/small'
        os.mkdir(place)
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', place], capture_output=True).returncode != 0:
            machine.skip('only root can mount the small file system that this fills')
        try:
            make_disk(f'{place}/disk.img', 'full', 64 << 20)
            task = WRITE.format(files=60) + 'fill full\necho BOOT-END\nreboot -f\n'
            with linux.boot(myna, 'amd64', task, modules=linux.DISK_MODULES,
                            args=['-nic', 'none', '-drive', f'file={place}/disk.img,format=raw,werror=stop']) as m:
                for _ in range(1500):
                    if m.command('query-status')['status'] == 'io-error':
                        break
                    time.sleep(0.1)
                else:
                    raise machine.Failure('the machine did not stop')
                if m.command('query-block')[0]['io-status'] != 'nospace':
                    raise machine.Failure(f'query-block: {m.command("query-block")[0]}')
                subprocess.run(['mount', '-o', 'remount,size=100m', place], check=True)
                m.command('cont')
                digest = m.expect('BOOT-SUM full (\\w{32})', 200)[1]
                m.expect('BOOT-END', 30)
                m.wait_exit(60)
                if 'I/O error' in m.text or 'BOOT-FAIL' in m.text:
                    raise machine.Failure('the guest saw an error')
            machine.check_disk(f'{place}/disk.img', '/all', digest, folder)
        finally:
            subprocess.run(['umount', '-l', place], check=False)


def refused(m, name, /, **arguments):
    try:
        m.command(name, **arguments)
    except machine.Failure as e:
        return str(e)
    raise machine.Failure(f'{name} {arguments} was accepted')


def tool(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise machine.Failure(f'{" ".join(words)}: {done.stdout}{done.stderr}')
    return done.stdout


def monitor(myna):
    """Block nodes, snapshots, sizes, limits and exports, through QMP."""
    if not shutil.which('qemu-io'):
        machine.skip('qemu-io is missing (Debian package qemu-utils)')
    with tempfile.TemporaryDirectory() as folder:
        base, top, socket = f'{folder}/base.img', f'{folder}/top.qcow2', f'{folder}/nbd.sock'
        tool('qemu-img', 'create', '-q', '-f', 'raw', base, '8M')
        tool('qemu-io', '-f', 'raw', '-c', 'write -P 1 0 8M', base)
        with machine.Machine(myna, '-S', '-nodefaults', '-drive', f'file={base},format=raw,if=none,id=d,node-name=below') as m:
            m.command('blockdev-snapshot-sync', device='d', **{'snapshot-file': top, 'format': 'qcow2'})
            drive = m.command('query-block')[0]['inserted']
            if drive['drv'] != 'qcow2' or drive['backing_file_depth'] != 1 or drive['backing_file'] != base:
                raise machine.Failure(f'snapshot: {drive}')
            refused(m, 'block_set_io_throttle', device='d', bps=1, bps_rd=1, bps_wr=1, iops=0, iops_rd=0, iops_wr=0)
            m.command('block_set_io_throttle', device='d', bps=0, bps_rd=0, bps_wr=0, iops=500, iops_rd=0, iops_wr=0)
            if m.command('query-block')[0]['inserted']['iops'] != 500:
                raise machine.Failure('the limit is not shown')
            m.command('block_resize', device='d', size=16 << 20)
            m.command('nbd-server-start', addr={'type': 'unix', 'data': {'path': socket}})
            m.command('nbd-server-add', device='d', writable=True)
            uri = f'nbd+unix:///d?socket={socket}'
            tool('qemu-io', '-f', 'raw', '-c', 'write -P 2 1M 64k', '-c', 'read -P 1 0 1M', '-c', 'read -P 0 8M 8M', uri)
            m.command('nbd-server-stop')
            m.command('human-monitor-command', **{'command-line': 'commit d'})
            tool('qemu-img', 'create', '-q', '-f', 'qcow2', f'{folder}/other.qcow2', '4M')
            m.command('blockdev-add', driver='file', filename=f'{folder}/other.qcow2', **{'node-name': 'file'})
            m.command('blockdev-add', driver='qcow2', file='file', **{'node-name': 'format'})
            refused(m, 'blockdev-add', driver='qcow2', file='nobody', **{'node-name': 'x'})
            refused(m, 'blockdev-del', **{'node-name': 'file'})
            names = {node['node-name'] for node in m.command('query-named-block-nodes')}
            if not {'below', 'file', 'format'} <= names:
                raise machine.Failure(f'nodes: {names}')
            m.command('blockdev-del', **{'node-name': 'format'})
            m.command('blockdev-del', **{'node-name': 'file'})
            m.command('human-monitor-command', **{'command-line': 'drive_del d'})
            if m.command('query-block'):
                raise machine.Failure('the drive is still there')
        tool('qemu-io', '-f', 'raw', '-c', 'read -P 2 1M 64k', '-c', 'read -P 1 2M 6M', '-c', 'read -P 0 8M 8M', base)
        tool('qemu-img', 'check', '-q', top)


TESTS = {'caches': caches, 'full': full, 'monitor': monitor}

if __name__ == '__main__':
    machine.main(TESTS)
