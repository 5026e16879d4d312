/* `info jit`: what the engine has done so far. */
#include "accel/tcg/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static const char *const exit_names[] = {
    [TCG_EXIT_LOOKUP] = "lookup", [TCG_EXIT_POLL] = "poll", [TCG_EXIT_EXCEPTION] = "exception",
    [TCG_EXIT_HALT] = "halt", [TCG_EXIT_MODE] = "mode", [TCG_EXIT_SMC] = "smc",
    [TCG_EXIT_DEBUG] = "debug", [TCG_EXIT_YIELD] = "yield", [TCG_EXIT_UNCHAINED] = "unchained",
};

char *engine_describe(void)
{
    GString *text = g_string_new(NULL);
    BlockStats stats;
    uint64_t used = 0, size = 0;

    g_mutex_lock(&tb_lock);
    stats = code_stats;
    g_mutex_unlock(&tb_lock);
    if (!engine_options.interpret) {
        tcg_code_usage(&used, &size);
    }
    g_string_append_printf(text, "engine: %s\n", engine_options.interpret ? "interpreter" : "translator");
    g_string_append_printf(text, "code buffer: %" PRIu64 " of %" PRIu64 " KiB\n", used >> 10, size >> 10);
    g_string_append_printf(text, "blocks: %" PRIu64 " live, %" PRIu64 " translated (%" PRIu64
                           " instructions), %" PRIu64 " invalidated, %" PRIu64 " evicted, %" PRIu64
                           " hot, %" PRIu64 " scattered, %" PRIu64 " exits linked\n", stats.blocks, stats.translated, stats.insns,
                           stats.killed, stats.evicted, stats.hot, stats.scattered, stats.linked);
    if (stats.guest_bytes) {
        g_string_append_printf(text, "memory: live blocks have %" PRIu64 " KiB of code (%" PRIu64 " KiB on the usual path) for %" PRIu64
                               " KiB of the guest's, %.1f bytes for each; metadata of the whole buffer %" PRIu64 " KiB\n",
                               stats.host_bytes >> 10, stats.usual_bytes >> 10, stats.guest_bytes >> 10,
                               (double)stats.host_bytes / stats.guest_bytes, stats.metadata >> 10);
    }
    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *ec = cpu_get(i)->engine;

        if (!ec) {
            continue;
        }
        g_string_append_printf(text, "cpu %d: TLB fills %" PRIu64 ", page walks %" PRIu64
                               ", flushes %" PRIu64 ", renewals %" PRIu64 ", address space switches %" PRIu64 "\n  exits:",
                               i, ec->n_fills, ec->n_walks, ec->n_flushes, ec->n_renewals, ec->n_switches);
        for (unsigned j = 0; j < G_N_ELEMENTS(exit_names); j++) {
            g_string_append_printf(text, " %s %" PRIu64, exit_names[j], ec->n_exits[j]);
        }
        g_string_append_printf(text, ", lookups without an exit %" PRIu64 "\n", ec->n_found);
    }
    return g_string_free(text, FALSE);
}

/* Under tb_lock. perf reads the last entry for an address, so evicted blocks do no harm. */
void perf_map_add(const Block *block)
{
    static FILE *file;

    if (!file) {
        g_autofree char *path = g_strdup_printf("/tmp/perf-%d.map", (int)getpid());

        file = fopen(path, "we");
        if (!file) {
            engine_options.perf_map = false;
            return;
        }
        setvbuf(file, NULL, _IOLBF, 0); /* the map is whole while the guest runs, or if it is killed */
    }
    fprintf(file, "%" PRIxPTR " %x guest:%" PRIx64 ":%" PRIx64 "\n", (uintptr_t)block->code->code,
            block->code->size, block->key.base, block->key.pc);
    fprintf(file, "%" PRIxPTR " %x out-of-line:%" PRIx64 ":%" PRIx64 "\n", (uintptr_t)block->code->cold,
            block->code->cold_size, block->key.base, block->key.pc);
}
