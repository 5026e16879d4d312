/*
 * Jump caches: the code of blocks by their pc, for exits that are not linked. Each lists the places it has filled, by groups, so that
 * it is emptied without a look at all; general registers only, as tlb.c.
 */
#include "accel/tcg/internal.h"
#include "accel/tcg/page-filter.h"
#include "util/bits.h"

static void clear_entry(JumpCache *jumps, uint32_t index)
{
    jumps->entries[index] = (JumpCacheEntry){ jump_cache_empty(index), NULL };
}

static bool is_empty(const JumpCache *jumps, uint32_t index)
{
    return jumps->entries[index].pc == jump_cache_empty(index);
}

static void list_clear(JumpList *list)
{
    list->n = 0;
    list->overflow = false;
    for (unsigned group = 0; group < JUMP_GROUPS; group++) {
        list->of_group[group] = 0;
    }
}

static void jumps_note(JumpCache *jumps, uint32_t index, unsigned which)
{
    JumpList *list = &jumps->filled[which];
    unsigned group = index / (jumps->size / JUMP_GROUPS);

    if (jumps->listed[index] & 1 << which) {
        return;
    }
    jumps->listed[index] |= 1 << which;
    list->n++;
    if (list->of_group[group] < JUMP_GROUP_MAX) {
        list->index[group][list->of_group[group]++] = index;
    } else {
        list->overflow = true;
    }
}

static void jumps_wipe(JumpCache *jumps)
{
    if (jumps->huge) {
        fill_words(jumps->entries, 0, jumps->size * sizeof(*jumps->entries) / 8);
        fill_words(jumps->listed, 0, jumps->size / 8);
    } else {
        zero_pages(jumps->entries, jumps->size * sizeof(*jumps->entries));
        zero_pages(jumps->listed, jumps->size);
    }
    clear_entry(jumps, 0);
    for (int i = 0; i < 2; i++) {
        list_clear(&jumps->filled[i]);
    }
}

void jumps_clear(JumpCache *jumps, bool keep_global)
{
    if (!jumps->entries || jumps->released || (keep_global && !jumps->filled[FILL_LOCAL].n)) {
        return;
    }
    if (jumps->filled[FILL_LOCAL].overflow ||
        (!keep_global && jumps->filled[FILL_GLOBAL].overflow)) {
        jumps_wipe(jumps);
        return;
    }
    for (unsigned which = 0; which < (keep_global ? 1 : 2); which++) {
        JumpList *list = &jumps->filled[which];

        for (unsigned group = 0; group < JUMP_GROUPS; group++) {
            for (unsigned i = 0; i < list->of_group[group]; i++) {
                uint32_t index = list->index[group][i];

                clear_entry(jumps, index);
                jumps->listed[index] &= ~(1 << which);
            }
        }
        list_clear(list);
    }
}

/* A system's code is all over its memory, so the jump cache that all spaces share is used all over: that is in a huge page. */
void jumps_allocate(JumpCache *jumps, uint32_t size, bool shared)
{
    enum { SMALL = 1 << 19 };
    size_t bytes = size * (sizeof(JumpCacheEntry) + sizeof(Block *) + 1) + 2 * sizeof(JumpList);
    bool huge = shared && bytes > SMALL;
    uint8_t *base = huge ? map_zeroed_huge(bytes) : map_zeroed(bytes);

    jumps->huge = huge;
    jumps->bytes = huge ? round_up(bytes, HUGE_PAGE) : bytes;
    jumps->size = size;
    jumps->entries = (JumpCacheEntry *)base;
    jumps->blocks = (Block **)(base + size * sizeof(JumpCacheEntry));
    jumps->listed = base + size * (sizeof(JumpCacheEntry) + sizeof(Block *));
    jumps->filled = (JumpList *)(jumps->listed + size);
    if (!huge) {
        touch_pages(base, bytes); /* most of it, sooner or later: programs are all over the low 16 bits of the pc */
    }
    clear_entry(jumps, 0);
}

