"""Encrypted images both ways: raw LUKS against qemu-img and cryptsetup, qcow2 with LUKS and the old AES."""
import base64
import os
import shutil
import subprocess

from tool import check, content, disk, img, img_json, main, need_qemu, patch, qemu, qemu_json, run, same, write

SECRET = ['--object', 'secret,id=s,data=open sesame']
SIZE = (2 << 20) + 4096


def luks_name(file):
    return f'driver=luks,key-secret=s,file.filename={file}'


def qcow2_name(file):
    return f'driver=qcow2,encrypt.key-secret=s,file.filename={file}'


def qemu_makes(*args):
    """qemu-img times its key derivation before it makes an image; now and then, on a fast host, it cannot tell the time."""
    for left in range(9, -1, -1):
        try:
            return qemu(*args)
        except AssertionError as error:
            if not left or 'accurate CPU usage' not in str(error):
                raise


def same_as_raw(image):
    for tool in (img, qemu):
        tool('compare', *SECRET, '--image-opts', 'driver=raw,file.filename=raw.img', image)


@check
def luks_ciphers():
    disk('raw.img', SIZE)
    for options in ['', 'cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha1',
                    'cipher-alg=serpent-256,hash-alg=sha512', 'cipher-alg=twofish-256,cipher-mode=cbc,ivgen-alg=plain64',
                    'cipher-alg=aes-256,cipher-mode=cbc,ivgen-alg=plain']:
        for maker in (img, qemu_makes):
            text = 'key-secret=s,iter-time=10' + (options and ',' + options)
            maker('convert', *SECRET, '-f', 'raw', '-O', 'luks', '-o', text, 'raw.img', 'a.luks')
            same_as_raw(luks_name('a.luks'))
            mine, other = img_json('info', 'a.luks'), qemu_json('info', 'a.luks')
            assert mine == other, (options, mine, other)


@check
def luks_writes_in_place():
    disk('raw.img', SIZE)
    img('convert', *SECRET, '-f', 'raw', '-O', 'luks', '-o', 'key-secret=s,iter-time=10', 'raw.img', 'a.luks')
    img('bench', '-w', '-q', '-c', 50, '-s', 700, '-S', 1500, '-d', 1, '--pattern=9', '-f', 'raw', 'raw.img')
    img('bench', *SECRET, '-w', '-q', '-c', 50, '-s', 700, '-S', 1500, '-d', 1, '--pattern=9', '--image-opts',
        luks_name('a.luks'))
    same_as_raw(luks_name('a.luks'))


@check
def cryptsetup_and_we_agree():
    cryptsetup = shutil.which('cryptsetup', path=os.environ['PATH'] + ':/sbin:/usr/sbin')
    if not cryptsetup:
        print('SKIP cryptsetup_and_we_agree: no cryptsetup here')
        return
    with open('key', 'w') as file:
        file.write('open sesame')
    img('create', *SECRET, '-q', '-f', 'luks', '-o', 'key-secret=s,iter-time=10', 'a.luks', '1M')
    subprocess.run([cryptsetup, 'open', '--test-passphrase', '--key-file', 'key', 'a.luks'], check=True)
    assert b'xts-plain64' in subprocess.run([cryptsetup, 'luksDump', 'a.luks'], check=True, capture_output=True).stdout
    write('b.luks', size=8 << 20)
    subprocess.run([cryptsetup, 'luksFormat', '-q', '--type', 'luks1', '--iter-time', '10', '--cipher', 'aes-cbc-essiv:sha256',
                    '--key-size', '256', '--key-file', 'key', 'b.luks'], check=True)
    for tool, out in [(img, 'ours'), (qemu, 'theirs')]:
        tool('convert', *SECRET, '--image-opts', luks_name('b.luks'), '-O', 'raw', out)
    same(content('ours'), content('theirs'))


@check
def qcow2_encrypted():
    disk('raw.img', SIZE)
    for options in ['encrypt.format=luks,encrypt.iter-time=10',
                    'encrypt.format=luks,encrypt.iter-time=10,encrypt.cipher-alg=aes-128,cluster_size=4k', 'encrypt.format=aes']:
        for maker in (img, qemu_makes):
            maker('convert', *SECRET, '-f', 'raw', '-O', 'qcow2', '-o', options + ',encrypt.key-secret=s', 'raw.img', 'a.qcow2')
            same_as_raw(qcow2_name('a.qcow2'))
            qemu('check', *SECRET, '--image-opts', qcow2_name('a.qcow2'))
            img('check', 'a.qcow2')
            mine = img_json('info', 'a.qcow2')
            assert mine['encrypted'] and mine['format-specific'] == qemu_json('info', 'a.qcow2')['format-specific']
    for f, name in [('raw', 'driver=raw,file.filename=raw.img'), ('qcow2', qcow2_name('a.qcow2'))]:
        img('bench', *SECRET, '-w', '-q', '-c', 50, '-s', 700, '-S', 15000, '-d', 1, '--pattern=9', '--image-opts', name)
    same_as_raw(qcow2_name('a.qcow2'))


@check
def secrets():
    disk('raw.img', 1 << 20)
    with open('plain', 'w') as file:
        file.write('open sesame')
    coded = base64.b64encode(b'open sesame').decode().replace('=', '=')
    img('convert', *SECRET, '-O', 'luks', '-o', 'key-secret=s,iter-time=10', 'raw.img', 'a.luks')
    for secret in ['file=plain', 'format=base64,data=' + coded, 'format=raw,data=open sesame']:
        img('convert', '--object', 'secret,id=s,' + secret, '--image-opts', luks_name('a.luks'), 'b.img')
        same(content('b.img'), content('raw.img'))
    for secret, text in [('data=wrong', 'none of the key slots'), ('format=base64,data=**', 'base64'), ('file=nofile', 'nofile'),
                         ('data=x,file=y', 'either'), ('data=x,wrong=1', 'wrong')]:
        img('convert', '--object', 'secret,id=s,' + secret, '--image-opts', luks_name('a.luks'), 'b.img', status=1)
        assert text in run.stderr, run.stderr
    img('convert', '--image-opts', luks_name('a.luks'), 'b.img', status=1)
    assert "no secret 's'" in run.stderr
    img('convert', 'a.luks', 'b.img', status=1)
    assert 'key-secret' in run.stderr
    img('create', *SECRET, '-f', 'luks', '-o', 'key-secret=s,cipher-alg=rot-13', 'c.luks', '1M', status=1)
    img('info', 'a.luks')


need_qemu()
main()
