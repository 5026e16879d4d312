"""Image formats both ways: what myna-img writes, qemu-img reads and finds clean; what that writes, myna-img reads."""
import os
import pathlib
import re

from tool import check, content, disk, img, img_json, main, need_qemu, noise, patch, qemu, qemu_json, run, same, \
    same_content, write

SIZES = [512, 65536, (3 << 20) + 512, 20 << 20]


def options(*texts):
    return [x for text in texts if text for x in ('-o', text)]


def has_check(fmt):
    return fmt in ('qcow2', 'vdi', 'vhdx', 'vmdk')


def both_ways(fmt, *option_sets, sizes=SIZES, flags=()):
    for text in option_sets:
        for size in sizes:
            if size == 20 << 20 and text != option_sets[0]:
                continue
            what = f'{fmt} {text} {size}'
            disk('raw.img', size, seed=size)
            img('convert', '-f', 'raw', '-O', fmt, *flags, *options(text), 'raw.img', 'ours.' + fmt)
            same_content('raw.img', 'ours.' + fmt, fmt)
            if has_check(fmt):
                qemu('check', '-f', fmt, 'ours.' + fmt)
                img('check', '-f', fmt, 'ours.' + fmt)
            qemu('convert', '-f', 'raw', '-O', fmt, *flags, *options(text), 'raw.img', 'theirs.' + fmt)
            same_content('raw.img', 'theirs.' + fmt, fmt)
            mine, other = img_json('info', '-f', fmt, 'theirs.' + fmt), qemu_json('info', '-f', fmt, 'theirs.' + fmt)
            same(set(mine), set(other), what)
            for key in ['virtual-size', 'cluster-size', 'format', 'dirty-flag']:
                same(mine.get(key), other.get(key), f'{what} {key}')
            same(set(mine.get('format-specific', {}).get('data', {})), set(other.get('format-specific', {}).get('data', {})), what)
            if has_check(fmt):
                img('check', '-f', fmt, 'theirs.' + fmt)
            same(img_json('info', '-f', fmt, 'ours.' + fmt)['virtual-size'], other['virtual-size'], what)
            for name in os.listdir('.'):
                os.unlink(name)


def written_in_parts(fmt, text=None):
    """Writes at odd places into an image that both tools made, over and beside what is there."""
    size = 6 << 20
    for maker in (img, qemu):
        disk('raw.img', size)
        maker('convert', '-f', 'raw', '-O', fmt, *options(text), 'raw.img', 'a.' + fmt)
        for offset, count in [(0, 3), (1 << 20, 1000), (5 << 20, 64)]:
            for name, f in [('raw.img', 'raw'), ('a.' + fmt, fmt)]:
                img('bench', '-w', '-q', '-f', f, '-c', count, '-s', '512', '-S', '1536', '-d', '1', '-o', offset,
                    '--pattern=165', name)
        same_content('raw.img', 'a.' + fmt, fmt)
        if has_check(fmt):
            qemu('check', '-f', fmt, 'a.' + fmt)


@check
def vdi():
    both_ways('vdi', None, 'static=on')
    written_in_parts('vdi')
    written_in_parts('vdi', 'static=on')


@check
def vpc():
    both_ways('vpc', None, 'force_size=on', 'subformat=fixed', 'subformat=fixed,force_size=on')
    written_in_parts('vpc')
    written_in_parts('vpc', 'subformat=fixed,force_size=on')


@check
def vpc_geometry():
    for size in ['1M', '100M', '503M', '504M', '1G', '126G', '127G', '128G', '2040G']:
        img('create', '-q', '-f', 'vpc', 'a.vpc', size)
        qemu('create', '-q', '-f', 'vpc', 'b.vpc', size)
        same(qemu_json('info', 'a.vpc')['virtual-size'], img_json('info', 'b.vpc')['virtual-size'], size)
        same(content('a.vpc')[-472:-448], content('b.vpc')[-472:-448], size)
    img('create', '-f', 'vpc', 'a.vpc', '2041G', status=1)
    assert '2040' in run.stderr


