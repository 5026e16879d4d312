/*
 * Runs an image under a user emulator: standard input is loaded at IMAGE and called, with r31 at its data; the image comes back
 * on standard output. No C library: those of PowerPC use an FPU that an e500 does not have.
 */
enum { IMAGE = 0x20000000, SIZE = 0x800000, DATA = 0x400000 };

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r0 __asm__("r0") = number, r3 __asm__("r3") = a, r4 __asm__("r4") = b, r5 __asm__("r5") = c, r6 __asm__("r6") = d,
                  r7 __asm__("r7") = e, r8 __asm__("r8") = f;

    __asm__ volatile("sc" : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7), "+r"(r8)
                     : : "cr0", "ctr", "memory", "r9", "r10", "r11", "r12");
    return r3;
}

enum { EXIT = 1, READ = 3, WRITE = 4, MMAP = 90 };
enum { PROT_ALL = 7, MAP_PRIVATE_FIXED_ANONYMOUS = 0x32 };

void _start(void)
{
    long at, n;

    call(MMAP, IMAGE, SIZE, PROT_ALL, MAP_PRIVATE_FIXED_ANONYMOUS, -1, 0);
    for (at = 0; (n = call(READ, 0, IMAGE + at, SIZE - at, 0, 0, 0)) > 0; at += n) {
    }
    __asm__ volatile("lis 31, %0@h\n mtctr %1\n bctrl" : : "i"(IMAGE + DATA), "r"((long)IMAGE)
                     : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r31", "ctr", "lr", "cr0", "cr1", "memory");
    for (at = 0; (n = call(WRITE, 1, IMAGE + at, SIZE - at, 0, 0, 0)) > 0; at += n) {
    }
    call(EXIT, 0, 0, 0, 0, 0, 0);
}
