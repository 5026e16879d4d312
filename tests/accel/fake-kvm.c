/*
 * Preloaded into Myna: a kernel whose KVM answers as $FAKE_KVM says, for errors that the real one cannot be made to give. All else
 * goes to the real one.
 */
#undef _FILE_OFFSET_BITS /* under which mmap is mmap64 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static struct kvm_run *run; /* of the vCPU that was mapped first */

static int is(const char *name)
{
    const char *wanted = getenv("FAKE_KVM");

    return wanted && !strcmp(wanted, name);
}

void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    void *result;

    if (!real) {
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
    }
    result = real(addr, length, prot, flags, fd, offset);
    if (!run && fd >= 0 && ioctl(fd, KVM_GET_MP_STATE, &(struct kvm_mp_state){ 0 }) == 0) {
        run = result;
    }
    return result;
}

/* The name of the same in programs with 64-bit offsets. */
void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    return mmap(addr, length, prot, flags, fd, offset);
}

static int fail(int number)
{
    errno = number;
    return -1;
}

/* What KVM_RUN comes back with: 1 if the real one is to be asked. */
static int fake_run(void)
{
    if (is("efault")) {
        return fail(EFAULT);
    }
    if (is("entry")) {
        run->exit_reason = KVM_EXIT_FAIL_ENTRY;
        run->fail_entry.hardware_entry_failure_reason = 0x80000021;
        return 0;
    }
    if (is("emulation")) {
        run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
        run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
        run->emulation_failure.ndata = 3;
        run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
        run->emulation_failure.insn_size = 3;
        memcpy(run->emulation_failure.insn_bytes, "\xab\xcd\xef", 3);
        return 0;
    }
    if (is("delivery")) {
        run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
        run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
        run->internal.ndata = 1;
        run->internal.data[0] = 0x8000030e;
        return 0;
    }
    if (is("unknown")) {
        run->exit_reason = 999;
        return 0;
    }
    return 1;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, void *);
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (!real) {
        real = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
    }
    if (request == KVM_GET_API_VERSION && is("version")) {
        return 11;
    }
    if (request == KVM_CHECK_EXTENSION && (long)arg == KVM_CAP_IMMEDIATE_EXIT && is("capability")) {
        return 0;
    }
    if (request == KVM_CHECK_EXTENSION && (long)arg == KVM_CAP_MAX_VCPUS && is("limit")) {
        return 1;
    }
    if (request == KVM_CREATE_VM && is("busy")) {
        return fail(EBUSY);
    }
    if (request == KVM_RUN && run && !run->immediate_exit) {
        int result = fake_run();

        if (result <= 0) {
            return result;
        }
    }
    return real(fd, request, arg);
}
