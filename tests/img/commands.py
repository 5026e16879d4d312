"""The commands of myna-img on raw images, and their exit codes and output."""
import json
import os
import subprocess

from tool import check, content, disk, img, img_json, main, noise, patch, qemu, qemu_json, run, same, write, QEMU


@check
def create_and_resize():
    same(img('create', 'a.img', '1.5M'), "Formatting 'a.img', fmt=raw preallocation=off size=1572864\n")
    same(os.stat('a.img').st_size, 1572864)
    img('create', '-q', '-f', 'raw', '-o', 'preallocation=falloc,size=64k', 'b.img')
    same(os.stat('b.img').st_blocks * 512 >= 65536, True)
    same(img('resize', '-f', 'raw', 'a.img', '+512k'), 'Image resized.\n')
    img('resize', 'a.img', '-1M', status=1)
    assert '--shrink' in run.stderr
    img('resize', '--shrink', 'a.img', '-1M')
    img('resize', '-q', '--preallocation=full', 'a.img', '2M')
    same(os.stat('a.img').st_size, 2 << 20)


@check
def wrong_arguments_have_messages():
    for args, text in [(['frob'], 'Command not found'), (['convrt'], "did you mean 'convert'"), (['create'], 'image file name'),
                       (['create', 'x'], 'size'), (['create', 'x', '7x'], 'suffixes'), (['create', 'x', '-5M'], 'no option -5'),
                       (['create', '-f', 'nope', 'x', '1M'], "Unknown file format 'nope'"), (['resize', 'x'], 'size'),
                       (['create', '-o', 'foo=1', 'x', '1M'], 'foo'), (['info', 'nofile'], 'No such file'),
                       (['convert', 'x'], 'image file name'), (['info', '--image-opts', '-f', 'raw', 'x'], 'exclusive'),
                       (['info', '-Z', 'x'], '-Z'), (['info', '--wrong', 'x'], '--wrong'), (['convert', '-S'], 'needs a value'),
                       (['rebase', 'x'], '-b'), (['dd', 'if=x'], 'of='), (['measure'], '--size')]:
        img(*args, status=1)
        assert text in run.stderr and run.stderr.startswith('myna-img: '), f'{args}: {run.stderr}'
        assert not os.path.exists('x'), args
    assert 'convert' in img('--help') and img('convert', '--help')
    assert img('--version').startswith('myna-img version')


@check
def names_of_the_program():
    from tool import MYNA
    for name in ['img', 'qemu-img', '/usr/bin/myna-img']:
        assert subprocess.run([name, '--help'], executable=MYNA, capture_output=True, check=True).stdout
    assert subprocess.run([MYNA, 'img', '--help'], capture_output=True, check=True).stdout


@check
def options_in_any_order():
    disk('a.img', 1 << 20)
    img('convert', 'a.img', '-O', 'raw', 'b.img', '-p', '-f', 'raw')
    img('convert', '-fraw', '--', 'a.img', 'c.img')
    same(content('a.img'), content('b.img'))
    same(content('a.img'), content('c.img'))


@check
def convert_keeps_content_and_holes():
    disk('a.img', 8 << 20)
    for args in [[], ['-S', '0'], ['-S', '64k'], ['-W'], ['-m', '1'], ['-m', '16'], ['-C'], ['-T', 'none', '-t', 'writeback'],
                 ['-r', '1G'], ['--salvage']]:
        img('convert', '-f', 'raw', *args, 'a.img', 'b.img')
        assert content('a.img') == content('b.img'), args
        blocks = os.stat('b.img').st_blocks * 512
        assert blocks == 8 << 20 if '0' in args else blocks < 1 << 20, (args, blocks)
    img('convert', '-f', 'raw', 'a.img', 'a.img', 'two.img')
    assert content('two.img') == content('a.img') * 2
    write('old.img', (0, b'x' * (9 << 20)))
    img('convert', '-f', 'raw', '-O', 'raw', '-n', 'a.img', 'old.img')
    assert content('old.img') == content('a.img') + b'x' * (1 << 20)
    img('convert', '-n', 'old.img', 'a.img', status=1)
    assert 'smaller' in run.stderr


@check
def progress():
    disk('a.img', 1 << 20)
    out = img('convert', '-p', 'a.img', 'b.img')
    assert out.endswith('(100.00/100%)\n'), repr(out)
    same(img('convert', '-p', '-q', 'a.img', 'b.img'), '')


@check
def compare_codes():
    disk('a.img', 1 << 20)
    disk('b.img', 1 << 20)
    same(img('compare', 'a.img', 'b.img'), 'Images are identical.\n')
    patch('b.img', 700000, b'\x99')
    same(img('compare', 'a.img', 'b.img', status=1), f'Content mismatch at offset {700000 // 512 * 512}!\n')
    disk('b.img', 1 << 20)
    os.truncate('b.img', 3 << 19)
    assert 'identical' in img('compare', 'a.img', 'b.img')
    assert 'size mismatch' in img('compare', '-s', 'a.img', 'b.img', status=1)
    patch('b.img', 1500000, b'\x99')
    assert 'Content mismatch at offset 1499648!' in img('compare', 'a.img', 'b.img', status=1)
    img('compare', 'nofile', 'b.img', status=2)
    img('compare', 'b.img', status=2)
    img('check', 'a.img', status=63)
    img('check', 'nofile', status=1)


@check
def map_and_measure():
    disk('a.img', 4 << 20)
    out = json.loads(img('map', '-f', 'raw', '--output=json', 'a.img'))
    same(sum(e['length'] for e in out), 4 << 20)
    part = json.loads(img('map', '--output=json', '--start-offset=1M', '--max-length', '64k', 'a.img'))
    same((part[0]['start'], sum(e['length'] for e in part)), (1 << 20, 65536))
    assert 'required size: 4194304\n' in img('measure', 'a.img')
    same(img_json('measure', '--size', '1G')['required'], 1 << 30)
    if QEMU:
        same(out, json.loads(qemu('map', '-f', 'raw', '--output=json', 'a.img')))
        same(img('map', 'a.img'), qemu('map', '-f', 'raw', 'a.img'))
        same(img('measure', 'a.img'), qemu('measure', '-f', 'raw', 'a.img'))
        same(set(img_json('info', 'a.img')), set(qemu_json('info', 'a.img')))
        same(img('info', '-f', 'raw', 'a.img'), qemu('info', '-f', 'raw', 'a.img'))


@check
def dd_copies_a_part():
    write('a.img', (0, noise(100000)), size=102400)
    img('dd', 'if=a.img', 'of=b.img', 'bs=1k', 'skip=3', 'count=5')
    same(content('b.img'), content('a.img')[3072:8192])
    img('dd', '-f', 'raw', '-O', 'raw', 'bs=2k', 'if=a.img', 'of=b.img')
    same(content('b.img'), content('a.img'))


@check
def bench_counts():
    write('a.img', size=1 << 20)
    assert '100 write requests, 512 bytes each, 4 in parallel' in img('bench', '-w', '-c100', '-s512', '-d4', '--pattern=7',
                                                                      '--flush-interval=10', '-f', 'raw', 'a.img')
    same(content('a.img')[:51200], b'\7' * 51200)


@check
def image_options():
    disk('a.img', 1 << 20)
    out = img_json('info', '--image-opts', 'driver=raw,offset=512,file.driver=file,file.filename=a.img')
    same(out['virtual-size'], (1 << 20) - 512)
    img('convert', '--image-opts', 'driver=raw,offset=512,size=1024,file.filename=a.img', 'b.img')
    same(content('b.img'), content('a.img')[512:1536])


main()
