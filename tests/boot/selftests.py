#!/usr/bin/env python3
"""Linux's own x86 selftests, from Debian's package of its source, inside guests of Debian's kernels.

Usage: selftests.py MYNA [test...]
"""
import pathlib
import re
import shutil
import subprocess
import tempfile

import initramfs
import linux
import machine

FOLDER = 'tools/testing/selftests/x86'
NEEDED = [FOLDER, 'tools/testing/selftests/kselftest.h', 'arch/x86/include/asm/desc_defs.h']

# What each test needs beside its own file: further sources, further options.
EXTRA = {
    'sysret_ss_attrs_64': ['thunks.S'],
    'ptrace_syscall_32': ['raw_syscall_helper_32.S'],
    'test_syscall_vdso_32': ['thunks_32.S'],
    'check_initial_reg_state_32': ['-Wl,-ereal_start', '-static'],
    'check_initial_reg_state_64': ['-Wl,-ereal_start', '-static'],
}
BOTH = ['single_step_syscall', 'sysret_ss_attrs', 'syscall_nt', 'test_mremap_vdso', 'check_initial_reg_state', 'sigreturn',
        'iopl', 'ioperm', 'test_vsyscall', 'mov_ss_trap', 'sigtrap_loop', 'syscall_arg_fault', 'fsgsbase_restore',
        'sigaltstack', 'ldt_gdt', 'ptrace_syscall']
ONLY = {
    # Left out: amx, which fails where there are no tiles.
    64: ['fsgsbase', 'sysret_rip', 'syscall_numbering', 'corrupt_xstate_header'],
    32: ['entry_from_vm86', 'test_syscall_vdso', 'unwind_vdso', 'test_FCMOV', 'test_FCOMI', 'test_FISTTP', 'vdso_restorer'],
}
COMPILERS = {
    64: (['gcc', '-m64'], 'gcc'),
    32: (['i686-linux-gnu-gcc'], 'gcc-i686-linux-gnu'),
}


def unpack(folder):
    root = machine.guest('linux-source')
    archive = machine.one(root / 'usr/src/linux-source-*.tar.xz')
    top = pathlib.Path(archive).name.removesuffix('.tar.xz')
    subprocess.run(['tar', 'xf', archive, '-C', folder, *(f'{top}/{name}' for name in NEEDED)], check=True)
    return folder / top / FOLDER


def build(source, bits, folder):
    compiler, package = COMPILERS[bits]
    if not shutil.which(compiler[0]):
        machine.skip(f'{compiler[0]} is not installed (Debian package {package})')
    names = BOTH + ONLY[bits]
    for name in names:
        extra = EXTRA.get(f'{name}_{bits}', [])
        subprocess.run([*compiler, '-O2', '-g', '-std=gnu99', '-pthread', '-no-pie', '-w', '-DCAN_BUILD_32', '-DCAN_BUILD_64',
                        '-o', folder / name, f'{name}.c', *extra, '-lrt', '-ldl', '-lm'], cwd=source, check=True)
    return names


def runtime(bits, example):
    """{path in the guest: file} of a C library for what was built; where the loader is to look for it."""
    if bits == 64:
        files = initramfs.libraries(example)
        libgcc = subprocess.run(['gcc', '-m64', '-print-file-name=libgcc_s.so.1'], capture_output=True, text=True, check=True)
        files['lib64/libgcc_s.so.1'] = libgcc.stdout.strip()
        return files, '/lib64:/lib/x86_64-linux-gnu'
    root = pathlib.Path('/usr/i686-linux-gnu/lib')
    files = {f'lib32/{name}': root / name for name in ('libc.so.6', 'libm.so.6', 'libgcc_s.so.1')}
    files['lib/ld-linux.so.2'] = root / 'ld-linux.so.2'
    return files, '/lib32'


def run(myna, arch, bits, *args):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = unpack(folder)
        names = build(source, bits, folder)
        files, path = runtime(bits, folder / names[0])
        files |= {f'tests/{test}': folder / test for test in names}
        task = f'''
export LD_LIBRARY_PATH={path}
cd /tmp
for t in {' '.join(names)}; do echo "BOOT-RUN $t"; /tests/$t; echo "BOOT-RESULT $t $?"; done
echo BOOT-END
poweroff -f
'''
        # The kernel's page at the old address of vsyscalls is wanted by test_vsyscall.
        with linux.boot(myna, arch, task, files=files, memory=512, smp=2, append='vsyscall=emulate no_timer_check',
                        args=['-nic', 'none', '-cpu', 'max', *args]) as m:
            m.expect('BOOT-UP', 300)
            try:
                m.expect('BOOT-END', 600)
            finally:
                results = dict(re.findall(r'BOOT-RESULT (\S+) (\d+)', m.text))
                bad = [test for test in names if results.get(test) != '0']
                for test in bad:
                    found = re.search(rf'BOOT-RUN {test}\n(.*?)BOOT-(?:RESULT|RUN|END)', m.text, re.S)
                    print(f'--- {test}: {results.get(test, "no result")}\n{found[1] if found else ""}', flush=True)
            if bad:
                raise machine.Failure('failed: ' + ' '.join(bad))
            complaint = re.search(r'.*(?:Oops|BUG:|WARNING: CPU|Call Trace).*', m.text)
            if complaint:
                raise machine.Failure(f'the kernel complains: {complaint[0]}')
        print(f'{len(names)} tests', flush=True)


TESTS = {
    'amd64-64': lambda myna: run(myna, 'amd64', 64),
    'amd64-32': lambda myna: run(myna, 'amd64', 32),
    'i386-32': lambda myna: run(myna, 'i386', 32),
    'amd-64': lambda myna: run(myna, 'amd64', 64, '-cpu', 'max,vendor=AuthenticAMD'),
    'amd-32': lambda myna: run(myna, 'amd64', 32, '-cpu', 'max,vendor=AuthenticAMD'),
    'amd64-32-all': lambda myna: run(myna, 'amd64', 32, '-accel', 'tcg,sites=all'),
    'amd64-32-verify': lambda myna: run(myna, 'amd64', 32, '-accel', 'tcg,verify=20'),
    'i386-32-interp': lambda myna: run(myna, 'i386', 32, '-accel', 'tcg,interp=on'),
}

if __name__ == '__main__':
    machine.main(TESTS)
