"""myna-img on qcow2 chains and snapshots: each command's result is what qemu-img sees, and what it would have said."""
import json
import os

from tool import check, content, disk, img, img_json, main, need_qemu, noise, patch, qemu, qemu_json, run, same, write

SIZE = 4 << 20


def overlay(maker, backing, name, offset, count):
    maker('create', '-q', '-f', 'qcow2', '-b', backing, '-F', 'raw' if backing.endswith('.img') else 'qcow2', name)
    img('bench', '-w', '-q', '-f', 'qcow2', '-c', count, '-s', '4096', '-S', '20480', '-o', offset, '-d', '1', '--pattern=85', name)


def flat(image, name='flat.img'):
    qemu('convert', '-O', 'raw', image, name)
    return content(name)


@check
def information_reads_the_same():
    disk('base.img', SIZE)
    overlay(img, 'base.img', 'a.qcow2', 65536, 20)
    overlay(img, 'a.qcow2', 'b.qcow2', 1 << 20, 20)
    img('snapshot', '-c', 'first', 'b.qcow2')
    for command in [['info', 'b.qcow2'], ['info', '--backing-chain', 'b.qcow2'], ['map', '-f', 'qcow2', 'b.qcow2'],
                    ['map', '--output=json', 'b.qcow2'], ['snapshot', '-l', 'b.qcow2'], ['check', 'b.qcow2'],
                    ['measure', '-O', 'qcow2', 'b.qcow2'], ['measure', '-O', 'raw', 'b.qcow2'], ['compare', 'a.qcow2', 'a.qcow2']]:
        same(img(*command), qemu(*command), command)
    for command in [['info', 'b.qcow2'], ['check', 'b.qcow2'], ['measure', '-O', 'qcow2', 'b.qcow2']]:
        same(img_json(*command), qemu_json(*command), command)


@check
def commit():
    disk('base.img', SIZE)
    overlay(img, 'base.img', 'a.qcow2', 65536, 20)
    overlay(img, 'a.qcow2', 'b.qcow2', 1 << 20, 20)
    before = flat('b.qcow2')
    same(img('commit', 'b.qcow2'), 'Image committed.\n')
    same((flat('a.qcow2') == before, flat('b.qcow2') == before), (True, True))
    same([e['depth'] for e in json.loads(img('map', '--output=json', 'b.qcow2')) if e['depth'] == 0], [])
    overlay(img, 'a.qcow2', 'c.qcow2', 2 << 20, 20)
    before = flat('c.qcow2')
    img('commit', '-q', '-b', 'base.img', 'c.qcow2')
    same(content('base.img') == before, True)
    overlay(img, 'base.img', 'd.qcow2', 3 << 20, 9)
    img('resize', '-q', 'd.qcow2', '+1M')
    before = flat('d.qcow2')
    img('commit', '-q', '-d', 'd.qcow2')
    same(content('base.img') == before, True)
    img('commit', 'base.img', status=1)
    for name in ['a.qcow2', 'b.qcow2', 'c.qcow2', 'd.qcow2']:
        qemu('check', name)


@check
def rebase():
    disk('base.img', SIZE)
    disk('other.img', SIZE + (1 << 20), seed=9)
    overlay(img, 'base.img', 'a.qcow2', 65536, 20)
    before = flat('a.qcow2')
    for backing, fmt in [('other.img', ['-F', 'raw']), ('base.img', ['-F', 'raw']), ('', [])]:
        img('rebase', '-f', 'qcow2', '-b', backing, *fmt, 'a.qcow2')
        same(flat('a.qcow2') == before, True, backing)
        same(qemu_json('info', 'a.qcow2').get('backing-filename', ''), backing)
        qemu('check', 'a.qcow2')
    overlay(img, 'base.img', 'b.qcow2', 65536, 2)
    os.rename('base.img', 'moved.img')
    img('rebase', '-b', 'moved.img', '-F', 'raw', 'b.qcow2', status=1)
    img('rebase', '-u', '-b', 'moved.img', '-F', 'raw', 'b.qcow2')
    same(qemu_json('info', 'b.qcow2')['backing-filename'], 'moved.img')
    qemu('compare', 'b.qcow2', 'b.qcow2')


