#!/usr/bin/env python3
"""Makes the small images that fuzz-images starts from: make-corpus.py IMAGE-SCRIPT FOLDER. Needs qemu-img and qemu-io."""
import os
import subprocess
import sys
import tempfile

SCRIPT, FOLDER = sys.argv[1], sys.argv[2]
SIZE = 1000448


def script(*lines):
    subprocess.run([SCRIPT], input="\n".join(lines) + "\n", text=True, check=True, stdout=subprocess.DEVNULL)


def qemu(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def ours(name, fmt, options, *lines):
    path = os.path.join(FOLDER, name)
    script(f"create {path} {fmt} {SIZE} {options}", f"open {path} {fmt}", *lines, "close")
    return path


def theirs(name, fmt, options, size=SIZE):
    path = os.path.join(FOLDER, name)
    qemu("qemu-img", "create", "-q", "-f", fmt, *(["-o", options] if options else []), path, str(size))
    if fmt != "luks":
        qemu("qemu-io", "-f", fmt, path, "-c", "write -P 1 0 3000", "-c", "write -P 2 200000 9000", "-c", "write -P 3 900000 512")
    return path


WORK = ["write 0 3000 1", "write 70000 9000 2", "zero 20000 8192", "write 990000 512 3", "flush"]


def main():
    os.makedirs(FOLDER, exist_ok=True)
    ours("qcow2-plain.img", "qcow2", "cluster_size=512", *WORK)
    ours("qcow2-4k.img", "qcow2", "cluster_size=4096 refcount_bits=1", *WORK)
    ours("qcow2-v2.img", "qcow2", "cluster_size=1024 compat=0.10", *WORK)
    ours("qcow2-wide.img", "qcow2", "cluster_size=1024 refcount_bits=64", *WORK)
    ours("qcow2-extended.img", "qcow2", "cluster_size=16384 extended_l2=on", *WORK[:2])
    ours("qcow2-zlib.img", "qcow2", "cluster_size=4096", "compressed 0 4096 1", "compressed 4096 4096 2", "compressed 65536 4096 3",
         *WORK[1:])
    ours("qcow2-zstd.img", "qcow2", "cluster_size=4096 compression_type=zstd", "compressed 0 4096 1", "compressed 8192 4096 2")
    ours("qcow2-snapshots.img", "qcow2", "cluster_size=1024", *WORK, "snapshot create one", "write 1000 2000 7",
         "snapshot create two", "write 3000 2000 8", "state-write 0 3000 9")
    backing("qcow2-backing.img")
    bitmaps = theirs("qcow2-bitmaps.img", "qcow2", "cluster_size=1024")
    qemu("qemu-img", "bitmap", "--add", "-g", "4k", bitmaps, "b0")
    qemu("qemu-img", "bitmap", "--add", "--disable", bitmaps, "b1")
    theirs("qcow2-theirs.img", "qcow2", "cluster_size=2048,lazy_refcounts=on")
    ours("qcow-plain.img", "qcow", "", *WORK, "compressed 16384 4096 5")
    for fmt, options in (("vdi", ""), ("vpc", ""), ("vmdk", ""), ("vmdk-stream", "subformat=streamOptimized"), ("vhdx", "block_size=1M"),
                         ("parallels", "cluster_size=65536")):
        path = theirs(f"{fmt}.img", fmt.split("-")[0], options) if "stream" not in fmt else stream(fmt)
        if os.path.getsize(path) > 3 << 20:
            os.unlink(path)


def backing(name):
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.join(folder, "base.raw")
        with open(base, "wb") as f:
            f.truncate(SIZE)
        path = os.path.join(FOLDER, name)
        qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2048", "-b", base, "-F", "raw", path)
        qemu("qemu-io", "-f", "qcow2", path, "-c", "write -P 1 1000 3000", "-c", "write -z 90000 9000")
        qemu("qemu-img", "rebase", "-u", "-b", "nowhere.img", "-F", "raw", path)


def stream(name):
    with tempfile.TemporaryDirectory() as folder:
        raw = os.path.join(folder, "raw")
        with open(raw, "wb") as f:
            f.write(b"\1" * 3000)
            f.truncate(SIZE)
        path = os.path.join(FOLDER, f"{name}.img")
        qemu("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, path)
        return path


main()
