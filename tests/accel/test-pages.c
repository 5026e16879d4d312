/* The second level of pages behind the TLB tables: what is found, dropped and forgotten. */
#include "accel/tcg/internal.h"

#include <stdlib.h>

/* What the sets were told, by tag; they may have lost it, but never have anything else. */
static GHashTable *told;
static PageSets sets;

static gpointer as_key(uint64_t tag)
{
    return (gpointer)(uintptr_t)tag;
}

static void put(uint64_t tag, uint64_t phys)
{
    PageEntry *entry = pages_slot(&sets, tag);

    *entry = (PageEntry){ .tag = tag, .generation = sets.generation, .phys = phys };
    g_hash_table_insert(told, as_key(tag), as_key(phys));
}

static void check(uint64_t tag)
{
    const PageEntry *entry = pages_find(&sets, tag);

    if (entry) {
        g_assert_true(g_hash_table_contains(told, as_key(tag)));
        g_assert_cmphex(entry->tag, ==, tag);
        g_assert_cmphex(entry->phys, ==, (uintptr_t)g_hash_table_lookup(told, as_key(tag)));
    }
}

static void drop(uint64_t page)
{
    pages_drop(&sets, page);
    for (unsigned mode = 0; mode < MMU_MODES; mode++) {
        g_assert_null(pages_find(&sets, page | mode));
        g_hash_table_remove(told, as_key(page | mode));
    }
}

/* Few pages in all modes, so that sets overflow and the same pages come back. */
static uint64_t random_page(void)
{
    static const uint64_t regions[] = { 0, 0x10000000, 0xc0000000, 0x7fff00000000, 0xc000000000000000 };

    return regions[g_test_rand_int_range(0, G_N_ELEMENTS(regions))] + ((uint64_t)g_test_rand_int_range(0, 4000) << GUEST_PAGE_BITS);
}

static void nothing_but_what_was_put_is_found(void)
{
    for (unsigned i = 0; i < 400000; i++) {
        uint64_t page = random_page(), tag = page | (unsigned)g_test_rand_int_range(0, MMU_MODES);
        int what = g_test_rand_int_range(0, 1000);

        if (what < 500) {
            put(tag, (uint64_t)i << GUEST_PAGE_BITS);
            g_assert_nonnull(pages_find(&sets, tag));
        } else if (what < 900) {
            check(tag);
        } else if (what < 999 || g_test_rand_int_range(0, 20)) {
            drop(page);
        } else {
            pages_forget(&sets);
            g_hash_table_remove_all(told);
            g_assert_null(pages_find(&sets, tag));
        }
    }
}

static void old_generations_never_come_back(void)
{
    uint64_t tag = 0x12345000;

    pages_forget(&sets);
    put(tag, 0x1000);
    for (unsigned i = 0; i < 3 * 65536; i++) {
        pages_forget(&sets);
        g_assert_null(pages_find(&sets, tag));
        if (i % 1000 == 0) { /* others take the first entries */
            put(tag + GUEST_PAGE_SIZE, 0x2000);
            g_assert_null(pages_find(&sets, tag));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    told = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_test_add_func("/pages/found", nothing_but_what_was_put_is_found);
    g_test_add_func("/pages/generations", old_generations_never_come_back);
    return g_test_run();
}
