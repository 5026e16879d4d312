/*
 * Which blocks take a good part of the time, found by where the guest is when it is interrupted.
 *
 * TcgSites has room for the accesses of a few hundred instructions. A loop that fits runs up to twice as fast with it; a compiler,
 * whose time goes into a hundred thousand blocks, would do nothing but replace entries. So blocks are made without sites until one is
 * met twice within a few interrupts of its vCPU's. Blocks that count their runs would be found sooner, but the counting costs more
 * than is won: a fifth of that compiler's time.
 *
 * Interrupts are few in the life of a short program, and say which block comes next, not which one took the time. So the first blocks
 * of a process are taken for hot ones, until there are many of them.
 *
 * Sites are for processes. Before there is one, they are for what runs then, above all the decompressor that a kernel brings along. Its
 * blocks with sites are dropped when the first process comes: they would look at that one's pages.
 */
#include "accel/tcg/internal.h"

/* Where blocks of the system's modes were made anew. Under tb_lock. */
typedef struct HotPlace {
    PageEntry page;
    const uint8_t *host;
} HotPlace;

static HotPlace system_places[512];
static unsigned n_system_places;
static _Atomic bool process_came;

bool hot_before_processes(const EngineCpu *ec)
{
    return ec->ops->system_sites && engine_options.sites == SITES_HOT && !atomic_load_explicit(&process_came, memory_order_relaxed);
}

void hot_process_comes(EngineCpu *ec)
{
    tcg_fp_sync(ec->cpu->state);
    g_mutex_lock(&tb_lock);
    atomic_store(&process_came, true);
    for (unsigned i = 0; i < n_system_places; i++) {
        code_is_not_hot(&system_places[i].page, system_places[i].host);
    }
    n_system_places = 0;
    g_mutex_unlock(&tb_lock);
}

bool hot_by_default(EngineCpu *ec, const PageEntry *entry, VirtAddr addr)
{
    enum { AT_ONCE = 64, INTERVAL = 2000 /* microseconds until there may be one more */ };
    int64_t now;

    if (engine_options.sites != SITES_HOT || !entry->host || is_system_mode(ec, chosen(ec)->mode)) {
        return false;
    }
    now = g_get_monotonic_time();
    ec->credit_since = MAX(ec->credit_since, now - AT_ONCE * INTERVAL);
    if (now - ec->credit_since < INTERVAL) {
        return false;
    }
    ec->credit_since += INTERVAL;
    code_will_be_hot(entry, entry->host + (addr & (GUEST_PAGE_SIZE - 1)));
    return true;
}

/* A kernel's decompressor runs without interrupts. Where vCPUs sleep, less and less often. */
static gboolean ask_for_samples(void *opaque)
{
    enum { SHORTEST = 4, LONGEST = 1024 };
    static unsigned wait = SHORTEST;
    bool runs = false;

    for (int i = 0; i < cpu_count(); i++) {
        EngineCpu *ec = cpu_get(i)->engine;

        if (tcg_active() && ec && !hot_before_processes(ec)) {
            return G_SOURCE_REMOVE;
        }
        if (tcg_active() && ec && atomic_load(&ec->in_code)) {
            atomic_store(&ec->cpu->hot->poll, -1);
            runs = true;
        }
    }
    wait = runs ? SHORTEST : MIN(2 * wait, LONGEST);
    g_timeout_add(wait, ask_for_samples, NULL);
    return G_SOURCE_REMOVE;
}

void hot_start(const EngineCpu *ec)
{
    if (hot_before_processes(ec) && !engine_options.interpret) {
        ask_for_samples(NULL);
    }
}

/* Where the code of the next block is, if that is known without a walk. */
static const PageEntry *page_of_next(EngineCpu *ec, const BlockKey *key)
{
    const PageEntry *entry = mmu_known_page(ec, ((key->base + key->pc) & PAGE_MASK) | chosen(ec)->fetch_mode);

    return entry && entry->host && entry->prot & PROT_FETCH ? entry : NULL;
}

void hot_sample(EngineCpu *ec)
{
    const PageEntry *entry;
    const uint8_t *host;
    BlockKey key = { 0 };
    bool met = false, system = is_system_mode(ec, chosen(ec)->mode);

    if (engine_options.sites != SITES_HOT || !mode_has_sites(ec, chosen(ec)->mode)) {
        return;
    }
    ec->ops->block_key(ec->cpu, &key);
    if (!(entry = page_of_next(ec, &key))) {
        return;
    }
    host = entry->host + ((key.base + key.pc) & (GUEST_PAGE_SIZE - 1));
    for (unsigned i = 0; i < G_N_ELEMENTS(ec->samples); i++) {
        met |= ec->samples[i] == host;
    }
    if (met) {
        g_mutex_lock(&tb_lock);
        if (!system) {
            code_is_hot(entry, host);
        } else if (hot_before_processes(ec) && n_system_places < G_N_ELEMENTS(system_places) && code_is_hot(entry, host)) {
            system_places[n_system_places++] = (HotPlace){ *entry, host };
        }
        g_mutex_unlock(&tb_lock);
    }
    ec->samples[ec->n_samples++ % G_N_ELEMENTS(ec->samples)] = host;
}