@check
def snapshots():
    disk('raw.img', SIZE)
    img('convert', '-O', 'qcow2', 'raw.img', 'a.qcow2')
    img('snapshot', '-c', 'one', 'a.qcow2')
    img('bench', '-w', '-q', '-c', 100, '-s', 4096, '--pattern=1', '-f', 'qcow2', 'a.qcow2')
    changed = flat('a.qcow2')
    for snapshot in ['one', '1', 'snapshot.name=one', 'snapshot.id=1,snapshot.name=one']:
        img('convert', '-l', snapshot, 'a.qcow2', 'b.img')
        same(content('b.img') == content('raw.img'), True, snapshot)
    img('convert', '-l', 'two', 'a.qcow2', 'b.img', status=1)
    assert "no snapshot 'two'" in run.stderr
    same(flat('a.qcow2') == changed, True)
    img('snapshot', '-a', 'one', 'a.qcow2')
    same(flat('a.qcow2') == content('raw.img'), True)
    img('snapshot', '-d', 'one', 'a.qcow2')
    same(img('snapshot', '-l', 'a.qcow2'), '')
    img('snapshot', '-d', 'one', 'a.qcow2', status=1)
    img('snapshot', '-c', 'x', 'raw.img', status=1)
    qemu('check', 'a.qcow2')


@check
def convert_with_backing_and_compression():
    disk('base.img', SIZE)
    overlay(img, 'base.img', 'a.qcow2', 65536, 20)
    before = flat('a.qcow2')
    img('convert', '-O', 'qcow2', '-B', 'base.img', '-F', 'raw', 'a.qcow2', 'b.qcow2')
    same(flat('b.qcow2') == before, True)
    assert os.path.getsize('b.qcow2') < SIZE // 2
    for options in [['-c'], ['-c', '-m', '16'], ['-c', '-o', 'compression_type=zstd'], ['-c', '-o', 'cluster_size=4k'],
                    ['-c', '-o', 'cluster_size=2M'], ['-o', 'preallocation=metadata'], ['-W'], ['-S', '0'], ['-o', 'extended_l2=on']]:
        img('convert', '-O', 'qcow2', *options, 'a.qcow2', 'c.qcow2')
        same(flat('c.qcow2') == before, True, options)
        qemu('check', 'c.qcow2')
    img('convert', '-c', '-O', 'vdi', 'a.qcow2', 'd.vdi', status=1)
    assert 'Compression not supported' in run.stderr
    img('convert', '-n', '-O', 'qcow2', 'base.img', 'c.qcow2')
    same(flat('c.qcow2') == content('base.img'), True)


@check
def check_codes():
    disk('raw.img', SIZE)
    img('convert', '-O', 'qcow2', 'raw.img', 'a.qcow2')
    with open('a.qcow2', 'r+b') as file:
        file.seek(65536)
        block = int.from_bytes(file.read(8), 'big')
    patch('a.qcow2', block, b'\0\2')  # more users than anybody names
    img('check', 'a.qcow2', status=3)
    qemu('check', 'a.qcow2', status=3)
    img('check', '-r', 'leaks', 'a.qcow2')
    qemu('check', 'a.qcow2')
    patch('a.qcow2', block + 2 * 5, b'\0\0')  # a cluster that is used and counted as free
    same(img_json('check', 'a.qcow2', status=2)['corruptions'] > 0, True)
    img('check', '-r', 'all', 'a.qcow2')
    qemu('check', 'a.qcow2')


@check
def amend_and_resize():
    img('create', '-q', '-f', 'qcow2', 'a.qcow2', '1M')
    img('amend', '-o', 'compat=0.10', 'a.qcow2')
    same(qemu_json('info', 'a.qcow2')['format-specific']['data']['compat'], '0.10')
    img('amend', '-o', 'compat=1.1,lazy_refcounts=on', 'a.qcow2')
    same(qemu_json('info', 'a.qcow2')['format-specific']['data']['lazy-refcounts'], True)
    img('resize', 'a.qcow2', '+3M')
    img('resize', '--shrink', 'a.qcow2', '2M')
    same(qemu_json('info', 'a.qcow2')['virtual-size'], 2 << 20)
    img('amend', '-o', 'cluster_size=4k', 'a.qcow2', status=1)
    assert 'compat' in img('amend', '-f', 'qcow2', '-o', 'help')


need_qemu()
main()