@check
def vmdk():
    subformats = ['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'streamOptimized']
    both_ways('vmdk', None, *[f'subformat={s}' for s in subformats], 'zeroed_grain=on', 'adapter_type=lsilogic,hwversion=10',
              'compat6=on,adapter_type=buslogic,toolsversion=7', sizes=[65536, (3 << 20) + 512, 20 << 20])
    both_ways('vmdk', None, 'subformat=streamOptimized', sizes=[70144, 40 << 20])


@check
def vmdk_writes():
    for s in ['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']:
        written_in_parts('vmdk', f'subformat={s}')
    written_in_parts('vmdk', 'zeroed_grain=on')


@check
def vmdk_split():
    """Disks of several extents, written across their ends."""
    for s in ['twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']:
        write('raw.img', ((2 << 30) - 70000, noise(150000)), ((4 << 30) - 512, noise(1024)), size=(5 << 30) - 512)
        for maker in (img, qemu):
            maker('convert', '-O', 'vmdk', '-o', f'subformat={s}', '-f', 'raw', 'raw.img', 'a.vmdk')
            qemu('compare', '-f', 'raw', '-F', 'vmdk', 'raw.img', 'a.vmdk')
            img('compare', '-f', 'raw', '-F', 'vmdk', 'raw.img', 'a.vmdk')
            same(img('info', 'a.vmdk'), qemu('info', 'a.vmdk'))


@check
def vmdk_backing():
    disk('base.img', 5 << 20)
    for maker in (img, qemu):
        maker('convert', '-O', 'vmdk', '-f', 'raw', 'base.img', 'base.vmdk')
        for overlay, extra in [(img, []), (qemu, []), (img, ['-o', 'zeroed_grain=on'])]:
            overlay('create', '-q', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', *extra, 'top.vmdk')
            same_content('base.img', 'top.vmdk', 'vmdk')
            disk('both.img', 5 << 20)
            for offset, count in [(0, 3), (1 << 20, 700), (4 << 20, 64)]:
                for name, f in [('both.img', 'raw'), ('top.vmdk', 'vmdk')]:
                    img('bench', '-w', '-q', '-f', f, '-c', count, '-s', '512', '-S', '1536', '-d', '1', '-o', offset,
                        '--pattern=90', name)
            same_content('both.img', 'top.vmdk', 'vmdk')
            mine, other = img_json('info', '--backing-chain', 'top.vmdk'), qemu_json('info', '--backing-chain', 'top.vmdk')
            same([set(m) for m in mine], [set(o) for o in other])
            qemu('check', 'top.vmdk')
    img('create', '-q', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', 'stale.vmdk')
    img('bench', '-w', '-q', '-c', 1, 'base.vmdk')
    img('bench', '-w', '-q', '-c', 1, 'stale.vmdk', status=1)
    # An identity without its leading zeros, as qemu-img writes it now and then.
    img('create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', 'short.vmdk', '1M')
    text = pathlib.Path('short.vmdk').read_text(encoding='latin1')
    pathlib.Path('short.vmdk').write_text(re.sub(r'(?m)^CID=\w+', 'CID=5', text), encoding='latin1')
    img('create', '-q', '-f', 'vmdk', '-b', 'short.vmdk', '-F', 'vmdk', 'stale.vmdk')
    img('bench', '-w', '-q', '-c', 1, 'short.vmdk')
    img('bench', '-w', '-q', '-c', 1, 'stale.vmdk', status=1)
    img('create', '-f', 'vmdk', '-b', 'base.img', '-F', 'raw', 'x.vmdk', status=1)


@check
def vhdx():
    both_ways('vhdx', None, 'subformat=fixed', 'block_size=1M', 'block_size=1M,log_size=2M', 'block_size=4M,block_state_zero=off')
    written_in_parts('vhdx')
    written_in_parts('vhdx', 'block_size=1M')


@check
def vhdx_block_sizes():
    for size in ['10M', '1G', '2G', '100G', '500G', '33T']:
        img('create', '-q', '-f', 'vhdx', 'a.vhdx', size)
        qemu('create', '-q', '-f', 'vhdx', 'b.vhdx', size)
        mine, other = qemu_json('info', 'a.vhdx'), img_json('info', 'b.vhdx')
        same((mine['virtual-size'], mine['cluster-size']), (other['virtual-size'], other['cluster-size']), size)
        qemu('check', 'a.vhdx')
    write('raw.img', (0, noise(4096)), ((5 << 30) + 4096, noise(4096)), size=6 << 30)
    img('convert', '-f', 'raw', '-O', 'vhdx', '-o', 'block_size=1M', 'raw.img', 'a.vhdx')
    qemu('compare', '-f', 'raw', 'raw.img', 'a.vhdx')


def vhd_checksum(name, at, size, field):
    data = bytearray(content(name)[at:at + size])
    data[field:field + 4] = bytes(4)
    patch(name, at + field, (~sum(data) & 0xffffffff).to_bytes(4, 'big'))


@check
def vpc_differencing():
    """Made of a dynamic image: qemu-img has no differencing images. Sectors whose bit is clear are the parent's."""
    disk('parent.img', 4 << 20, seed=5)
    disk('child.img', 4 << 20, seed=6)
    for name in ['parent', 'child']:
        img('convert', '-f', 'raw', '-O', 'vpc', '-o', 'force_size=on', name + '.img', name + '.vhd')
    parent, child = content('parent.img'), content('child.img')
    bits = bytes([0xf0, 0x00, 0xff, 0x81]) * 128
    block = int.from_bytes(content('child.vhd')[1536:1540], 'big') * 512  # the first block's bitmap
    patch('child.vhd', block, bits)
    patch('child.vhd', 1540, b'\xff' * 4)  # the second block is the parent's
    patch('child.vhd', 512 + 64, 'C:\\disks\\parent.vhd'.encode('utf-16-be'))
    vhd_checksum('child.vhd', 512, 1024, 36)
    end = os.path.getsize('child.vhd') - 512
    for at in (0, end):
        patch('child.vhd', at + 60, (4).to_bytes(4, 'big'))
        vhd_checksum('child.vhd', at, 512, 64)
    want = b''.join((child if bits[i // 8] >> (7 - i % 8) & 1 else parent)[i * 512:i * 512 + 512] for i in range(4096))
    img('convert', '-f', 'vpc', '-O', 'raw', 'child.vhd', 'out.img')
    same(content('out.img') == want + parent[2 << 20:], True)
    same(img_json('info', 'child.vhd')['backing-filename'], 'parent.vhd')
    img('bench', '-w', '-c', 1, 'child.vhd', status=1)


def crc32c(data):
    table = [0] * 256
    for i in range(256):
        v = i
        for _ in range(8):
            v = v >> 1 ^ (0x82f63b78 if v & 1 else 0)
        table[i] = v
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def undo_clean_end(name):
    """A crash before the last log entry reached its place: the block table is empty, and the header names the log."""
    data = content(name)
    entry = data[1 << 20:(1 << 20) + 64]
    assert entry[:4] == b'loge', entry
    for at in (0x10000, 0x20000):
        header = bytearray(data[at:at + 4096])
        header[48:64] = entry[32:48]
        header[4:8] = bytes(4)
        header[4:8] = crc32c(header).to_bytes(4, 'little')
        patch(name, at, header)
    patch(name, 2 << 20, bytes(4096))


@check
def vhdx_log():
    disk('raw.img', 3 << 20)
    img('convert', '-f', 'raw', '-O', 'vhdx', 'raw.img', 'a.vhdx')
    undo_clean_end('a.vhdx')
    crashed = content('a.vhdx')
    img('compare', 'raw.img', 'a.vhdx')
    same(content('a.vhdx'), crashed, 'a read-only image was written to')
    qemu('check', '-r', 'all', 'a.vhdx')
    same_content('raw.img', 'a.vhdx', 'vhdx')
    patch('a.vhdx', 0, crashed)
    img('bench', '-w', '-q', '-c', 1, '-o', 4096, '--pattern=7', 'a.vhdx')
    patch('raw.img', 4096, b'\7' * 4096)
    same_content('raw.img', 'a.vhdx', 'vhdx')
    qemu('check', 'a.vhdx')


need_qemu()
main()
