/*
 * Hypercalls of a partition's processors, from a program of its own: virtual processor areas, H_CEDE, H_PROD, H_CONFER, start-cpu.
 *
 * Big-endian, in real mode, started by -kernel without firmware; each check is a line on the console. LoPAPR 1.1, 14.5.4.8 and 14.11.
 */
#include <stdint.h>

enum { H_PUT_TERM_CHAR = 0x58, H_REGISTER_VPA = 0xdc, H_CEDE = 0xe0, H_CONFER = 0xe4, H_PROD = 0xe8, H_CALL_RTAS = 0xf000 };
enum { H_SUCCESS = 0, H_PARAMETER = -4 };
enum { RTAS_POWER_OFF = 0x2003, RTAS_START_CPU = 0x2006 }; /* tokens: hw/papr/rtas.def */
enum { CONSOLE = 0x71000000, PRODS = 20000, LONG = 0x7fffffff };

/* Vector 900h counts into it, by r13, and takes the decrementer far away. */
typedef struct Processor {
    volatile uint64_t decrements;
    uint64_t save;
} Processor;

extern uint32_t secondary_entry[], decrementer[], decrementer_end[];
static Processor processor[2];
static volatile uint64_t alive, woken, asked;
static uint8_t area[4096] __attribute__((aligned(4096)));

__asm__(".globl _start\n_start:\n"
        "bl 1f\n1: mflr 9\n addis 2, 9, .TOC.-1b@ha\n addi 2, 2, .TOC.-1b@l\n"
        "addis 1, 2, stack_end@toc@ha\n addi 1, 1, stack_end@toc@l\n addi 1, 1, -256\n"
        "bl first\n"
        ".globl secondary_entry\nsecondary_entry:\n"
        "bl 2f\n2: mflr 9\n addis 2, 9, .TOC.-2b@ha\n addi 2, 2, .TOC.-2b@l\n"
        "addis 1, 2, second_stack_end@toc@ha\n addi 1, 1, second_stack_end@toc@l\n addi 1, 1, -256\n"
        "bl second\n"
        ".globl decrementer\ndecrementer:\n"
        "std 3, 8(13)\n ld 3, 0(13)\n addi 3, 3, 1\n std 3, 0(13)\n lis 3, 0x7fff\n mtdec 3\n ld 3, 8(13)\n rfid\n"
        ".globl decrementer_end\ndecrementer_end:\n"
        ".bss\n.balign 16\n .space 16384\nstack_end:\n .space 16384\nsecond_stack_end:\n .previous\n");

static int64_t hcall(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    register uint64_t r3 __asm__("3") = number, r4 __asm__("4") = a, r5 __asm__("5") = b, r6 __asm__("6") = c, r7 __asm__("7") = d;

    __asm__ volatile("sc 1"
                     : "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
                     :
                     : "0", "8", "9", "10", "11", "12", "ctr", "xer", "cr0", "cr1", "cr5", "cr6", "cr7", "memory");
    return r3;
}

static void rtas(uint32_t token, uint32_t inputs, uint32_t a, uint32_t b, uint32_t c)
{
    static uint32_t call[8];

    call[0] = token;
    call[1] = inputs;
    call[2] = 1;
    call[3] = a;
    call[4] = b;
    call[5] = c;
    hcall(H_CALL_RTAS, (uintptr_t)call, 0, 0, 0);
}

static void put(const char *text)
{
    for (; *text; text++) {
        while (hcall(H_PUT_TERM_CHAR, CONSOLE, 1, (uint64_t)*text << 56, 0) > 0) {
        }
    }
}

static void check(const char *name, int good)
{
    put(name);
    put(good ? " ok\n" : " BAD\n");
}

static uint64_t time_base(void)
{
    uint64_t now;

    __asm__ volatile("mftb %0" : "=r"(now));
    return now;
}

static void set_decrementer(uint32_t value)
{
    __asm__ volatile("mtdec %0" : : "r"(value));
}

