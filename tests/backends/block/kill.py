#!/usr/bin/env python3
"""Kills a process at random instants while it writes to an image; nothing flushed is lost: kill.py KILL-LOAD IMAGE-SCRIPT KILLS."""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LOAD, SCRIPT, KILLS = sys.argv[1], sys.argv[2], int(sys.argv[3])
AREA = 4 << 20
CASES = [
    ("qcow2", ""), ("qcow2", "cluster_size=4096 refcount_bits=8"), ("qcow2", "extended_l2=on cluster_size=32768"),
    ("qcow2", "cluster_size=512 refcount_bits=64"), ("qcow2", "lazy_refcounts=on"), ("qcow2", "compat=0.10"), ("qcow", ""),
]


def script(*lines):
    return subprocess.run([SCRIPT], input="\n".join(lines) + "\n", text=True, stdout=subprocess.PIPE, timeout=120).stdout


def round_of(folder, seed, rng):
    fmt, options = CASES[seed % len(CASES)]
    threads = rng.choice([1, 2, 4])
    path = os.path.join(folder, f"kill-{seed}.img")
    script(f"create {path} {fmt} {(threads + 1) * AREA} {options}")
    child = subprocess.Popen([LOAD, "run", path, fmt, str(seed), str(threads)], stdout=subprocess.PIPE, text=True)
    first = child.stdout.readline() # it runs
    time.sleep(rng.random() ** 2 * 0.25)
    child.send_signal(signal.SIGKILL)
    output = first + child.stdout.read()
    assert child.wait() in (-9, 0), f"the load ended with {child.returncode}"
    done = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) == 3: # the last line may be torn
            done[words[1]] = words[2]
    lazy = "lazy" in options
    found = script(f"open {path} {fmt}" + ("" if lazy else " ro check"), "check" + (" all" if lazy else ""), "close")
    assert "corruptions 0 " in found and "errors 0" in found, f"check says: {found}"
    if fmt == "qcow2" and shutil.which("qemu-img"):
        theirs = subprocess.run(["qemu-img", "check", "-f", "qcow2", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, timeout=120)
        assert theirs.returncode in (0, 3), f"qemu-img check says: {theirs.stdout}" # 3: leaks
    flushed = [word for pair in done.items() for word in pair]
    verified = subprocess.run([LOAD, "verify", path, fmt, str(seed), str(threads)] + flushed, stderr=subprocess.PIPE, text=True,
                              timeout=120)
    assert verified.returncode == 0, f"flushed data is lost: {verified.stderr}"
    if fmt == "qcow2" and not lazy:
        script(f"open {path} {fmt}", "check leaks", "close")
        assert "leaks 0" in script(f"open {path} {fmt} ro", "check", "close"), "leaks stay after a repair"
    os.unlink(path)
    return sum(map(int, done.values()))


def main():
    seed = int(os.environ.get("MYNA_TEST_SEED", "1"))
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    flushes = 0
    with tempfile.TemporaryDirectory(dir=base) as folder:
        for i in range(seed, seed + KILLS):
            try:
                flushes += round_of(folder, i, random.Random(i))
            except AssertionError as e:
                sys.exit(f"kill {i} ({' '.join(CASES[i % len(CASES)])}): {e}")
    print(f"{KILLS} kills survived, {flushes} flushes before them")


main()
