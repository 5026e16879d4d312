#!/usr/bin/env python3
"""kvm-unit-tests' programs for x86 under the translator, as their x86/unittests.cfg lists them.

Usage: kvm-unit-tests.py MYNA [x86_64 | i386 | PROGRAM...]
"""
import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import firmware
import machine
import suites

# What has no meaning here, by section or by the group of sections.
NOT_HERE = {
    'vmx': 'VT', 'ept': 'VT', 'ept-mbec': 'VT', 'nested_exception': 'VT', 'pmu': 'asks for KVM', 'hyperv': "Hyper-V's interfaces",
    'nodefault': 'asks for KVM that emulates on demand', 'asyncpf': "KVM's interfaces", 'hypercall': "KVM's interfaces",
    'vmexit_vmcall': "KVM's interfaces", 'vmware_backdoors': "VMware's interfaces", 'intel_iommu': 'no IOMMU',
    'access-reduced-maxphyaddr': 'asks for KVM with smaller addresses', 'svm_pause_filter': 'asks for KVM', 'cet': 'no CET',
    'pmu_lbr': 'asks for KVM', 'pmu_pebs': 'asks for KVM', 's3': 'no sleeping to memory',
    'xapic': 'does not end: it asks KVM for interprocessor interrupts',
    'svm_unsupported_instruction_intercept_test': 'asks for KVM',
}
# What fails, and why (docs/testing.md).
FAILS = {
    'emulator': [r'Unhandled exception 13'],
    'x2apic': [r'Unhandled exception 6'],
    'svm': [r'.*'], 'svm_no_npt': [r'.*'], 'svm_npt': [r'.*'],
}
CPUS = {'Opteron_G1': 'EPYC', 'host': 'max'}  # models that there are not
OTHER_TIMEOUT = {'sieve': 900, 'access': 600, 'memory': 200}


def build(arch):
    source = suites.source('kvm-unit-tests', 'https://gitlab.com/kvm-unit-tests/kvm-unit-tests')
    folder = source.parent / f'kvm-unit-tests-{arch}'
    prefix = [] if arch == 'x86_64' else ['--cross-prefix=i686-linux-gnu-']
    if not (folder / '.built').exists():
        if not shutil.which('make') or (prefix and not shutil.which('i686-linux-gnu-gcc')):
            machine.skip('make or gcc-i686-linux-gnu is not installed')
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder, symlinks=True)
        for command in ['./configure', f'--arch={arch}', *prefix], ['make', '-j2']:
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (folder / '.built').touch()
    return folder / 'x86'


def sections(folder, arch):
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read_string(re.sub(r'(?m)^#.*$', '', (folder / 'unittests.cfg').read_text()))
    for name in config.sections():
        section = config[name]
        groups = section.get('groups', '').split()
        if section.get('arch', arch) == arch and not {name, *groups} & NOT_HERE.keys():
            yield name, section


def unquoted(text):
    return os.path.expandvars(' '.join(shlex.split(text)))


def run(myna, folder, name, section):
    """(what failed, number of lines PASS); None for a program that finds nothing to test."""
    params = re.sub(r'-cpu (\w+)', lambda m: '-cpu ' + CPUS.get(m[1], m[1]), section.get('qemu_params', ''))
    params = re.sub(r'-enable-kvm|-overcommit \S+|-m 4g', '', params)
    argv = [firmware.system(myna), '-accel', 'tcg', '-nodefaults', '-no-reboot', '-display', 'none', '-serial', 'stdio',
            '-device', 'pc-testdev', '-device', 'isa-debug-exit,iobase=0xf4,iosize=0x4', '-kernel', folder / section['file'],
            '-smp', section.get('smp', '1'), '-append', unquoted(section.get('test_args', '')), *shlex.split(params)]
    timeout = OTHER_TIMEOUT.get(name, 3 * section.getint('timeout', 90))
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              text=True, errors='replace')
    except subprocess.TimeoutExpired as expired:
        return ['it did not end'] + str(expired.stdout or '').splitlines()[-3:], 0
    if done.returncode == 77:
        return None
    failed = re.findall(r'(?m)^(?:FAIL.*|Unhandled exception.*|myna.*)', done.stdout)
    if done.returncode not in (1, 3) and not failed:
        failed = [f'status {done.returncode}', *done.stdout.splitlines()[-3:]]
    return failed, len(re.findall(r'(?m)^PASS', done.stdout))


def run_all(myna, arch, wanted=None):
    folder = build(arch)
    wrong = []
    for name, section in sections(folder, arch):
        if wanted and name not in wanted:
            continue
        if not (folder / section['file']).exists():
            continue
        result = run(myna, folder, name, section)
        if result is None:
            print(f'  {name}: nothing to test', flush=True)
            continue
        failed, passed = result
        surprise = [text for text in failed if not any(re.match(known, text) for known in FAILS.get(name, []))]
        print(f'  {name}: {passed} passed, {len(failed)} failed' + ''.join(f'\n    {text}' for text in failed[:20]), flush=True)
        if surprise:
            wrong.append(name)
    if wrong:
        raise machine.Failure('unexpected failures: ' + ' '.join(wrong))


TESTS = {arch: lambda myna, arch=arch: run_all(myna, arch) for arch in ('x86_64', 'i386')}

if __name__ == '__main__':
    if len(sys.argv) > 2 and sys.argv[2] not in TESTS:
        run_all(sys.argv[1], 'x86_64', sys.argv[2:])
    else:
        machine.main(TESTS)
