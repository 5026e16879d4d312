/*
 * verify=N: every Nth block is also run by the interpreter, and the guest state afterwards compared.
 *
 * The interpreter goes first, and the state before it is put back for the block. Blocks that do more
 * than compute are left out: accesses to memory cannot be had twice without a difference.
 */
#include "accel/tcg/internal.h"

#include "util/log.h"

#include <inttypes.h>
#include <string.h>

static bool harmless(const IrBlock *ir)
{
    for (uint32_t i = 0; i < ir->n_insns; i++) {
        switch (ir->insns[i].op) {
        case IR_load:
        case IR_store:
        case IR_probe_store:
        case IR_try_copy:
        case IR_try_fill:
        case IR_atomic_add:
        case IR_atomic_and:
        case IR_atomic_or:
        case IR_atomic_xor:
        case IR_atomic_xchg:
        case IR_atomic_cmpxchg:
        case IR_raw:
        case IR_fast: /* may call, and tells FPSCR later */
        case IR_call:
        case IR_host_counter:
            return false;
        default:
            break;
        }
    }
    return true;
}

bool verify_wanted(const Block *block)
{
    static unsigned count;

    return engine_options.verify && block->code && block->ir &&
           ++count % engine_options.verify == 0 && harmless(block->ir);
}

static uint64_t slot_value(const void *state, const IrSlot *slot)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)state + slot->offset, ir_type_size(slot->type));
    return value;
}

static void report(EngineCpu *ec, const Block *block, const IrSlot *slot, uint64_t code,
                   uint64_t interpreted)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *host = tcg_disassemble_host(block->code);

    ir_dump(block->ir, text);
    log_error("block at %" PRIx64 ":%" PRIx64 " flags %" PRIx64 ": %s is %" PRIx64
              " but the interpreter says %" PRIx64 "\n%s\n%s", block->key.base, block->key.pc,
              block->key.flags, slot->name, code, interpreted, text->str, host ? host : "");
}

/* Slots that some exit of the block leaves as they are, because nobody reads them behind it. */
static uint64_t dead_slots(const IrBlock *ir)
{
    uint64_t slots = 0;

    for (guint i = 0; ir->exit_dead && i < ir->exit_dead->len; i++) {
        slots |= g_array_index(ir->exit_dead, IrExitDead, i).slots;
    }
    return slots;
}

TcgExit verify_run(EngineCpu *ec, Block *block, HostExit **exit)
{
    void *state = ec->cpu->state;
    size_t size = ec->cpu->type->state_size;
    g_autofree uint8_t *before = g_malloc(size), *after = g_malloc(size);
    uint64_t dead = dead_slots(block->ir);
    TcgExit expected, why;

    memcpy(before, state, size);
    expected = tcg_interpret(state, block->ir, NULL, NULL);
    memcpy(after, state, size);
    if (expected == TCG_EXIT_POLL) { /* a request came: the two would differ in when they see it */
        return expected;
    }
    /* poll belongs to other threads. */
    memcpy((uint8_t *)state + sizeof(CpuHot), before + sizeof(CpuHot), size - sizeof(CpuHot));
    why = tcg_enter(state, block->code->code, exit);
    if (why == TCG_EXIT_POLL) {
        return why;
    }
    for (uint32_t i = 0; i < ec->ops->tcg.n_slots; i++) {
        const IrSlot *slot = &ec->ops->tcg.slots[i];

        if (!(dead >> i & 1) && slot_value(state, slot) != slot_value(after, slot)) {
            report(ec, block, slot, slot_value(state, slot), slot_value(after, slot));
            break;
        }
    }
    return why;
}
