/* Region trees as address spaces show them, device accesses, and the dirty log. */
#include "core/lock.h"
#include "core/memory.h"

#include <string.h>
#include <time.h>

typedef struct Probe {
    unsigned calls, size; /* of the last call */
    PhysAddr offset;
    uint64_t value;
    uint64_t answer;
    bool locked;
} Probe;

static uint64_t probe_read(void *opaque, PhysAddr offset, unsigned size)
{
    Probe *p = opaque;

    p->calls++;
    p->offset = offset;
    p->size = size;
    p->locked = machine_locked();
    return p->answer;
}

static void probe_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Probe *p = opaque;

    p->calls++;
    p->offset = offset;
    p->size = size;
    p->value = value;
}

static const RegionOps any_size = { probe_read, probe_write };
static const RegionOps dwords = { probe_read, probe_write, .min_size = 4, .max_size = 4 };
static const RegionOps big_dwords = { probe_read, probe_write, 4, 4, ENDIAN_BIG };
static const RegionOps bytes = { probe_read, probe_write, .min_size = 1, .max_size = 1 };

typedef struct Fixture {
    Region *root, *ram;
    AddressSpace *as;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
    f->root = region_new_container("root", UINT64_MAX);
    f->ram = region_new_ram("ram", 0x100000, NULL);
    region_add(f->root, 0, f->ram);
    f->as = address_space_new("test", f->root);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    address_space_free(f->as);
    region_free(f->root);
    region_free(f->ram);
}

static void ram_keeps_what_is_stored(Fixture *f, gconstpointer unused)
{
    memory_store(f->as, 0x1001, 0x1122334455667788, 8);
    g_assert_cmphex(memory_load(f->as, 0x1001, 8), ==, 0x1122334455667788);
    g_assert_cmphex(memory_load(f->as, 0x1002, 2), ==, 0x6677);
    g_assert_cmphex(region_host(f->ram)[0x1001], ==, 0x88);
}

static void a_hole_reads_all_ones(Fixture *f, gconstpointer unused)
{
    MemoryRange hole = address_space_find(f->as, 0x12345678);

    g_assert_cmphex(memory_load(f->as, 0x200000, 4), ==, 0xffffffff);
    g_assert_null(hole.region);
    g_assert_cmphex(hole.start, ==, 0x100000);
    g_assert_cmphex(hole.last, ==, UINT64_MAX);
}

static void an_access_across_the_end_of_ram_is_split(Fixture *f, gconstpointer unused)
{
    memory_store(f->as, 0xffffe, 0x44332211, 4);
    g_assert_cmphex(memory_load(f->as, 0xffffe, 4), ==, 0xffff2211);
}

static void a_higher_priority_hides_what_is_below(Fixture *f, gconstpointer unused)
{
    Probe p = { .answer = 0xab };
    Region *io = region_new_io("io", &any_size, &p, 0x1000);
    MemoryRange range;

    region_add_overlap(f->root, 0xa0000, io, 1);
    g_assert_cmphex(memory_load(f->as, 0xa0010, 1), ==, 0xab);
    g_assert_cmphex(p.offset, ==, 0x10);
    g_assert_true(p.locked);
    range = address_space_find(f->as, 0xa1000);
    g_assert_true(range.ram == region_ram(f->ram));
    g_assert_cmphex(range.start, ==, 0xa1000);
    g_assert_cmphex(range.offset, ==, 0xa1000);

    region_set_enabled(io, false);
    g_assert_cmphex(memory_load(f->as, 0xa0010, 1), ==, 0);
    region_free(io);
}

static void a_region_that_moves_leaves_its_old_place(Fixture *f, gconstpointer unused)
{
    Probe p = { .answer = 0x5a };
    Region *io = region_new_io("io", &any_size, &p, 0x100);
    uint64_t before;

    region_add(f->root, 0xfe000000, io);
    before = memory_generation();
    for (unsigned i = 0; i < 1000; i++) {
        region_set_offset(io, 0xf0000000 + i * 0x1000);
        g_assert_cmphex(memory_load(f->as, 0xf0000000 + i * 0x1000, 1), ==, 0x5a);
    }
    g_assert_cmphex(memory_load(f->as, 0xfe000000, 1), ==, 0xff);
    g_assert_cmpuint(memory_generation(), ==, before + 1000);
    region_free(io);
}

