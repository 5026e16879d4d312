/*
 * The tables of hypercalls and RTAS calls of a logical partition.
 *
 * LoPAPR (Linux on Power Architecture Platform Reference) 1.1, chapters 7 and 14.
 */
#include "hw/papr/papr.h"

#include "core/cpu.h"
#include "util/bits.h"
#include "util/log.h"

enum { PAPR_MAX = 0x45c, PRIVATE_FIRST = 0xf000, PRIVATE_COUNT = 8 }; /* numbers are multiples of 4 in the first range */
enum { RTAS_TOKEN_FIRST = 0x2000, RTAS_HEADER = 12 };

typedef struct Hcall {
    PaprHcallFn *fn;
    void *opaque;
} Hcall;

typedef struct RtasEntry {
    const char *name;
    PaprRtasFn *fn;
    void *opaque;
    unsigned nargs, nrets;
} RtasEntry;

static Hcall hcalls[PAPR_MAX / 4 + 1 + PRIVATE_COUNT];

static RtasEntry rtas_calls[] = {
#define RTAS(text) { .name = text },
#include "rtas.def"
#undef RTAS
};

static Hcall *find_hcall(uint64_t opcode)
{
    if (opcode <= PAPR_MAX && opcode % 4 == 0) {
        return &hcalls[opcode / 4];
    }
    if (opcode >= PRIVATE_FIRST && opcode < PRIVATE_FIRST + PRIVATE_COUNT) {
        return &hcalls[PAPR_MAX / 4 + 1 + opcode - PRIVATE_FIRST];
    }
    return NULL;
}

void papr_hcall_add(uint64_t opcode, PaprHcallFn *fn, void *opaque)
{
    Hcall *call = find_hcall(opcode);

    g_assert(call && (!call->fn || call->fn == fn));
    *call = (Hcall){ fn, opaque };
}

int64_t papr_hcall(uint64_t opcode, uint64_t args[PAPR_HCALL_ARGS])
{
    const Hcall *call = find_hcall(opcode);
    int64_t result;

    if (!call || !call->fn) {
        guest_error("hypervisor", "no call %#" G_GINT64_MODIFIER "x", opcode);
        return H_FUNCTION;
    }
    trace("papr_hcall", "%#" G_GINT64_MODIFIER "x(%#" G_GINT64_MODIFIER "x, %#" G_GINT64_MODIFIER "x, %#" G_GINT64_MODIFIER
          "x, %#" G_GINT64_MODIFIER "x)", opcode, args[0], args[1], args[2], args[3]);
    result = call->fn(call->opaque, opcode, args);
    trace("papr_hcall", "  = %" G_GINT64_FORMAT ", %#" G_GINT64_MODIFIER "x", result, args[0]);
    return result;
}

unsigned papr_server(void)
{
    Cpu *cpu = cpu_current();

    return cpu ? cpu->index : 0;
}

/* ---- RTAS ---- */

void papr_rtas_add(const char *name, unsigned nargs, unsigned nrets, PaprRtasFn *fn, void *opaque)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rtas_calls); i++) {
        if (g_str_equal(rtas_calls[i].name, name)) {
            rtas_calls[i].fn = fn;
            rtas_calls[i].opaque = opaque;
            rtas_calls[i].nargs = nargs;
            rtas_calls[i].nrets = nrets;
            return;
        }
    }
    g_assert_not_reached();
}

void papr_rtas_for_each(void (*fn)(void *opaque, const char *name, uint32_t token), void *opaque)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rtas_calls); i++) {
        if (rtas_calls[i].fn) {
            fn(opaque, rtas_calls[i].name, RTAS_TOKEN_FIRST + i);
        }
    }
}

uint32_t papr_rtas_token(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rtas_calls); i++) {
        if (rtas_calls[i].fn && g_str_equal(rtas_calls[i].name, name)) {
            return RTAS_TOKEN_FIRST + i;
        }
    }
    return 0;
}

static int32_t run_rtas(uint32_t token, PaprRtas *call)
{
    uint32_t index = token - RTAS_TOKEN_FIRST;
    const RtasEntry *entry = index < G_N_ELEMENTS(rtas_calls) ? &rtas_calls[index] : NULL;

    if (!entry || !entry->fn) {
        guest_error("rtas", "no call %#x", token);
        return RTAS_BAD;
    }
    if (call->nargs < entry->nargs || call->nrets < entry->nrets) {
        guest_error("rtas", "%s with %u arguments and %u results", entry->name, call->nargs, call->nrets);
        return RTAS_BAD;
    }
    trace("papr_rtas", "%s(%#x, %#x, %#x, %#x)", entry->name, call->args[0], call->args[1], call->args[2], call->args[3]);
    return entry->fn(entry->opaque, call);
}

/* Token, number of arguments, number of results, arguments, results: all of 32 bits, big-endian. */
int64_t papr_rtas_call(PhysAddr addr)
{
    AddressSpace *memory = memory_system();
    PaprRtas call = { 0 };
    uint8_t header[RTAS_HEADER], words[PAPR_RTAS_WORDS * 4];

    memory_read(memory, addr, header, sizeof(header));
    call.nargs = load_be32(header + 4);
    call.nrets = load_be32(header + 8);
    if (call.nargs > PAPR_RTAS_WORDS || call.nrets > PAPR_RTAS_WORDS) {
        guest_error("rtas", "call %#x has %u arguments and %u results", load_be32(header), call.nargs, call.nrets);
        return H_PARAMETER;
    }
    memory_read(memory, addr + RTAS_HEADER, words, call.nargs * 4);
    for (unsigned i = 0; i < call.nargs; i++) {
        call.args[i] = load_be32(words + i * 4);
    }
    call.rets[0] = run_rtas(load_be32(header), &call);
    trace("papr_rtas", "  = %d, %#x", (int32_t)call.rets[0], call.rets[1]);
    for (unsigned i = 0; i < call.nrets; i++) {
        store_be32(words + i * 4, call.rets[i]);
    }
    memory_write(memory, addr + RTAS_HEADER + call.nargs * 4, words, call.nrets * 4);
    return H_SUCCESS;
}

void papr_forget_calls(void)
{
    memset(hcalls, 0, sizeof(hcalls));
    for (size_t i = 0; i < G_N_ELEMENTS(rtas_calls); i++) {
        rtas_calls[i].fn = NULL;
    }
}
