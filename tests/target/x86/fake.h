/* A processor over plain RAM: what the system half needs of an engine, without translated code. */
#ifndef TESTS_TARGET_X86_FAKE_H
#define TESTS_TARGET_X86_FAKE_H

#include "accel/accel.h"
#include "core/lock.h"
#include "core/machine.h"
#include "target/x86/system.h"
#include "util/bits.h"

#define FAKE_RAM (16 * 1024 * 1024)

/* The real ones, where an engine is linked. */
EngineOps engine __attribute__((weak));
const AccelOps *accel __attribute__((weak));

static uint8_t *ram;
static X86State *s;
static Cpu *cpu;

static uint8_t *fake_byte(VirtAddr addr, MmuAccess access, unsigned mode)
{
    MmuResult r;

    if (!x86_walk(cpu, addr, access, mode, false, &r)) {
        x86_raise_mmu_fault(cpu, addr, access, mode);
    }
    return ram + (r.phys + (addr & 0xfff)) % FAKE_RAM;
}

static uint64_t fake_load(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t ra)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)*fake_byte(addr + i, MMU_LOAD, mode) << (8 * i);
    }
    return value;
}

static void fake_store(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t ra)
{
    fake_byte(addr + size - 1, MMU_STORE, mode);
    for (unsigned i = 0; i < size; i++) {
        *fake_byte(addr + i, MMU_STORE, mode) = value >> (8 * i);
    }
}

static void *fake_probe(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t ra)
{
    return fake_byte(addr, access, mode);
}

static void fake_flush(Cpu *c)
{
}

static void fake_flush_space(Cpu *c, uint64_t id, bool keep_global)
{
}

static void fake_flush_page(Cpu *c, VirtAddr addr)
{
}

/* Runs fn; the vector of the exception that it raised, or -1. */
static int __attribute__((noinline, unused)) raised_by(void (*fn)(void))
{
    if (__builtin_setjmp(s->catch_point)) {
        s->catching = false;
        return s->exception.vector;
    }
    s->catching = true;
    fn();
    s->catching = false;
    return -1;
}

static void fake_start(const char *model)
{
    GError *error = NULL;

    if (!ram) {
        Region *region;

        memory_init();
        region = region_new_ram("ram", FAKE_RAM, &error);
        g_assert_no_error(error);
        machine_lock();
        region_add(memory_system_root(), 0, region);
        machine_unlock();
        ram = region_host(region);
        engine = (EngineOps){
            .load = fake_load,
            .store = fake_store,
            .probe = fake_probe,
            .flush_all = fake_flush,
            .flush_space = fake_flush_space,
            .flush_page = fake_flush_page,
            .update_mode = fake_flush,
        };
    }
    if (cpu) {
        cpu_free(cpu);
    }
    memset(ram, 0, FAKE_RAM);
    cpu = cpu_new(&x86_cpu_type, model, 0, &error);
    g_assert_no_error(error);
    s = x86_state(cpu);
}

static inline void put32(uint32_t at, uint32_t value)
{
    store_le32(ram + at, value);
}

static inline void put64(uint32_t at, uint64_t value)
{
    store_le64(ram + at, value);
}

static inline uint32_t get32(uint32_t at)
{
    return load_le32(ram + at);
}

/* A segment descriptor: access byte and flags (G 8, DB 4, L 2) as the manual draws them. */
static inline uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static inline void set_segment(int seg, uint16_t selector, uint64_t desc)
{
    Descriptor d = { .low = desc, .high = desc >> 32 };

    seg_from_descriptor(&s->seg[seg], selector, &d);
}

#endif