static void a_batch_publishes_once(Fixture *f, gconstpointer unused)
{
    Probe p = { 0 };
    Region *io = region_new_io("io", &any_size, &p, 0x100);
    uint64_t before;

    region_add(f->root, 0xfe000000, io);
    before = memory_generation();
    memory_begin();
    region_set_enabled(io, false);
    region_set_offset(io, 0xfd000000);
    region_set_enabled(io, true);
    memory_commit();
    g_assert_cmpuint(memory_generation(), ==, before + 1);
    region_free(io);
}

static void a_readonly_alias_drops_writes(Fixture *f, gconstpointer unused)
{
    Region *shadow = region_new_alias("shadow", f->ram, 0xe0000, 0x4000);

    region_add_overlap(f->root, 0x800000, shadow, 1);
    memory_store(f->as, 0x800004, 0x77, 1);
    g_assert_cmphex(region_host(f->ram)[0xe0004], ==, 0x77);
    region_set_readonly(shadow, true);
    memory_store(f->as, 0x800004, 0x88, 1);
    memory_write(f->as, 0x800004, "\x99", 1);
    g_assert_cmphex(memory_load(f->as, 0x800004, 1), ==, 0x77);
    region_set_alias(shadow, f->ram, 0xe0004);
    g_assert_cmphex(memory_load(f->as, 0x800000, 1), ==, 0x77);
    region_free(shadow);
}

static void an_alias_of_a_container_shows_its_children(Fixture *f, gconstpointer unused)
{
    Region *pci = region_new_container("pci", UINT64_MAX);
    Region *window = region_new_alias("window", pci, 0xc0000000, 0x1000000);
    Probe p = { .answer = 0x12345678 };
    Region *bar = region_new_io("bar", &any_size, &p, 0x2000);

    region_add(pci, 0xc0ffe000, bar);
    region_add_overlap(f->root, 0xc0000000, window, -1);
    g_assert_cmphex(memory_load(f->as, 0xc0fff000, 4), ==, 0x12345678);
    g_assert_cmphex(p.offset, ==, 0x1000);
    region_set_offset(bar, 0xc0fff000); /* now half of it is outside of the window */
    g_assert_cmphex(address_space_find(f->as, 0xc0fff000).last, ==, 0xc0ffffff);
    region_free(window);
    region_free(bar);
    region_free(pci);
}

static void narrow_accesses_are_widened(Fixture *f, gconstpointer unused)
{
    Probe p = { .answer = 0x44332211 };
    Region *io = region_new_io("io", &dwords, &p, 0x100);

    region_add(f->root, 0xfe000000, io);
    g_assert_cmphex(memory_load(f->as, 0xfe000012, 1), ==, 0x33);
    g_assert_cmphex(p.offset, ==, 0x10);
    g_assert_cmpuint(p.size, ==, 4);
    memory_store(f->as, 0xfe000016, 0xbeef, 2);
    g_assert_cmphex(p.offset, ==, 0x14);
    g_assert_cmphex(p.value, ==, 0xbeef0000);
    p.calls = 0;
    g_assert_cmphex(memory_load(f->as, 0xfe000000, 8), ==, 0x4433221144332211);
    g_assert_cmpuint(p.calls, ==, 2);
    g_assert_cmphex(memory_load(f->as, 0xfe000003, 2), ==, 0x1144);
    region_free(io);
}

static void wide_accesses_are_split(Fixture *f, gconstpointer unused)
{
    Probe p = { .answer = 0x5a };
    Region *io = region_new_io("io", &bytes, &p, 0x100);

    region_add(f->root, 0xfe000000, io);
    g_assert_cmphex(memory_load(f->as, 0xfe000001, 4), ==, 0x5a5a5a5a);
    g_assert_cmpuint(p.calls, ==, 4);
    memory_store(f->as, 0xfe000000, 0x44332211, 4);
    g_assert_cmphex(p.offset, ==, 3);
    g_assert_cmphex(p.value, ==, 0x44);
    region_free(io);
}

static void big_endian_registers_are_swapped(Fixture *f, gconstpointer unused)
{
    Probe p = { .answer = 0x11223344 };
    Region *io = region_new_io("io", &big_dwords, &p, 0x100);

    region_add(f->root, 0xfe000000, io);
    g_assert_cmphex(memory_load(f->as, 0xfe000000, 4), ==, 0x44332211);
    g_assert_cmphex(memory_load(f->as, 0xfe000000, 1), ==, 0x11);
    memory_store(f->as, 0xfe000000, 0x44332211, 4);
    g_assert_cmphex(p.value, ==, 0x11223344);
    region_free(io);
}

