/* The host's floating-point exceptions are unmasked for translated code (fp_traps.c), and for nobody else. */
#include "tests/target/ppc/rig.h"

#include "core/lock.h"
#include "core/memory.h"
#include "target/ppc/fp.h"
#include "util/bits.h"

#include <math.h>

enum { DEVICE = 0x2000000, NUMBERS = 0x20000, RESULTS = 0x30000, COUNT = 300, XX = 6 };

#define LFD(rt, d, ra)     D_(50, rt, ra, d)
#define STFD(rt, d, ra)    D_(54, rt, ra, d)
#define FMUL(rt, ra, rc)   (X_(63, rt, ra, 0, 25) | (rc) << 6)
#define FADD(rt, ra, rb)   X_(63, rt, ra, rb, 21)
#define MTFSB1(bit)        X_(63, bit, 0, 0, 38)

static volatile double zero;
static unsigned loads, wrong;

static unsigned mxcsr(void)
{
    return __builtin_ia32_stmxcsr() & 0xffc0; /* without what has happened */
}

static void *in_a_thread(void *opaque)
{
    wrong += mxcsr() != 0x1f80;
    return NULL;
}

static uint64_t device_read(void *opaque, PhysAddr offset, unsigned size)
{
    wrong += mxcsr() != 0x1f80;
    wrong += !isinf(1 / zero) || !isnan(zero / zero);
    if (loads++ < 4) {
        g_thread_join(g_thread_new("of a device", in_a_thread, NULL));
    }
    return loads;
}

static void device_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    wrong += mxcsr() != 0x1f80;
}

static void add_device(void)
{
    static const RegionOps ops = { .read = device_read, .write = device_write };

    machine_lock();
    region_add(memory_system_root(), DEVICE, region_new_io("device", &ops, NULL, 4096));
    machine_unlock();
}

static void begin(const uint64_t *numbers, unsigned n)
{
    rig_reset(MSR_FP);
    for (unsigned i = 0; i < n; i++) {
        store_be64(rig_ram + NUMBERS + 8 * i, numbers[i]);
    }
    loads = wrong = 0;
    rig_state->gpr[4] = DEVICE;
    rig_state->gpr[6] = NUMBERS;
    rig_state->gpr[7] = RESULTS;
    rig_state->ctr = COUNT;
}

static void check_results(uint64_t want)
{
    for (unsigned i = 0; i < COUNT; i++) {
        g_assert_cmphex(load_be64(rig_ram + RESULTS + 8 * i), ==, want);
    }
}

/* Between operations that the host can do, and one (an overflow) that it cannot. */
static void devices_have_the_usual_mxcsr(void)
{
    static const uint64_t numbers[] = { UINT64_C(0x7e37e43c8800759c) /* 1e300 */, UINT64_C(0x3ff8000000000000) /* 1.5 */ };

    begin(numbers, 2);
    RIG_RUN(MTFSB1(XX), LFD(1, 0, 6), LFD(2, 8, 6), FMUL(3, 1, 2), LWZ(5, 0, 4), FMUL(4, 3, 3), STW(5, 4, 4), FADD(5, 3, 1),
            STFD(4, 0, 7), ADDI(7, 7, 8), BC(16, 0, -7 * 4) /* bdnz */);
    g_assert_cmpuint(loads, ==, COUNT);
    g_assert_cmpuint(wrong, ==, 0);
    check_results(UINT64_C(0x7ff0000000000000));
    g_assert_cmphex(rig_state->fpscr & FPSCR_OX, ==, FPSCR_OX);
}

/* So many exceptions that blocks look at results for a while. */
static void tiny_numbers_are_right(void)
{
    static const uint64_t numbers[] = { 3, UINT64_C(0x3fe0000000000000) /* 0.5 */ };

    begin(numbers, 2);
    RIG_RUN(MTFSB1(XX), LFD(1, 0, 6), LFD(2, 8, 6), FMUL(3, 1, 2), FADD(4, 3, 1), STFD(4, 0, 7), ADDI(7, 7, 8), BC(16, 0, -4 * 4));
    check_results(5); /* a half of 3 is rounded to 2 */
    g_assert_cmphex(rig_state->fpscr & FPSCR_UX, ==, FPSCR_UX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start(argc > 1 ? argv[1] : "750");
    add_device();
    g_test_add_func("/ppc/fp-traps/devices", devices_have_the_usual_mxcsr);
    g_test_add_func("/ppc/fp-traps/tiny", tiny_numbers_are_right);
    return g_test_run();
}
