#!/usr/bin/env python3
"""Random loops: in a Linux guest's processes they leave the same as on the host's processor (loops.c); PowerPC's, which no host runs, leave the
same with all engines and options (tests/target/ppc/loops.c).

Usage: loops.py MYNA [test...]        $MYNA_SEED and $MYNA_LOOPS say which and how many
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import linux
import machine

COMPILERS = {'amd64': ['gcc', '-m64'], 'i386': ['i686-linux-gnu-gcc', '-msse2']}
PROCESSES = 2
LONGEST = 1500  # seconds


def compile_loops(arch, folder):
    program = os.path.join(folder, 'loops')
    if not shutil.which(COMPILERS[arch][0]):
        machine.skip(f'{COMPILERS[arch][0]} is not installed (Debian package gcc-i686-linux-gnu)')
    subprocess.run([*COMPILERS[arch], '-O2', '-static', '-no-pie', '-o', program, *pathlib.Path(__file__).parent.glob('loops*.c')], check=True)
    return program


def host_features():
    flags = re.search(r'(?m)^flags\s*:(.*)', pathlib.Path('/proc/cpuinfo').read_text())[1].split()
    if 'xsave' not in flags or 'avx' not in flags:
        machine.skip('the host has no AVX')
    return '1' if {'avx2', 'fma'} <= set(flags) else '0'


def digests(text):
    """Of each seed."""
    found = {}
    for line in re.findall(r'LOOPS (\d+((?: [0-9a-f]{8})+))\r?\n', text):
        first, *sums = line[0].split()
        found.update({int(first) + i: value for i, value in enumerate(sums)})
    return found


def in_guest(myna, arch, program, commands, args):
    task = commands + '\nwait\ndmesg -r | grep "^<[0-3]>" | sed "s/^/BOOT-WARNING /"\necho BOOT-END\npoweroff -f\n'
    with linux.boot(myna, arch, task, smp=PROCESSES, programs=[program], append='no_timer_check quiet',
                    args=['-nic', 'none', '-cpu', 'max', *args]) as m:
        m.expect('BOOT-UP', 300)
        m.expect('BOOT-END', LONGEST)
        bad = [line for line in re.findall(r'BOOT-WARNING (.*)', m.text) if not linux.HARMLESS.search(line)]
        if bad:
            raise machine.Failure('the kernel complains: ' + '; '.join(bad[:5]))
        return m.text


def on_host(program, *args):
    try:
        done = subprocess.run([program, *args], capture_output=True, text=True)
    except OSError as error: # a kernel without 32-bit programs
        machine.skip(f'loops does not run on this host: {error.strerror}')
    if 'LOOPS-END' not in done.stdout:
        machine.skip(f'loops does not run on this host: status {done.returncode}')
    return done.stdout


def show(myna, arch, program, seed, features, args):
    """What one loop leaves, line by line."""
    host = on_host(program, str(seed), '1', features, 'dump').splitlines()
    text = in_guest(myna, arch, program, f'loops {seed} 1 {features} dump', args)
    guest = [line.rstrip() for line in text.splitlines() if line.startswith('DUMP')]
    for line in host:
        if line not in guest:
            print('  host ', line)
    for line in guest:
        if line not in host:
            print('  guest', line)
    print(*(line for line in host if 'DUMP code' in line or 'pages' in line or 'before' in line), sep='\n', flush=True)


def run(myna, arch, count, args=()):
    seed, count, features = int(os.environ.get('MYNA_SEED', 0)), int(os.environ.get('MYNA_LOOPS', count)), host_features()
    with tempfile.TemporaryDirectory() as folder:
        program = compile_loops(arch, folder)
        shares = [(seed + k * 1000000, count // PROCESSES) for k in range(PROCESSES)]
        commands = ' & '.join(f'loops {first} {n} {features} > /tmp/{first}' for first, n in shares)
        commands += '\nwait\n' + '\n'.join(f'cat /tmp/{first}' for first, _ in shares)
        guest = digests(in_guest(myna, arch, program, commands, args))
        host = {}
        for first, n in shares:
            host.update(digests(on_host(program, str(first), str(n), features)))
        wrong = sorted(s for s in host if guest.get(s) != host[s])
        print(f'  {len(host)} loops, {len(wrong)} differ', flush=True)
        if wrong:
            print('  seeds', *wrong[:20])
            show(myna, arch, program, wrong[0], features, args)
            raise machine.Failure(f'{len(wrong)} loops leave something else than on the host, the first one is {wrong[0]}')


# ---- PowerPC ----

OLDER_HOST = 'host-features=-fma:-avx2:-bmi1:-bmi2:-lzcnt:-movbe'
REFERENCE = 'tcg,interp=on'
ENGINES = ['tcg', 'tcg,sites=all', 'tcg,sites=all,host-features=-fma', f'tcg,sites=all,{OLDER_HOST}', 'tcg,sites=all,verify=1']


def by_engine(myna, model, engine, *args):
    """What tests/target/ppc/loops.c prints, and what went wrong, if anything."""
    program = pathlib.Path(myna).parent.parent / 'tests/ppc-loops'
    done = subprocess.run([program, model, *map(str, args)], capture_output=True, text=True, errors='replace',
                          env={**os.environ, 'MYNA_TEST_ENGINE': engine})
    is_wrong = done.returncode or 'the interpreter says' in done.stderr
    return done.stdout, f'status {done.returncode}: {done.stderr[:2000]}' if is_wrong else ''


def smallest(myna, model, engine, seed):
    """Words that may become nops while the loop still leaves something else than by the interpreter."""
    def differs(nops):
        wanted, wrong = by_engine(myna, model, REFERENCE, seed, 1, 'dump', *nops)
        return not wrong and by_engine(myna, model, engine, seed, 1, 'dump', *nops) != (wanted, '')
    words, nops = len(re.findall(r'DUMP code \S+:', by_engine(myna, model, REFERENCE, seed, 1, 'dump')[0])), []
    kept, step = list(range(words)), max(words // 4, 1)
    while step:
        for at in range(0, len(kept), step):
            if differs(nops + kept[at:at + step]):
                nops += kept[at:at + step]
        kept = [n for n in kept if n not in nops]
        step //= 2
    return nops


def show_by_engine(myna, model, engine, seed):
    nops = smallest(myna, model, engine, seed)
    wanted = by_engine(myna, model, REFERENCE, seed, 1, 'dump', *nops)[0].splitlines()
    found, wrong = by_engine(myna, model, engine, seed, 1, 'dump', *nops)
    for line in found.splitlines():
        if line not in wanted:
            print('  ', line)
    for line in wanted:
        if line not in found.splitlines():
            print('  not', line)
    print('  without words', *nops)
    print(wrong, *(line for line in wanted if 'DUMP code' in line and '60000000' not in line), sep='\n', flush=True)


def run_ppc(myna, model, count, engines):
    seed, count = int(os.environ.get('MYNA_SEED', 0)), int(os.environ.get('MYNA_LOOPS', count))
    text, wrong = by_engine(myna, model, REFERENCE, seed, count)
    wanted = digests(text)
    if wrong or len(wanted) != count:
        raise machine.Failure(f'{model}: loop {seed + len(wanted)} is not interpreted to its end: {wrong}')
    for engine in engines:
        text, wrong = by_engine(myna, model, engine, seed, count)
        found = digests(text)
        bad = sorted(s for s in wanted if found.get(s) != wanted[s])
        print(f'  {engine}: {len(found)} loops, {len(bad)} differ', flush=True)
        if bad or wrong:
            print('  seeds', *bad[:20], wrong)
            show_by_engine(myna, model, engine, bad[0] if bad else seed)
            raise machine.Failure(f'{model}: {len(bad)} loops leave something else with {engine}, the first one is {bad[:1]}')


ALL_SITES = ['-accel', 'tcg,sites=all']  # no loop runs long enough to be found hot

TESTS = {
    'amd64': lambda myna: run(myna, 'amd64', 60000, ALL_SITES),
    'i386': lambda myna: run(myna, 'i386', 60000, ALL_SITES),
    'amd64-interp': lambda myna: run(myna, 'amd64', 2000, ['-accel', 'tcg,interp=on']),
    'i386-interp': lambda myna: run(myna, 'i386', 2000, ['-accel', 'tcg,interp=on']),
    'amd64-verify': lambda myna: run(myna, 'amd64', 4000, ['-accel', 'tcg,sites=all,verify=10']),
    'i386-verify': lambda myna: run(myna, 'i386', 4000, ['-accel', 'tcg,sites=all,verify=10']),
    'amd64-hot': lambda myna: run(myna, 'amd64', 20000),
    'i386-hot': lambda myna: run(myna, 'i386', 20000),
    'amd64-off': lambda myna: run(myna, 'amd64', 20000, ['-accel', 'tcg,sites=off']),
    **{model: (lambda myna, model=model: run_ppc(myna, model, 400, ENGINES[1:2])) for model in ('7400', '970', 'power9')},
    **{f'{model}-long': (lambda myna, model=model: run_ppc(myna, model, 20000, ENGINES)) for model in ('7400', '970', 'power8', 'power9', 'power10')},
    'i386-off': lambda myna: run(myna, 'i386', 20000, ['-accel', 'tcg,sites=off']),
}

if __name__ == '__main__':
    machine.main(TESTS)