static void rom_is_written_by_loaders_only(Fixture *f, gconstpointer unused)
{
    Region *rom = region_new_rom("rom", 0x10000, NULL);

    region_add(f->root, 0xffff0000, rom);
    memory_load_rom(f->as, 0xffff0000, "BIOS", 4);
    memory_write(f->as, 0xffff0000, "xxxx", 4);
    g_assert_cmphex(memory_load(f->as, 0xffff0000, 4), ==, 0x534f4942);
    region_free(rom);
}

static void flash_reads_memory_and_writes_to_its_device(Fixture *f, gconstpointer unused)
{
    Probe p = { .answer = 0x80 };
    Region *flash = region_new_romd("flash", &any_size, &p, 0x10000, NULL);

    region_add(f->root, 0xffff0000, flash);
    memory_load_rom(f->as, 0xffff0000, "BIOS", 4);
    g_assert_cmphex(memory_load(f->as, 0xffff0000, 1), ==, 'B');
    memory_store(f->as, 0xffff0000, 0x70, 1);
    g_assert_cmphex(p.value, ==, 0x70);
    region_set_romd(flash, false);
    g_assert_cmphex(memory_load(f->as, 0xffff0000, 1), ==, 0x80);
    region_free(flash);
}

static void dma_crosses_ranges(Fixture *f, gconstpointer unused)
{
    uint8_t out[16], in[16];
    uint64_t size = 0x1000;

    memset(out, 0x3c, sizeof(out));
    memory_write(f->as, 0xffff8, out, sizeof(out));
    memory_read(f->as, 0xffff8, in, sizeof(in));
    g_assert_cmpmem(in, 8, out, 8);
    g_assert_cmphex(in[8], ==, 0xff);
    g_assert_true(memory_map(f->as, 0xffff0, &size, true, NULL, NULL) ==
                  region_host(f->ram) + 0xffff0);
    g_assert_cmpuint(size, ==, 0x10);
    memory_fill(f->as, 0x10, 0xee, 0x20);
    g_assert_cmphex(memory_load(f->as, 0x2f, 2), ==, 0x00ee);
}

static uint64_t noted_first, noted_last;
static unsigned noted;

static void note_pages(void *opaque, RamBlock *ram, uint64_t first, uint64_t last)
{
    noted++;
    noted_first = first;
    noted_last = last;
}

static void the_dirty_log_tells_what_was_written(Fixture *f, gconstpointer unused)
{
    memory_set_clean_fn(note_pages, NULL);
    region_log_start(f->ram, PAGE_CLEAN_DISPLAY);
    g_assert_true(region_log_test_and_clear(f->ram, PAGE_CLEAN_DISPLAY, 0, 0x10000));
    g_assert_cmpuint(noted_last, ==, 15);
    noted = 0;
    g_assert_false(region_log_test_and_clear(f->ram, PAGE_CLEAN_DISPLAY, 0, 0x10000));
    g_assert_cmpuint(noted, ==, 0);
    memory_store(f->as, 0x3fff, 0, 2);
    g_assert_true(region_log_test_and_clear(f->ram, PAGE_CLEAN_DISPLAY, 0x3000, 1));
    g_assert_true(region_log_test_and_clear(f->ram, PAGE_CLEAN_DISPLAY, 0x4000, 1));
    g_assert_false(region_log_test_and_clear(f->ram, PAGE_CLEAN_DISPLAY, 0, 0x10000));
    memory_set_clean_fn(NULL, NULL);
}

static void writes_to_code_pages_are_told(Fixture *f, gconstpointer unused)
{
    RamBlock *ram = region_ram(f->ram);

    noted = 0;
    memory_set_code_write_fn(note_pages, NULL);
    ram->page_flags[4] = ram->page_flags[5] = PAGE_CODE;
    memory_store(f->as, 0x3000, 1, 4);
    g_assert_cmpuint(noted, ==, 0);
    memory_fill(f->as, 0x2000, 0, 0x5000);
    g_assert_cmpuint(noted, ==, 1);
    g_assert_cmpuint(noted_first, ==, 4);
    g_assert_cmpuint(noted_last, ==, 5);
    memory_set_code_write_fn(NULL, NULL);
}

static void ports_are_found(void)
{
    Region *root = region_new_container("io", 0x10000);
    AddressSpace *as = address_space_new("ports", root);
    Probe a = { .answer = 0x11 }, b = { .answer = 0x2222 };
    Region *first = region_new_io("a", &any_size, &a, 1);
    Region *second = region_new_io("b", &any_size, &b, 8);

    region_add(root, 0x61, first);
    region_add(root, 0x1f0, second);
    g_assert_cmphex(memory_load(as, 0x61, 1), ==, 0x11);
    g_assert_cmphex(memory_load(as, 0x61, 2), ==, 0xff11);
    g_assert_cmphex(memory_load(as, 0x1f0, 2), ==, 0x2222);
    g_assert_cmphex(memory_load(as, 0x1f8, 1), ==, 0xff);
    g_assert_cmphex(memory_load(as, 0xffff, 2), ==, 0xffff);
    address_space_free(as);
    region_free(first);
    region_free(second);
    region_free(root);
}

