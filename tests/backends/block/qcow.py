#!/usr/bin/env python3
"""qcow2 and qcow images against Debian's qemu-img and qemu-io, both ways: qcow.py IMAGE-SCRIPT brief|some|full [SEED [TEST]]."""
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

SCRIPT, MODE = sys.argv[1], sys.argv[2]
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 7
CLUSTERS = [512 << n for n in range(13)]


def run(*args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **kw)


def script(lines):
    done = run(SCRIPT, input="\n".join(lines) + "\n")
    if done.returncode:
        raise AssertionError(f"image-script failed ({done.returncode}): {done.stdout[-2000:]}\n" + "\n".join(lines[-12:]))
    return done.stdout


def qemu(*args):
    done = run(*args)
    if done.returncode:
        raise AssertionError(f"{' '.join(args)}: {done.stdout[-2000:]}")
    return done.stdout


def clean(path):
    """Both checkers find nothing at all."""
    found = script([f"open {path} qcow2 ro check", "check", "close"])
    assert "corruptions 0 leaks 0 errors 0" in found, found
    qemu("qemu-img", "check", "-q", "-f", "qcow2", path)


def same(path, model, fmt="qcow2"):
    raw = path + ".raw"
    with open(raw, "wb") as f:
        f.write(model)
    qemu("qemu-img", "compare", "-q", "-f", fmt, "-F", "raw", path, raw)
    script([f"open {path} {fmt} ro", f"export {path}.out 65536", "close"])
    with open(path + ".out", "rb") as f:
        assert f.read() == model, "what we read differs"