/* H_CEDE leaves MSR[EE] on: it is off again from here. */
static void cede(void)
{
    uint64_t msr;

    hcall(H_CEDE, 0, 0, 0, 0);
    __asm__ volatile("mfmsr %0" : "=r"(msr));
    __asm__ volatile("mtmsrd %0, 1" : : "r"(msr & ~UINT64_C(0x8000)) : "memory");
}

static void use(Processor *p)
{
    __asm__ volatile("mr 13, %0" : : "r"(p));
    set_decrementer(LONG);
}

/* The second processor: sleeps, and counts how often it was woken. */
__attribute__((used, noreturn)) void second(void)
{
    use(&processor[1]);
    alive = 1;
    for (;;) {
        set_decrementer(LONG);
        cede();
        woken = woken + 1;
        for (unsigned i = woken * 7 % 64; i; i--) { /* the next one comes while it is awake, or not */
            __asm__ volatile("");
        }
    }
}

static int64_t register_area(uint64_t function, uint64_t server, uint64_t addr, uint16_t size)
{
    uint8_t *at = (uint8_t *)(addr & ~UINT64_C(63));

    if (addr) {
        at[4] = size >> 8;
        at[5] = size;
        at[9] = 0;
    }
    return hcall(H_REGISTER_VPA, function << 45, server, addr, 0);
}

static void areas(void)
{
    uint64_t at = (uintptr_t)area;

    check("VPA", register_area(1, 0, at, 640) == H_SUCCESS && area[9] == 2);
    check("VPA-SERVER", register_area(1, 2, at, 640) == H_PARAMETER);
    check("VPA-NULL", register_area(1, 0, 0, 0) == H_PARAMETER);
    check("VPA-SMALL", register_area(1, 0, at, 639) == H_PARAMETER);
    check("VPA-ALIGN", register_area(1, 0, at + 8, 640) == H_PARAMETER);
    check("VPA-PAGE", register_area(1, 0, at + 4096 - 512, 640) == H_PARAMETER);
    check("VPA-FUNCTION", register_area(0, 0, at, 640) == H_PARAMETER && register_area(4, 0, at, 640) == H_PARAMETER);
    check("VPA-GONE", register_area(5, 0, 0, 0) == H_SUCCESS && register_area(2, 0, at, 640) == H_SUCCESS);
}

/* Each wakes it once more: it may be asleep, or about to. */
static void prod_second(void)
{
    rtas(RTAS_START_CPU, 3, 1, (uintptr_t)secondary_entry, 0);
    while (!alive) {
        __asm__ volatile("");
    }
    check("START", 1);
    for (asked = 0; asked < PRODS; asked++) {
        uint64_t before = woken;

        if (hcall(H_PROD, 1, 0, 0, 0) != H_SUCCESS) {
            break;
        }
        while (woken == before) {
            hcall(H_CONFER, 1, 0, 0, 0);
        }
    }
    check("PROD-OTHER", asked == PRODS && processor[1].decrements == 0);
    check("CONFER", hcall(H_CONFER, ~UINT64_C(0), 0, 0, 0) == H_SUCCESS);
}

__attribute__((used, noreturn)) void first(void)
{
    uint32_t *vector = (uint32_t *)0x900;
    uint64_t before;

    for (uint32_t *word = decrementer; word < decrementer_end; word++) {
        *vector++ = *word;
    }
    __asm__ volatile("dcbst 0, %0; sync; icbi 0, %0; isync" : : "r"(0x900) : "memory");
    use(&processor[0]);
    areas();
    check("PROD-NOBODY", hcall(H_PROD, 2, 0, 0, 0) == H_PARAMETER);
    hcall(H_PROD, 0, 0, 0, 0);
    cede();
    check("PROD-SELF", processor[0].decrements == 0);
    before = time_base();
    set_decrementer(5000000);
    cede();
    check("CEDE", processor[0].decrements == 1 && time_base() - before >= 5000000);
    prod_second();
    put("HCALLS done\n");
    rtas(RTAS_POWER_OFF, 2, 0, 0, 0);
    for (;;) {
    }
}
