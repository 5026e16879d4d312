"""Formats that are only read: DMG, cloop, Parallels. Images made here by the formats' rules, or by qemu-img."""
import base64
import bz2
import struct
import zlib

from tool import check, content, disk, img, img_json, main, need_qemu, noise, patch, qemu, run, same, write

SECTOR = 512


def same_in_both(fmt, image, whole):
    for tool in (img, qemu):
        tool('convert', '-f', fmt, '-O', 'raw', image, 'back.img')
        same(content('back.img') == whole, True, f'{tool.__name__} reads {image}')
    img('bench', '-w', '-c', 1, '-f', fmt, image, status=1)


@check
def cloop():
    block, data = 65536, noise(100000) + bytes(100000) + b'text ' * 20000
    data += bytes(-len(data) % block)
    packed = [zlib.compress(data[i:i + block]) for i in range(0, len(data), block)]
    at = 136 + 8 * (len(packed) + 1)
    offsets = [at + sum(len(p) for p in packed[:i]) for i in range(len(packed) + 1)]
    script = b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n'
    write('a.cloop', (0, script.ljust(128, b'\0') + struct.pack('>II', block, len(packed)) +
                      struct.pack(f'>{len(offsets)}Q', *offsets) + b''.join(packed)))
    same_in_both('cloop', 'a.cloop', data)
    same(img_json('info', 'a.cloop')['format'], 'cloop')


def make_dmg(name, chunks, sectors):
    """chunks: (type, sector, count, bytes in the file)"""
    data, entries = b'', b''
    for kind, sector, count, packed in chunks:
        entries += struct.pack('>IIQQQQ', kind, 0, sector, count, len(data), len(packed))
        data += packed
    entries += struct.pack('>IIQQQQ', 0xffffffff, 0, sectors, 0, len(data), 0)
    mish = struct.pack('>4sIQQQII', b'mish', 1, 0, sectors, 0, 4096, 0).ljust(200, b'\0')
    mish += struct.pack('>I', len(chunks) + 1) + entries
    xml = (b'<?xml version="1.0"?><plist><dict><key>resource-fork</key><dict><key>blkx</key><array><dict>'
           b'<key>Attributes</key><string>0x50</string><key>Data</key><data>\n' + base64.encodebytes(mish) +
           b'</data></dict></array></dict></dict></plist>')
    koly = struct.pack('>4sIIIQQQQQ', b'koly', 4, 512, 1, 0, 0, len(data), 0, 0).ljust(216, b'\0')
    koly += struct.pack('>QQ', len(data), len(xml))
    write(name, (0, data + xml + koly.ljust(492, b'\0') + struct.pack('>Q', sectors) + bytes(12)))


@check
def dmg():
    parts = [noise(SECTOR * 100), b'compressible' * 128 * 256, noise(SECTOR * 3, 2)]
    whole = parts[0] + parts[1] + bytes(SECTOR * 50) + parts[2]
    counts = [len(p) // SECTOR for p in parts]
    make_dmg('a.dmg', [(1, 0, counts[0], parts[0]), (0x80000005, counts[0], counts[1], zlib.compress(parts[1])),
                       (2, counts[0] + counts[1], 50, b''), (0x7ffffffe, 0, 0, b''),
                       (0x80000005, counts[0] + counts[1] + 50, counts[2], zlib.compress(parts[2]))], len(whole) // SECTOR)
    same_in_both('dmg', 'a.dmg', whole)
    same(img_json('info', 'a.dmg')['format'], 'dmg')
    make_dmg('b.dmg', [(0x80000006, 0, counts[1], bz2.compress(parts[1]))], counts[1])
    img('convert', 'b.dmg', 'b.img', status=None)
    if run.status == 0:
        same(content('b.img') == parts[1], True, 'bzip2')
    else:
        assert 'libbz2' in run.stderr
    make_dmg('c.dmg', [(0x80000007, 0, 100, b'x' * 50)], 100)
    img('info', 'c.dmg', status=1)
    assert 'LZFSE' in run.stderr


@check
def parallels():
    disk('raw.img', 5 << 20)
    qemu('convert', '-f', 'raw', '-O', 'parallels', 'raw.img', 'a.hdd')
    same_in_both('parallels', 'a.hdd', content('raw.img'))
    # The older form counts sectors; it has a disk of less than 2 TiB.
    old = bytearray(content('a.hdd'))
    block, entries = struct.unpack_from('<II', old, 28)
    old[:16] = b'WithoutFreeSpace'
    for i in range(entries):
        struct.pack_into('<I', old, 64 + 4 * i, struct.unpack_from('<I', old, 64 + 4 * i)[0] * block)
    write('b.hdd', (0, old))
    same_in_both('parallels', 'b.hdd', content('raw.img'))


need_qemu()
main()
