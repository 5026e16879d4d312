/*
 * Translated blocks by their guest code, and the way to them that does not leave translated code.
 *
 * A new process, or one whose address space was flushed, has an empty jump cache, while most of its code is known: it runs the
 * programs and libraries that others ran before. What misses there is looked for here, where blocks are found by the place of their code
 * in host memory; the engine sees only what is to be translated or walked for. For general registers only, and without a lock: while a vCPU is in
 * code no block is freed, so one that is found and killed meanwhile leads to the engine like any stale entry of a jump cache.
 */
#include "accel/tcg/internal.h"

#define HASH_BITS 18

static Block **hash; /* HASH_BITS */

void index_init(void)
{
    if (!hash) {
        hash = map_zeroed_huge(sizeof(*hash) << HASH_BITS);
    }
}

static uint32_t hash_of(const BlockKey *key, const uint8_t *host)
{
    uint64_t h = (uintptr_t)host ^ key->pc << 20 ^ key->base << 7 ^ key->flags * 0x9e3779b97f4a7c15;

    h *= 0x9e3779b97f4a7c15;
    return h >> (64 - HASH_BITS);
}

static bool is_for(const Block *block, const BlockKey *key, unsigned variant, const uint8_t *host)
{
    return block->host == host && block->key.pc == key->pc && block->key.base == key->base &&
           block->key.flags == key->flags && block->key.pic_bits == key->pic_bits && block->variant == variant;
}

static Block *follow(Block *const *link)
{
    return __atomic_load_n(link, __ATOMIC_ACQUIRE);
}

Block *code_block_find(const BlockKey *key, unsigned variant, const uint8_t *host, const uint8_t *host2)
{
    for (Block *block = follow(&hash[hash_of(key, host)]); block; block = follow(&block->hash_next)) {
        if (is_for(block, key, variant, host) && (!block->host2 || block->host2 == host2)) {
            return block;
        }
    }
    return NULL;
}

bool code_block_crosses(const BlockKey *key, unsigned variant, const uint8_t *host)
{
    for (Block *block = follow(&hash[hash_of(key, host)]); block; block = follow(&block->hash_next)) {
        if (block->host2 && is_for(block, key, variant, host)) {
            return true;
        }
    }
    return false;
}

/* One of a few instructions takes less than an exit to it does. */
static bool is_worth_a_link(const Block *block)
{
    enum { FEW = 3 };

    return block->n_insns >= FEW;
}

uint64_t code_block_next(const BlockKey *key, const CodePage *cp, const uint8_t *host)
{
    enum { FAR = 256, LONGEST_INSN = 15, PER_WORD = 64 * STARTS_BYTES };
    unsigned start = (uintptr_t)host & (GUEST_PAGE_SIZE - 1), end = MIN(start + FAR, GUEST_PAGE_SIZE - LONGEST_INSN);

    for (unsigned at = start + 1; at < end;) {
        uint64_t rest = cp->starts[at / PER_WORD] >> at / STARTS_BYTES % 64;
        BlockKey next = *key;
        Block *block;

        if (!(rest & 1)) { /* on to the next bit */
            at = rest ? (at / STARTS_BYTES + __builtin_ctzll(rest)) * STARTS_BYTES : (at / PER_WORD + 1) * PER_WORD;
            continue;
        }
        next.pc += at - start;
        block = code_block_find(&next, 0, host + at - start, NULL);
        if (block && is_worth_a_link(block)) {
            return next.pc;
        }
        at++;
    }
    return 0;
}

void index_add(Block *block)
{
    Block **head = &hash[hash_of(&block->key, block->host)];

    block->hash_next = *head;
    __atomic_store_n(head, block, __ATOMIC_RELEASE);
}

void index_remove(Block *block)
{
    Block **link = &hash[hash_of(&block->key, block->host)];

    while (*link != block) {
        link = &(*link)->hash_next;
    }
    __atomic_store_n(link, block->hash_next, __ATOMIC_RELEASE); /* its own link stays, for who is just here */
}

void index_each_remove(void (*remove)(Block *block))
{
    for (uint32_t h = 0; h < 1u << HASH_BITS; h++) {
        while (hash[h]) {
            remove(hash[h]);
        }
    }
}

static const CodePage *known_code_page(const PageEntry *entry)
{
    void **pages = __atomic_load_n(&entry->ram->page_data, __ATOMIC_ACQUIRE);

    return pages ? __atomic_load_n(&pages[entry_page(entry)], __ATOMIC_ACQUIRE) : NULL;
}

const void *lookup_in_code(void *state, uint64_t pc)
{
    EngineCpu *ec = engine_of(state);
    JumpCache *jumps = chosen(ec)->jumps;
    BlockKey key;
    const PageEntry *entry;
    const CodePage *page;
    const uint8_t *host;
    Block *block;

    if (!ec->finds_in_code || !ec->context || !jumps || jumps->entries != ec->cpu->hot->jump_cache) {
        return NULL;
    }
    entry = mmu_known_page(ec, ((jumps->base + pc) & PAGE_MASK) | chosen(ec)->fetch_mode);
    if (!entry || !entry->host || !(entry->prot & PROT_FETCH)) {
        return NULL;
    }
    page = known_code_page(entry);
    if (!page) {
        return NULL;
    }
    key = (BlockKey){ .pc = pc, .base = jumps->base, .flags = jumps->flags };
    if (jumps->pic_bits) {
        uint64_t pc_page = __atomic_load_n(&page->pc_page, __ATOMIC_RELAXED);

        if (pc_page == PAGE_ANYWHERE) {
            key.pc &= ~PAGE_MASK;
            key.pic_bits = jumps->pic_bits;
        } else if (pc_page != (pc & PAGE_MASK)) {
            return NULL; /* which makes the page's blocks position-independent */
        }
    }
    host = entry->host + ((jumps->base + pc) & (GUEST_PAGE_SIZE - 1));
    block = code_block_find(&key, 0, host, NULL);
    if (!block || atomic_load(&block->dead)) {
        return NULL;
    }
    ec->n_found++;
    jumps_insert(ec, pc, block, entry->prot & PROT_GLOBAL);
    return block->code->entry;
}
