#!/usr/bin/env python3
"""Valgrind's instruction tests for Power, whose expected output is that of real processors, as programs of a ppc64el guest.

Usage: ppc_suites.py MYNA [test...]
"""
import pathlib
import re
import shutil
import subprocess
import tempfile

import initramfs
import machine
import suites

HOME = 'sourceware.org/git/valgrind.git'
COMPILER = 'powerpc64le-linux-gnu-gcc'
FLAGS = ('-m64 -O -static -mregnames -maltivec -DHAS_ALTIVEC -DHAS_VSX -DHAS_DFP -DHAS_ISA_2_05 -DHAS_ISA_2_06 -DHAS_ISA_2_07 '
         '-DHAS_ISA_3_00 -w -Wa,-many').split()
# Program: (processor to compile for, further sources, {expected output: arguments}).
PROGRAMS = {
    'test_dfp1': ('power8', [], {'test_dfp1': ''}),
    'test_dfp2': ('power8', [], {'test_dfp2': ''}),
    'test_dfp3': ('power8', [], {'test_dfp3': ''}),
    'test_isa_2_07_part1': ('power8', [], {'jm_fp_isa_2_07': '-f', 'jm_int_isa_2_07': '-i'}),
    'scv_test': ('power9', [], {'scv_test': ''}),
    'test_mod_instructions': ('power9', [], {'test_mod_instructions': ''}),
    'test_darn_inst': ('power9', [], {'test_darn_inst': ''}),
    'test_mcrxrx': ('power9', [], {'test_mcrxrx': ''}),
    'test_isa_3_1_RT': ('power10', ['test_isa_3_1_common'], {'test_isa_3_1_RT': ''}),
    'test_isa_3_1_VRT': ('power10', ['test_isa_3_1_common'], {'test_isa_3_1_VRT': ''}),
    'test_isa_3_1_XT': ('power10', ['test_isa_3_1_common'], {'test_isa_3_1_XT': ''}),
    'test_isa_3_1_Misc': ('power10', ['test_isa_3_1_common'], {'test_isa_3_1_Misc': ''}),
    'test_isa_3_1_AT': ('power10', ['test_isa_3_1_common'], {'test_isa_3_1_AT': ''}),
}
# Lines that may differ, and why: docs/testing.md.
DIFFERENT = {'test_mod_instructions': 10}


def expected_outputs(folder, name):
    """Those of all processors that the suite has been run on, little-endian ones first."""
    return sorted(folder.glob(f'{name}.stdout.exp*'), key=lambda path: ('LE' not in path.name, path.name))


def compile_all(folder, out):
    files, runs = {}, []
    (out / 'config.h').touch()
    for name, (cpu, more, tests) in PROGRAMS.items():
        sources = [str((folder / f'{source}.c').resolve()) for source in [name] + more]
        done = subprocess.run([COMPILER, *FLAGS, f'-mcpu={cpu}', *(['-DHAS_ISA_3_1'] if cpu == 'power10' else []), '-I', str(out), '-I',
                               str(folder), '-I', str(folder.parents[2]), *sources, '-o', str(out / name), '-lm'], check=False,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f'{name} was not compiled: {done.stderr.splitlines()[:1]}')
            continue
        files[f'suite/{name}'] = out / name
        for test, arguments in tests.items():
            known = expected_outputs(folder, test)
            if not known:
                print(f'{test} has no output to compare with in this checkout')
                continue
            for i, path in enumerate(known):
                files[f'suite/{test}.{i}'] = path.resolve()
            runs.append((test, name, arguments, len(known)))
    return files, runs


TASK = '''
mkdir -p /tmp
cd /suite
compare() { # test, program, number of expected outputs, arguments
    t=$1; p=$2; n=$3; shift 3
    ./$p "$@" > /tmp/out 2> /tmp/err; status=$?
    best=999999; i=0; which=0
    while [ $i -lt $n ]; do
        lines=$(diff -b /tmp/out $t.$i | grep -c '^-[^-]')
        other=$(diff -b /tmp/out $t.$i | grep -c '^+[^+]')
        [ $other -gt $lines ] && lines=$other
        [ $lines -lt $best ] && best=$lines && which=$i
        i=$(expr $i + 1)
    done
    echo SUITE $t status $status lines $(wc -l < /tmp/out) different $best
    [ $best -gt 0 ] && diff -b /tmp/out $t.$which | grep '^[-+]' | head -n 12 | sed "s/^/DIFF $t /"
}
'''


def run(myna, cpu):
    folder = suites.source('valgrind', HOME) / 'none/tests/ppc64'
    if not shutil.which(COMPILER):
        machine.skip(f'no {COMPILER}')
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        out = pathlib.Path(name)
        files, runs = compile_all(folder, out)
        if not runs:
            raise machine.Failure(f'{folder} has none of the tests')
        task = TASK + ''.join(f"compare '{test}' {program} {n} {arguments}\n" for test, program, arguments, n in runs
                              if PROGRAMS[program][0] <= cpu or cpu == 'power10') + 'echo SUITE-END\npoweroff -f\n'
        root = machine.guest('linux-ppc64el')
        busybox = machine.guest('busybox-ppc64el') / 'bin/busybox'
        initramfs.build(str(out / 'initramfs'), busybox, root, [], task, files=files)
        program = str(pathlib.Path(myna).parent / 'myna-system-ppc64')
        with machine.Machine(program, '-machine', 'pseries,x-vof=on', '-cpu', cpu, '-m', 512, '-vga', 'none', '-nic', 'none',
                             '-no-reboot', '-kernel', machine.one(root / 'boot/vmlinux-*'), '-initrd', out / 'initramfs', '-append',
                             'console=hvc0 panic=-1 quiet') as m:
            m.expect('BOOT-UP ppc64le', 600)
            m.expect('SUITE-END', 1200)
            text = m.text
        done = re.findall(r'SUITE (\S+) status (\d+) lines (\d+) different (\d+)', text)
        if len(done) != len(runs):
            raise machine.Failure(f'{len(done)} of {len(runs)} tests came to their end')
        for test, status, lines, different in done:
            print(f'{test}: {lines} lines, {different} different, status {status}')
            if int(status) or int(different) > DIFFERENT.get(test, 0):
                wrong.append(test)
    if wrong:
        raise machine.Failure('other than on real processors: ' + ' '.join(wrong))


TESTS = {'valgrind-power10': lambda myna: run(myna, 'power10')}

if __name__ == '__main__':
    machine.main(TESTS)
