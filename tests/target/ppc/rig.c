/* A PowerPC with memory and nothing else. */
#include "tests/target/ppc/rig.h"

#include "accel/accel.h"
#include "core/clock.h"
#include "core/lock.h"
#include "core/machine.h"
#include "util/bits.h"

#include <stdatomic.h>

Cpu *rig_cpu;
PpcState *rig_state;
uint8_t *rig_ram;
Region *rig_region;

static _Atomic bool ended;

static void end(Cpu *cpu, void *opaque)
{
    atomic_store(&cpu->halted, true);
    atomic_store(&ended, true);
}

void rig_start(const char *model)
{
    const char *chosen = g_getenv("MYNA_TEST_ENGINE");
    g_autoptr(GError) error = NULL;

    memory_init();
    machine_lock();
    rig_region = region_new_ram("ram", RIG_RAM, &error);
    g_assert_no_error(error);
    region_add(memory_system_root(), 0, rig_region);
    rig_ram = region_host(rig_region);
    machine_unlock();
    g_assert_true(accel_init(chosen ? chosen : "tcg", &error));
    rig_cpu = cpu_new(&ppc_cpu_type, model, 0, &error);
    g_assert_no_error(error);
    rig_state = ppc_state(rig_cpu);
    ppc_set_hypercall(rig_cpu, end, NULL);
    clock_attach();
    clock_start();
    rig_cpu->halted = true;
    g_assert_true(accel->start_cpu(rig_cpu, &error));
    machine_lock();
    accel_pause_all();
    machine_unlock();
}

void rig_reset(uint64_t msr)
{
    rig_cpu->type->reset(rig_cpu);
    if (ppc_isa(rig_state, ISA_CLASSIC)) {
        rig_state->spr[SPR_HID0] = 0xc000; /* caches are on */
    }
    ppc_forget_uncached(rig_state);
    memset(rig_ram, 0, RIG_RAM);
    ram_mark_dirty(region_ram(rig_region), 0, RIG_RAM);
    engine.flush_all(rig_cpu);
    ppc_set_msr(rig_state, msr | (ppc_is_64bit(rig_cpu) ? MSR_SF : 0));
}

uint32_t rig_words(uint32_t addr, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++, addr += 4) {
        if (rig_state->msr & MSR_LE) {
            store_le32(rig_ram + addr, words[i]);
        } else {
            store_be32(rig_ram + addr, words[i]);
        }
    }
    ram_mark_dirty(region_ram(rig_region), 0, RIG_RAM);
    return addr;
}

void rig_run(uint64_t pc)
{
    rig_state->pc = pc;
    atomic_store(&ended, false);
    machine_lock();
    rig_cpu->halted = false;
    accel_resume_all();
    machine_unlock();
    for (int i = 0; i < 100000 && !atomic_load(&ended); i++) {
        g_main_context_iteration(NULL, FALSE); /* timers */
        g_usleep(i < 100 ? 20 : 200);
    }
    machine_lock();
    accel_pause_all();
    machine_unlock();
    if (!atomic_load(&ended)) {
        g_autofree char *text = rig_cpu->type->describe(rig_cpu, false);

        g_error("the code does not end:\n%s", text);
    }
}

void rig_run_words(const uint32_t *words, size_t count)
{
    static const uint32_t end_word = RIG_END;

    rig_words(rig_words(RIG_CODE, words, count), &end_word, 1);
    rig_run(RIG_CODE);
}