/* Its memory goes back to the host: touching a byte of it would bring back a huge page. */
void jumps_release(JumpCache *jumps)
{
    zero_pages(jumps->entries, jumps->bytes);
    jumps->released = true;
}

void jumps_take_back(JumpCache *jumps)
{
    jumps->released = false;
    if (!jumps->huge) {
        touch_pages(jumps->entries, jumps->bytes);
    }
    clear_entry(jumps, 0);
}

/* So that none of them is remembered. */
void jumps_forget_blocks(JumpCache *jumps)
{
    size_t bytes = jumps->size * sizeof(*jumps->blocks);

    if (jumps->released) {
        return;
    }
    if (jumps->blocks && jumps->huge) {
        fill_words(jumps->blocks, 0, bytes / 8);
    } else if (jumps->blocks) {
        zero_pages(jumps->blocks, bytes);
    }
}

/* Two branch targets of a loop may share a place: the old one moves to its second. */
static void jumps_move(JumpCache *jumps, uint32_t index, unsigned pc_shift)
{
    JumpCacheEntry old = jumps->entries[index];
    uint32_t second = jump_cache_second(old.pc, pc_shift);
    bool local = jumps->listed[index] & 1 << FILL_LOCAL;

    jumps->entries[second] = old;
    jumps->blocks[second] = jumps->blocks[index];
    jumps_note(jumps, second, local ? FILL_LOCAL : FILL_GLOBAL);
}

void jumps_insert(EngineCpu *ec, uint64_t pc, Block *block, bool global)
{
    SpaceTables *tables = context_tables(ec, chosen(ec)->mode);
    JumpCache *jumps = chosen(ec)->jumps;
    unsigned pc_shift = ec->ops->tcg.pc_shift;
    uint32_t index = jump_cache_index(pc, pc_shift), page = page_number(jumps->base + pc);

    if (!is_empty(jumps, index) && jumps->entries[index].pc != pc) {
        jumps_move(jumps, index, pc_shift);
    }
    jumps->entries[index] = (JumpCacheEntry){ pc, block->code ? block->code->entry : NULL };
    jumps->blocks[index] = block;
    filter_add(tables->jump_pages, page);
    if (block->host2) {
        filter_add(tables->jump_pages, page + 1);
    }
    tables->has_jumps = true;
    jumps_note(jumps, index, global ? FILL_GLOBAL : FILL_LOCAL);
}

static void drop_if_on(JumpCache *jumps, uint32_t index, uint32_t page)
{
    uint32_t at = page_number(jumps->base + jumps->entries[index].pc);

    if (!is_empty(jumps, index) && (at == page || (jumps->blocks[index]->host2 && (at + 1) << 12 == page << 12))) {
        clear_entry(jumps, index);
    }
}

/* By bits: the groups that blocks are in which begin on the page. */
static uint32_t groups_of(uint32_t page)
{
    enum { PAGES = 1 << (32 - GUEST_PAGE_BITS) };

    page &= PAGES - 1;
    return 1u << page % JUMP_GROUPS | 1u << (page ^ page >> JUMP_CACHE_SECOND_SHIFT) % JUMP_GROUPS;
}

void jumps_drop_page(JumpCache *jumps, uint64_t addr)
{
    uint32_t page = page_number(addr);
    uint32_t groups = jumps->base ? UINT32_MAX : groups_of(page) | groups_of(page - 1); /* some go on in the next page */

    if (!jumps->entries || jumps->released) {
        return;
    }
    if (jumps->filled[FILL_LOCAL].overflow || jumps->filled[FILL_GLOBAL].overflow) {
        for (uint32_t i = 0; i < jumps->size; i++) {
            drop_if_on(jumps, i, page);
        }
        return;
    }
    for (unsigned group = 0; group < JUMP_GROUPS; group++) {
        for (unsigned which = 0; groups >> group & 1 && which < 2; which++) {
            for (unsigned i = 0; i < jumps->filled[which].of_group[group]; i++) {
                drop_if_on(jumps, jumps->filled[which].index[group][i], page);
            }
        }
    }
}
