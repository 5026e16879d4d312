/* Pages and address spaces: flushes, renewals, what must not be kept. */
#include "tests/accel/toy.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void a_remapped_page_is_seen_after_its_flush(void)
{
    start();
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 1);
    page_table[3] = 4 << 12 | 3;
    engine.flush_page(cpu, 0x3000);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

static void remapped_code_is_seen_after_its_flush(void)
{
    start();
    put32(0x1000, 4, 0x3000);
    put_add(0x3000, 1);
    ram[0x3002] = 5;
    put_add(0x4000, 2);
    ram[0x4002] = 5;
    run();
    page_table[3] = 4 << 12 | 3;
    engine.flush_page(cpu, 0x3000);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 3);
}

static void the_guest_flushes_a_page_that_it_runs_through(void)
{
    start();
    put_add(0x1000, 3);
    ram[0x1002] = 8;
    put_add(0x1003, 1);
    ram[0x1005] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 4);
}

static void calls_of_address_spaces_do_not_mix(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put_add(0x1005, 1);
    ram[0x1007] = 5;
    put32(0x4000, 9, 0x2000);
    put_add(0x4005, 2);
    ram[0x4007] = 5;
    ram[0x2000] = 5;
    ram[0x2001] = 10;
    for (int i = 0; i < 6; i++) {
        s->r0 = 0;
        s->pc = 0x1000;
        run();
        space_id = i & 1; /* the callee comes back in the other one, in half of the rounds */
        page_table[1] = (i & 1 ? 4 : 1) << 12 | 3;
        s->pc = 0x2001;
        run();
        g_assert_cmphex(s->pc, ==, 0x1007);
        g_assert_cmpint(s->r0, ==, i & 1 ? 2 : 1);
    }
    space_id = 0;
}

static void address_spaces_do_not_mix(void)
{
    start();
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    space_id = 1;
    engine.update_mode(cpu);
    page_table[3] = 4 << 12 | 3;
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
    space_id = 0;
    engine.update_mode(cpu);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 1); /* still cached */
    engine.flush_space(cpu, 0, true);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

static void flushes_reach_spaces_that_are_not_current(void)
{
    start();
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    space_id = 1;
    engine.update_mode(cpu);
    page_table[3] = 4 << 12 | 3;
    engine.flush_page(cpu, 0x3000);
    space_id = 0;
    engine.update_mode(cpu);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

/* Pages that a kernel has in tables of its world, while another world's space is current. */
static void flushes_reach_the_tables_of_other_worlds(void)
{
    start();
    put32(0x1000, 2, 0x2000);
    ram[0x1005] = 5;
    ram[0x2000] = 1;
    ram[0x5000] = 2;
    mode = SYSTEM;
    for (int i = 0; i < 4; i++) {
        space_id = UINT64_C(1) << 32;
        s->pc = 0x1005;
        run();
        page_table[2] = (i & 1 ? 5 : 2) << 12 | 3;
        engine.flush_page(cpu, 0x2000);
        space_id = 0;
        s->pc = 0x1000;
        run();
        g_assert_cmpint(s->r0, ==, i & 1 ? 2 : 1);
    }
    mode = PROCESS;
}

/* A page of code no more, that an address space has been able to store to all the time, becomes one again. */
static void stores_of_another_space_to_a_page_that_was_code_are_seen(void)
{
    start();
    put32(0x1000, 3, 0x3001); /* changes the operand of the addition below */
    ram[0x1005] = 5;
    run();
    put_add(0x3000, 1);
    ram[0x3002] = 5;
    space_id = 1;
    s->pc = 0x3000;
    run();
    ram_mark_dirty(region_ram(ram_region), 0x3000, 0x1000); /* a device writes there */
    space_id = 0;
    s->pc = 0x3000;
    run();
    s->r0 = 7;
    s->pc = 0x1000;
    run();
    s->r0 = 0;
    s->pc = 0x3000;
    run();
    g_assert_cmpint(s->r0, ==, 7);
}

static uint64_t walks(void)
{
    return ((EngineCpu *)cpu->engine)->n_walks;
}

/* From 0x1000: the byte at 0x3000 to r0, by way of code at 0x5000. */
static void put_load_by_another_page(void)
{
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 4, 0x5000);
    put32(0x5000, 2, 0x3000);
    ram[0x5005] = 5;
    put32(0x6000, 2, 0x4000);
    ram[0x6005] = 5;
}

static void run_again(void)
{
    s->pc = 0x1000;
    run();
}

static void a_renewed_space_keeps_what_is_as_it_was(void)
{
    uint64_t before;

    start();
    put_load_by_another_page();
    run();
    before = walks();
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 1);
    g_assert_cmpint(walks(), ==, before);
}

static void a_renewed_space_sees_changed_pages(void)
{
    uint64_t before;

    start();
    put_load_by_another_page();
    run();
    before = walks();
    page_table[3] = 4 << 12 | 3;
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 2);
    g_assert_cmpint(walks(), ==, before + 1);
    page_table[3] = 0;
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmphex(s->fault, ==, 0x3000);
    page_table[5] = 6 << 12 | 3; /* code */
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 2);
}