static gpointer look_up(gpointer data)
{
    Fixture *f = data;
    unsigned seen = 0;

    while (seen < 200000) {
        MemoryRange range = address_space_find(f->as, 0xf0000800);

        g_assert_true(range.start <= 0xf0000800 && range.last >= 0xf0000800);
        if (range.region) {
            g_assert_cmphex(range.offset + (0xf0000800 - range.start), ==, 0x800);
        }
        seen++;
    }
    return NULL;
}

static void readers_never_see_half_a_view(Fixture *f, gconstpointer unused)
{
    Probe p = { 0 };
    Region *io = region_new_io("io", &any_size, &p, 0x1000);
    Region *small = region_new_io("small", &any_size, &p, 0x10);
    GThread *reader = g_thread_new("reader", look_up, f);

    region_add(f->root, 0xf0000000, io);
    region_add(f->root, 0x80000000, small);
    for (unsigned i = 0; i < 20000; i++) {
        region_set_enabled(io, i & 1);
        region_set_offset(small, 0x80000000 + i * 16);
    }
    g_thread_join(reader);
    region_free(io);
    region_free(small);
}

static void lookups_are_quick(Fixture *f, gconstpointer unused)
{
    Probe p = { 0 };
    Region *io[64];
    clock_t start; /* of this process: others may be busy */
    double ns;

    for (int i = 0; i < 64; i++) {
        io[i] = region_new_io("io", &any_size, &p, 0x1000);
        region_add(f->root, 0xe0000000 + i * 0x10000, io[i]);
    }
    start = clock();
    for (unsigned i = 0; i < 2000000; i++) {
        MemoryRange range = address_space_find(f->as, 0xe0000000 + (i * 0x9e3779b1u >> 10));

        g_assert_true(range.last >= range.start);
    }
    ns = (clock() - start) * (1e9 / CLOCKS_PER_SEC / 2000000);
    g_test_message("%.1f ns per lookup in a map of 129 ranges", ns);
    g_assert_cmpfloat(ns, <, 1000);
    for (int i = 0; i < 64; i++) {
        region_free(io[i]);
    }
}

/* A descriptor that tells a device to ring its own doorbell. */
typedef struct Echo {
    AddressSpace *as;
    unsigned calls;
} Echo;

static void echo_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Echo *echo = opaque;

    echo->calls++;
    memory_store(echo->as, 0xe0000000, value, 4);
}

static void a_device_that_reaches_itself_comes_to_an_end(Fixture *f, gconstpointer unused)
{
    static const RegionOps ops = { NULL, echo_write };
    Echo echo = { f->as, 0 };
    Region *io = region_new_io("echo", &ops, &echo, 0x1000);

    region_add(f->root, 0xe0000000, io);
    for (int i = 1; i <= 3; i++) {
        memory_store(f->as, 0xe0000000, 1, 4);
        g_assert_cmpuint(echo.calls, ==, 8 * i);
    }
    region_free(io);
}

#define ADD(fn) g_test_add("/memory/" #fn, Fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(ram_keeps_what_is_stored);
    ADD(a_hole_reads_all_ones);
    ADD(an_access_across_the_end_of_ram_is_split);
    ADD(a_higher_priority_hides_what_is_below);
    ADD(a_region_that_moves_leaves_its_old_place);
    ADD(a_batch_publishes_once);
    ADD(a_readonly_alias_drops_writes);
    ADD(an_alias_of_a_container_shows_its_children);
    ADD(narrow_accesses_are_widened);
    ADD(wide_accesses_are_split);
    ADD(big_endian_registers_are_swapped);
    ADD(rom_is_written_by_loaders_only);
    ADD(flash_reads_memory_and_writes_to_its_device);
    ADD(dma_crosses_ranges);
    ADD(the_dirty_log_tells_what_was_written);
    ADD(writes_to_code_pages_are_told);
    g_test_add_func("/memory/ports_are_found", ports_are_found);
    ADD(a_device_that_reaches_itself_comes_to_an_end);
    ADD(readers_never_see_half_a_view);
    ADD(lookups_are_quick);
    return g_test_run();
}