class Disk:
    """Random operations on an image and on a model of it."""

    def __init__(self, path, size, cluster, rng, options="", backing=b"", fmt="qcow2"):
        self.fmt = fmt
        self.path, self.size, self.cluster, self.rng = path, size, cluster, rng
        self.model = bytearray(backing[:size].ljust(size, b"\0"))
        self.compressed = "data_file" not in options
        self.zero_discard = True
        self.lines = []

    def range(self):
        kind = self.rng.randrange(4)
        unit = [1, 512, 4096, self.cluster][kind]
        offset = self.rng.randrange(self.size) // unit * unit
        size = min(self.rng.randrange(1, 5) * self.rng.choice([unit, 512, self.cluster // 2 + 1]), self.size - offset)
        return offset, min(size, 3 << 20)

    def step(self):
        offset, size = self.range()
        what = self.rng.choice(["write"] * 5 + ["zero", "unmap", "discard", "compressed", "flush", "verify"])
        byte = self.rng.randrange(1, 256)
        if what == "compressed" and not self.compressed:
            what = "write"
        if what == "write":
            self.lines.append(f"write {offset} {size} {byte}")
            self.model[offset:offset + size] = bytes([byte]) * size
        elif what in ("zero", "unmap"):
            self.lines.append(f"zero {offset} {size}" + (" unmap" if what == "unmap" else ""))
            self.model[offset:offset + size] = bytes(size)
        elif what == "compressed":
            offset = offset // self.cluster * self.cluster
            size = min(self.cluster, self.size - offset)
            self.lines.append(f"compressed {offset} {size} {byte}")
            self.model[offset:offset + size] = bytes([byte]) * size
        elif what == "discard":
            self.lines.append(f"discard {offset} {size}")
            first = -(-offset // self.cluster) * self.cluster
            last = (offset + size) // self.cluster * self.cluster if offset + size < self.size else self.size
            if first < last and self.zero_discard:
                self.model[first:last] = bytes(last - first)
        elif what == "flush":
            self.lines.append("flush")
        else:
            byte = self.model[offset]
            n = 0
            while offset + n < self.size and n < 4096 and self.model[offset + n] == byte:
                n += 1
            self.lines.append(f"verify {offset} {n} {byte}")

    def run(self, steps, options=""):
        self.lines = [f"open {self.path} {self.fmt} {options}"]
        for _ in range(steps):
            self.step()
        script(self.lines + ["close"])


def option_text(options):
    return ",".join(f"{k}={v}" for k, v in options.items())


def variants():
    """Every cluster size with every refcount width, version, compression, kind of L2 table and place of data that goes with it."""
    for cluster, bits, compat, packing, extended, data in itertools.product(
            CLUSTERS, [1, 2, 4, 8, 16, 32, 64], ["0.10", "1.1"], ["zlib", "zstd"], ["off", "on"], ["", "data", "raw"]):
        if compat == "0.10" and (bits != 16 or packing == "zstd" or extended == "on" or data):
            continue
        if extended == "on" and cluster < 16384:
            continue
        options = {"cluster_size": cluster, "refcount_bits": bits, "compat": compat, "compression_type": packing,
                   "extended_l2": extended}
        if compat == "0.10":
            del options["compression_type"], options["extended_l2"]
        yield options, data


def ours_is_read(folder, options, data, rng, steps):
    path = os.path.join(folder, "a.qcow2")
    options = dict(options)
    if data:
        options["data_file"] = os.path.join(folder, "a.data")
    if data == "raw":
        options["data_file_raw"] = "on"
    cluster = options["cluster_size"]
    size = rng.randrange(cluster * 3, cluster * 8 + (1 << 20)) // 512 * 512
    script([f"create {path} qcow2 {size} " + " ".join(f"{k}={v}" for k, v in options.items())])
    clean(path)
    disk = Disk(path, size, cluster, rng, option_text(options))
    disk.zero_discard = data != "raw"
    disk.run(steps)
    clean(path)
    same(path, bytes(disk.model))
    if data == "raw":
        with open(options["data_file"], "rb") as f:
            assert f.read(size) == disk.model, "the raw data file differs"
    info = json.loads(qemu("qemu-img", "info", "--output=json", path))["format-specific"]["data"]
    own = json.loads(script([f"open {path} qcow2 ro", "info", "close"]))
    own.pop("dirty-flag")
    assert own == info, f"{own} is not {info}"


def theirs_is_read(folder, options, data, rng, steps):
    path = os.path.join(folder, "b.qcow2")
    options = dict(options)
    if data:
        options["data_file"] = os.path.join(folder, "b.data")
    if data == "raw":
        options["data_file_raw"] = "on"
    cluster = options["cluster_size"]
    size = rng.randrange(cluster * 3, cluster * 8 + (1 << 20)) // 512 * 512
    qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o", option_text(options), path, str(size))
    model = bytearray(size)
    commands, used = [], set()
    for _ in range(steps):
        offset = rng.randrange(size) // 512 * 512
        n = min(rng.randrange(1, 3 * cluster + 512), size - offset)
        byte = rng.randrange(1, 256)
        what = rng.choice(["write", "write", "write -z", "write -z -u", "write -c"])
        if what == "write -c" and (data or bits_are_few(options)):
            what = "write"
        if what == "write -c":
            offset = offset // cluster * cluster
            n = min(cluster, size - offset)
            if offset in used: # theirs cannot replace what is there
                continue
        used.update(range(offset // cluster * cluster, offset + n, cluster))
        if "-z" in what:
            byte, arguments = 0, what
        else:
            arguments = what.replace("write", f"write -P {byte}")
        commands += ["-c", f"{arguments} {offset} {n}"]
        model[offset:offset + n] = bytes([byte]) * n
    qemu("qemu-io", "-f", "qcow2", path, *commands)
    theirs = run("qemu-img", "check", "-f", "qcow2", "--output=json", path)
    report, _ = json.JSONDecoder().raw_decode(theirs.stdout, theirs.stdout.index("{")) # beside lines about errors
    if errors := report.get("corruptions", 0):
        # qemu 7.2 now and then leaves a "copied" flag beside compressed data: ours must say the same.
        assert f"corruptions {errors} " in script([f"open {path} qcow2 ro check", "check", "close"]), theirs.stdout
        return
    clean(path)
    same(path, bytes(model))
    disk = Disk(path, size, cluster, rng, option_text(options)) # and go on where they stopped
    disk.zero_discard = data != "raw"
    disk.model = model
    disk.run(steps)
    clean(path)
    same(path, bytes(disk.model))


def bits_are_few(options):
    return int(options["refcount_bits"]) < 8


def test_matrix(folder):
    everything = list(variants())
    rng = random.Random(SEED)
    rng.shuffle(everything)
    for options, data in everything[:{"full": None, "some": 14, "brief": 1}[MODE]]:
        for test in (ours_is_read, theirs_is_read):
            try:
                test(folder, options, data, rng, 40)
            except AssertionError as e:
                raise AssertionError(f"{test.__name__} {options} {data} seed {SEED}: {e}") from None


def test_backing_chains(folder):
    rng = random.Random(SEED + 1)
    base, top = os.path.join(folder, "base.qcow2"), os.path.join(folder, "top.qcow2")
    for extended, base_size, size in (("off", 700000, 1500000 // 512 * 512), ("on", 3000832, 2000384)):
        base_size = base_size // 512 * 512
        script([f"create {base} qcow2 {base_size}"])
        below = Disk(base, base_size, 65536, rng)
        below.run(40)
        qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"extended_l2={extended}", "-b", base, "-F", "qcow2", top, str(size))
        disk = Disk(top, size, 65536, rng, backing=bytes(below.model))
        disk.run(60)
        clean(top)
        same(top, bytes(disk.model))


def test_snapshots(folder):
    rng = random.Random(SEED + 2)
    path = os.path.join(folder, "s.qcow2")
    for options in ("", "cluster_size=512", "extended_l2=on cluster_size=16384", "refcount_bits=4 cluster_size=4096", "compat=0.10"):
        cluster = int(options.split("cluster_size=")[1].split()[0]) if "cluster_size" in options else 65536
        script([f"create {path} qcow2 1000448 {options}"])
        disk = Disk(path, 1000448, cluster, rng)
        disk.run(25)
        states = []
        for name in ("one", "two", "three"):
            script([f"open {path} qcow2", f"snapshot create {name}", "close"])
            states.append((name, bytes(disk.model)))
            clean(path)
            disk.run(25, "lazy-refcounts=on" if "0.10" not in options and name == "two" else "")
            clean(path)
            same(path, bytes(disk.model))
        script([f"open {path} qcow2", "snapshot delete two", "close"])
        clean(path)
        same(path, bytes(disk.model))
        for name, state in (states[0], states[2]):
            script([f"open {path} qcow2", f"snapshot apply {name}", "close"])
            clean(path)
            same(path, state)
            disk.model = bytearray(state)
            disk.run(10)
        qemu("qemu-img", "snapshot", "-a", "one", path)
        same(path, states[0][1])
        qemu("qemu-img", "snapshot", "-d", "three", path)
        qemu("qemu-img", "snapshot", "-c", "theirs", path)
        disk.model = bytearray(states[0][1])
        disk.run(15)
        script([f"open {path} qcow2", "snapshot delete one", "snapshot apply theirs", "snapshot delete theirs",
                "state-write 0 300000 7", "snapshot create state", "close"])
        clean(path)
        same(path, states[0][1])


def test_sizes(folder):
    rng = random.Random(SEED + 3)
    path = os.path.join(folder, "r.qcow2")
    for options, cluster in (("", 65536), ("cluster_size=512", 512), ("extended_l2=on", 65536)):
        script([f"create {path} qcow2 2000384 {options}"])
        disk = Disk(path, 2000384, cluster, rng)
        disk.run(30)
        for size in (900096, 5000192, 30000128, 512, 100352):
            script([f"open {path} qcow2", f"resize {size}", "close"])
            disk.model = bytearray(bytes(disk.model[:size]).ljust(size, b"\0"))
            disk.size = size
            clean(path)
            same(path, bytes(disk.model))
            disk.run(10)
            clean(path)


def test_preallocation(folder):
    path = os.path.join(folder, "p.qcow2")
    for mode in ("metadata", "falloc", "full"):
        for options in ("", "extended_l2=on", "cluster_size=512 refcount_bits=64", "cluster_size=2097152"):
            script([f"create {path} qcow2 3000320 preallocation={mode} {options}"])
            clean(path)
            same(path, bytes(3000320))
            map_text = qemu("qemu-img", "map", "--output=json", path)
            assert all(e["present"] for e in json.loads(map_text)), map_text


def test_amend(folder):
    rng = random.Random(SEED + 4)
    path = os.path.join(folder, "m.qcow2")
    script([f"create {path} qcow2 1000448 compat=0.10"])
    disk = Disk(path, 1000448, 65536, rng)
    disk.run(30)
    steps = ["compat=1.1", "lazy_refcounts=on", "refcount_bits=64", "refcount_bits=8", "lazy_refcounts=off", "refcount_bits=16",
             "compat=0.10"]
    for change in steps:
        script([f"open {path} qcow2", f"amend {change}", "close"])
        clean(path)
        disk.run(10)
        clean(path)
        same(path, bytes(disk.model))
        info = json.loads(qemu("qemu-img", "info", "--output=json", path))["format-specific"]["data"]
        if not change.startswith("compat"):
            name, value = change.replace("_", "-").split("=")
            assert str(info[name]).lower() == {"on": "true", "off": "false"}.get(value, value), info


def test_bitmaps(folder):
    path = os.path.join(folder, "bm.qcow2")
    qemu("qemu-img", "create", "-q", "-f", "qcow2", path, "10M")
    qemu("qemu-img", "bitmap", "--add", "-g", "64k", path, "b0")
    qemu("qemu-img", "bitmap", "--add", "--disable", path, "b1")
    script([f"open {path} qcow2", "write 1000000 100 1", "write 5000000 70000 2", "close"])
    clean(path)
    info = json.loads(qemu("qemu-img", "info", "--output=json", path))["format-specific"]["data"]
    assert json.loads(script([f"open {path} qcow2 ro", "info", "close"]))["bitmaps"] == info["bitmaps"], info
    assert [b["name"] for b in info["bitmaps"]] == ["b0", "b1"] and info["bitmaps"][0]["flags"] == ["auto"], info
    if not shutil.which("qemu-nbd"):
        return
    # what was recorded, as another implementation sees it
    merged = os.path.join(folder, "bm2.qcow2")
    qemu("qemu-img", "create", "-q", "-f", "qcow2", merged, "10M")
    qemu("qemu-img", "bitmap", "--add", "-g", "64k", merged, "c")
    qemu("qemu-img", "bitmap", "--merge", "b0", "-b", path, "-F", "qcow2", merged, "c")
    with open(path, "rb") as f:
        data = f.read()
    want = sum(1 << bit for bit in [1000000 >> 16] + list(range(5000000 >> 16, (5069999 >> 16) + 1)))
    assert want.to_bytes(20, "little") in data, "the recorded bits are not in the image"


def test_version_1(folder):
    rng = random.Random(SEED + 5)
    path, base = os.path.join(folder, "v1.qcow"), os.path.join(folder, "v1-base.qcow")
    for size in (6 << 20, 1000448):
        script([f"create {path} qcow {size}"])
        disk = Disk(path, size, 4096, rng, fmt="qcow")
        disk.zero_discard = False
        for _ in range(3):
            disk.run(60)
            same(path, bytes(disk.model), "qcow")
        assert "corruptions 0" in script([f"open {path} qcow ro", "check", "close"])
        qemu("qemu-img", "convert", "-O", "qcow", path, base)
        same(base, bytes(disk.model), "qcow")
        below = Disk(base, size, 4096, rng, fmt="qcow")
        below.zero_discard, below.model = False, bytearray(disk.model)
        below.run(40)
        same(base, bytes(below.model), "qcow")
        for maker in ("ours", "theirs"):
            if maker == "ours":
                script([f"create {path} qcow {size} backing_file={base} backing_fmt=qcow"])
            else:
                qemu("qemu-img", "create", "-q", "-f", "qcow", "-b", base, "-F", "qcow", path)
            disk = Disk(path, size, 512, rng, fmt="qcow", backing=bytes(below.model))
            disk.zero_discard = False
            disk.run(60)
            same(path, bytes(disk.model), "qcow")
            assert "corruptions 0" in script([f"open {path} qcow ro", "check", "close"])


def test_refusals(folder):
    path = os.path.join(folder, "x.qcow2")
    for options in ("cluster_size=1000", "refcount_bits=3", "compat=0.10 refcount_bits=8", "extended_l2=on cluster_size=4096",
                    "compat=2.0", "data_file_raw=on", "preallocation=some"):
        done = run(SCRIPT, input=f"create {path} qcow2 1000448 {options}\n")
        assert done.returncode == 1 and "error:" in done.stdout, (options, done.stdout)


def main():
    if not shutil.which("qemu-img") or not shutil.which("qemu-io"):
        print("SKIP: qemu-img and qemu-io (Debian package qemu-utils) are not installed")
        sys.exit(77)
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    tests = [f for name, f in globals().items() if name.startswith("test_")]
    if MODE == "brief":
        tests = [test_matrix, test_refusals]
    for test in tests:
        if len(sys.argv) > 4 and sys.argv[4] != test.__name__:
            continue
        with tempfile.TemporaryDirectory(dir=base) as folder:
            test(folder)
        print("ok", test.__name__, flush=True)


main()