static void a_renewed_space_sees_changed_upper_levels(void)
{
    uint64_t before;

    start();
    put_load_by_another_page();
    run();
    before = walks();
    table_root++;
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(walks(), ==, before + 3);
}

static void a_changed_memory_map_is_seen_in_a_renewed_space(void)
{
    Region *other;

    start();
    put_load_by_another_page();
    run();
    machine_lock();
    other = region_new_ram("other", 4096, NULL);
    region_add(memory_system_root(), (RAM_PAGES + 1) << 12, other);
    machine_unlock();
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 1);
    machine_lock();
    region_remove(other);
    region_free(other);
    machine_unlock();
}

/* The first walk's translation is older than what the second one noted. */
static void a_page_walked_again_loses_what_its_old_entry_said(void)
{
    start();
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000); /* a load enters the page */
    put32(0x1005, 3, 0x3001);
    put32(0x100a, 2, 0x3000);
    ram[0x100f] = 5;
    page_table[3] = 3 << 12 | 2;
    run();
    g_assert_cmphex(s->fault, ==, 0x3001);
    page_table[3] = 4 << 12 | 3;
    s->pc = 0x1005; /* a store walks; no flush, so the load may see either */
    run();
    engine.renew_space(cpu, space_id);
    s->pc = 0x100a;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

static void spaces_with_much_in_them_are_emptied(void)
{
    Evidence *e = g_new0(Evidence, 1);
    uint64_t entries[EVIDENCE_PAGES + 1] = { 0 }, changed[2];
    MmuResult result = { .n_reads = 2, .read = { { &table_root, table_root, 8 } }, .may_gain = 6 };

    for (unsigned i = 0; i < EVIDENCE_PAGES; i++) {
        result.read[1] = (MmuRead){ &entries[i], 0, 8 };
        g_assert_true(evidence_note(e, (uint64_t)i * 0x5000, &result));
    }
    g_assert_true(evidence_holds(e));
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 0);
    entries[7] = 2;
    result.read[1] = (MmuRead){ &entries[7], 2, 8 };
    g_assert_true(evidence_note(e, 7 * 0x5000, &result)); /* a bit gained */
    entries[7] = 3;
    result.read[1].value = 3;
    g_assert_false(evidence_note(e, 7 * 0x5000, &result));
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 0);
    entries[8] = 1;
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 1);
    g_assert_cmphex(changed[0], ==, 8 * 0x5000);
    entries[8] = entries[9] = entries[10] = 5;
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 3);
    g_assert_true(evidence_holds(e));
    result.read[1] = (MmuRead){ &entries[EVIDENCE_PAGES], 0, 8 };
    g_assert_true(evidence_note(e, EVIDENCE_PAGES * 0x5000, &result));
    g_assert_false(evidence_holds(e)); /* one too many */
    evidence_forget(e);
    g_assert_true(evidence_holds(e));
    result.n_reads = 0;
    g_assert_true(evidence_note(e, 0, &result));
    g_assert_false(evidence_holds(e)); /* nobody knows */
    g_free(e);
}

static void a_changed_memory_map_is_seen(void)
{
    start();
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    machine_lock();
    Region *io = region_new_io("over", &io_ops, NULL, 4096);
    region_add_overlap(memory_system_root(), 0x3000, io, 1);
    machine_unlock();
    s->pc = 0x1000;
    run();
    g_assert_cmphex(s->r0, ==, 0x5a);
    machine_lock();
    region_remove(io);
    region_free(io);
    machine_unlock();
}

/* A kernel's code on pages that are not global: now and then, or always. */
static void a_kernel_on_pages_of_its_processes_has_tables_apart(void)
{
    enum { FIRST = 8, LAST = 28, SWITCHES = 140 };
    static uint64_t world = 4;
    EngineCpu *ec = cpu->engine;

    start();
    for (uint32_t page = FIRST; page < LAST; page++) {
        put32(page << 12, 4, (page + 1) << 12);
    }
    ram[LAST << 12] = 5;
    mode = SYSTEM;
    world++;
    for (unsigned i = 0; i < SWITCHES; i++) {
        space_id = world << 32 | (i & 1);
        s->pc = (i & 1 ? LAST : FIRST) << 12;
        run();
    }
    g_assert_false(ec->globals->apart);
    for (unsigned i = 0; i < SWITCHES / 2; i++) {
        space_id = world << 32 | (i & 1);
        s->pc = FIRST << 12;
        run();
    }
    g_assert_true(ec->globals->apart);
    mode = PROCESS;
    space_id = 0;
}

static const Block *block_at(uint64_t pc)
{
    BlockKey key = { .pc = pc, .phys = pc };
    const Block *block;

    g_mutex_lock(&tb_lock);
    block = code_block_find(&key, 0, ram + pc, NULL);
    g_mutex_unlock(&tb_lock);
    return block;
}

/* A load from page 3, found to be hot. */
static long resident_kib(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    return strtol(strchr(text, ' '), NULL, 10) * sysconf(_SC_PAGESIZE) / 1024;
}

static void run_in_space(uint64_t id)
{
    space_id = id;
    engine.update_mode(cpu);
    s->pc = 0x1000;
    run();
}

/* Jump caches of spaces that nobody has been in for long take no memory. */
static void spaces_that_are_not_used_are_small(void)
{
    enum { SPACES = 8, LONG = 100, MANY = 200 };
    long before;

    start();
    put32(0x1000, 9, 0x2000);
    put_add(0x1005, 1);
    ram[0x1007] = 5;
    ram[0x2000] = 10;
    for (int round = 0; round < 4; round++) {
        for (int id = 0; id < SPACES; id++) {
            run_in_space(id);
        }
    }
    before = resident_kib();
    for (int i = 0; i < MANY; i++) {
        engine_cpu(cpu)->swept_at -= LONG;
        run_in_space(i & 1);
    }
    g_assert_cmpint(resident_kib(), <, before - (SPACES - 3) * 1024);
    s->r0 = 0;
    for (int id = SPACES - 1; id >= 0; id--) {
        for (int round = 0; round < 3; round++) {
            s->sp = STACK;
            run_in_space(id);
        }
    }
    g_assert_cmpint(s->r0, ==, 3 * SPACES);
    engine_flush_all(cpu);
    run_in_space(0);
    g_assert_cmpint(s->r0, ==, 3 * SPACES + 1);
}

static void run_hot(unsigned in_mode, uint64_t pc)
{
    mode = in_mode;
    put32(pc, 2, 0x3005);
    ram[pc + 5] = 5;
    s->pc = pc;
    run();
    s->pc = pc;
    hot_sample(cpu->engine);
    hot_sample(cpu->engine);
    run();
}

static unsigned sites_of_new_block(uint64_t pc)
{
    put32(pc, 2, 0x3005);
    ram[pc + 5] = 5;
    s->pc = pc;
    run();
    return block_at(pc)->code->n_sites;
}

static void the_first_blocks_of_a_process_have_sites(void)
{
    EngineCpu *ec = engine_cpu(cpu);

    if (engine_options.interpret) {
        return;
    }
    start();
    toy_ops.system_sites = true;
    mode = PROCESS;
    ec->credit_since = 0;
    g_assert_cmpuint(sites_of_new_block(0x1000), ==, 1);
    ec->credit_since = g_get_monotonic_time() + 100 * G_USEC_PER_SEC; /* as after many of them */
    g_assert_cmpuint(sites_of_new_block(0x1100), ==, 0);
    ec->credit_since = 0;
    mode = SYSTEM;
    g_assert_cmpuint(sites_of_new_block(0x1200), ==, 0);
    mode = PROCESS;
    toy_ops.system_sites = false;
}

static void blocks_of_the_system_have_sites_until_a_process_comes(void)
{
    bool before_processes;

    start();
    toy_ops.system_sites = true;
    before_processes = hot_before_processes(cpu->engine) && !engine_options.interpret;
    ram[0x3005] = 33;
    ram[0x4005] = 44;
    run_hot(SYSTEM, 0x1000);
    g_assert_cmpint(s->r0, ==, 44);
    g_assert_cmpint(before_processes, ==, block_at(0x1000)->code && block_at(0x1000)->code->n_sites);
    run_hot(PROCESS, 0x2000);
    g_assert_cmpint(s->r0, ==, 33);
    g_assert_null(before_processes ? block_at(0x1000) : NULL);
    mode = SYSTEM;
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 44);
    g_assert_false(hot_before_processes(cpu->engine));
    mode = PROCESS;
    toy_ops.system_sites = false;
}

const Case space_cases[] = {
    CASE(a_remapped_page_is_seen_after_its_flush),
    CASE(remapped_code_is_seen_after_its_flush),
    CASE(the_guest_flushes_a_page_that_it_runs_through),
    CASE(calls_of_address_spaces_do_not_mix),
    CASE(address_spaces_do_not_mix),
    CASE(flushes_reach_spaces_that_are_not_current),
    CASE(flushes_reach_the_tables_of_other_worlds),
    CASE(stores_of_another_space_to_a_page_that_was_code_are_seen),
    CASE(a_renewed_space_keeps_what_is_as_it_was),
    CASE(a_renewed_space_sees_changed_pages),
    CASE(a_renewed_space_sees_changed_upper_levels),
    CASE(a_changed_memory_map_is_seen_in_a_renewed_space),
    CASE(a_page_walked_again_loses_what_its_old_entry_said),
    CASE(spaces_with_much_in_them_are_emptied),
    CASE(a_changed_memory_map_is_seen),
    CASE(a_kernel_on_pages_of_its_processes_has_tables_apart),
    CASE(spaces_that_are_not_used_are_small),
    CASE(the_first_blocks_of_a_process_have_sites),
    CASE(blocks_of_the_system_have_sites_until_a_process_comes),
    { 0 },
};
