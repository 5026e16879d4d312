/* Blocks: loops, accesses, faults, code that changes, calls and returns. */
#include "tests/accel/toy.h"

static void a_loop_adds_up(void)
{
    start();
    put_add(0x1000, 3);
    put32(0x1002, 6, 0x1000);
    ram[0x1007] = 5;
    s->r1 = 100000;
    run();
    g_assert_cmpint(s->r0, ==, 300000);
    g_assert_cmphex(s->pc, ==, 0x1007);
}

static void a_loop_over_two_pages_adds_up(void)
{
    start();
    put_add(0x1000, 1);
    put32(0x1002, 4, 0x2000);
    put_add(0x2000, 2);
    put32(0x2002, 6, 0x1000);
    ram[0x2007] = 5;
    s->r1 = 100000;
    run();
    g_assert_cmpint(s->r0, ==, 300000);
}

static void loads_and_stores_reach_ram(void)
{
    start();
    ram[0x3005] = 77;
    put32(0x1000, 2, 0x3005);
    put32(0x1005, 3, 0x4001);
    put32(0x100a, 7, 0x4ffe); /* crosses */
    ram[0x100f] = 5;
    run();
    g_assert_cmpint(ram[0x4001], ==, 77);
    g_assert_cmpint(ram[0x4ffe], ==, 77);
    g_assert_cmpint(ram[0x5001], ==, 0);
}

static void devices_are_reached(void)
{
    start();
    put32(0x1000, 2, IO_PAGE << 12);
    put32(0x1005, 3, (IO_PAGE << 12) + 8);
    ram[0x100a] = 5;
    run();
    g_assert_cmpint(io_writes, ==, 1);
    g_assert_cmphex(io_value, ==, 0x5a);
}

static void a_fault_leaves_the_pc_at_its_instruction(void)
{
    start();
    page_table[9] = 0;
    put_add(0x1000, 1);
    put32(0x1002, 2, 0x9004);
    run();
    g_assert_cmpint(s->faults, ==, 1);
    g_assert_cmphex(s->fault, ==, 0x9004);
    g_assert_cmphex(s->pc, ==, 0x1002);
    g_assert_cmpint(s->r0, ==, 1);
}

static void a_crossing_store_that_faults_writes_nothing(void)
{
    start();
    page_table[9] = 0;
    put_add(0x1000, 0xff);
    put32(0x1002, 7, 0x8ffe);
    run();
    g_assert_cmphex(s->fault, ==, 0x9000);
    g_assert_cmphex(s->pc, ==, 0x1002);
    g_assert_cmpint(ram[0x8ffe], ==, 0);
}

static void a_fetch_fault_is_raised(void)
{
    start();
    page_table[5] = 0;
    put32(0x1000, 4, 0x5000);
    run();
    g_assert_cmphex(s->fault, ==, 0x5000);
    g_assert_cmphex(s->pc, ==, 0x5000);
}

static void the_last_pc_of_all_can_be_jumped_to(void)
{
    start();
    s->pc = UINT64_MAX;
    run();
    g_assert_cmphex(s->fault, ==, UINT64_MAX);
}

static void a_fetch_fault_in_the_second_page_is_raised(void)
{
    start();
    page_table[5] = 0;
    put32(0x1000, 4, 0x4ffc);
    put_add(0x4ffc, 1);
    ram[0x4ffe] = 4;
    run();
    g_assert_cmphex(s->fault, ==, 0x5000);
    g_assert_cmphex(s->pc, ==, 0x4ffe);
    g_assert_cmpint(s->r0, ==, 1);
}

/* The store changes the operand of the addition right behind it, in the same block. */
static void the_next_instruction_sees_a_changed_one(void)
{
    start();
    put_add(0x1000, 9);
    put32(0x1002, 3, 0x1008);
    put_add(0x1007, 1);
    ram[0x1009] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 18);
}

static void changed_code_in_another_block_is_seen(void)
{
    start();
    /* Twice: call 0x2000 (adds n, then jumps back); n is rewritten in between. */
    put32(0x1000, 4, 0x2000);
    put_add(0x2000, 1);
    put32(0x2002, 6, 0x1100);
    ram[0x2007] = 5;
    put32(0x1100, 3, 0x2001); /* n = r0 */
    put32(0x1105, 4, 0x2000);
    s->r1 = 4;
    run();
    g_assert_cmpint(s->r0, ==, 8);
}

static void changed_code_in_front_of_a_block_that_goes_on_there_is_seen(void)
{
    start();
    put32(0x1100, 13, 0x1000);
    put_add(0x1000, 1);
    ram[0x1002] = 5;
    s->pc = 0x1100;
    run();
    g_assert_cmpint(s->r0, ==, 1);
    put32(0x2000, 3, 0x1001);
    ram[0x2005] = 5;
    s->r0 = 7;
    s->pc = 0x2000;
    run();
    s->pc = 0x1100;
    run();
    g_assert_cmpint(s->r0, ==, 14);
}

/* A block that changes its own operand, and that of another one. */
static void an_operand_that_is_rewritten_often_is_loaded(void)
{
    enum { ROUNDS = 1000 };
    uint64_t killed = code_stats.killed, sum = 1;
    uint8_t own = 0, other = 3;

    start();
    s->r0 = 1;
    s->r1 = ROUNDS;
    put_add(0x1000, own);
    put32(0x1002, 3, 0x1001);
    put32(0x1007, 3, 0x2001);
    put32(0x100c, 4, 0x2000);
    put_add(0x2000, other);
    put32(0x2002, 6, 0x1000);
    ram[0x2007] = 5;
    run();
    for (unsigned i = 0; i < ROUNDS; i++) {
        sum += own;
        own = other = sum;
        sum += other;
    }
    g_assert_cmphex(s->r0, ==, sum);
    g_assert_cmpint(code_stats.killed - killed, <, 100);
    /* What the operation is, is not loaded. */
    put32(0x2002, 7, 0x2000);
    ram[0x2007] = 5;
    memory_write(memory_system(), 0x2002, &ram[0x2002], 6);
    s->pc = 0x2000;
    s->r0 = 0;
    ram[0x2001] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 5);
    ram[0x2000] = 1;
    ram[0x2001] = 7;
    memory_write(memory_system(), 0x2000, &ram[0x2000], 6);
    s->pc = 0x2000;
    run();
    g_assert_cmpint(s->r0, ==, 12);
}

static void what_is_known_of_pages_without_code_is_forgotten(void)
{
    enum { FIRST = 8, LAST = 24 };

    for (int round = 0; round < 3; round++) {
        start(); /* no page has code any more */
        g_mutex_lock(&tb_lock);
        code_pages_forget_empty();
        g_mutex_unlock(&tb_lock);
        g_assert_cmpint(code_stats.pages, ==, 0);
        for (int n = FIRST; n < LAST; n++) {
            put_add(n << 12, 1);
            put32((n << 12) + 2, 4, (n + 1) << 12);
        }
        put32(LAST << 12, 3, (FIRST << 12) + 1); /* another one for the first */
        ram[(LAST << 12) + 5] = 5;
        s->pc = FIRST << 12;
        run();
        g_assert_cmpint(s->r0, ==, LAST - FIRST);
        g_assert_cmpint(code_stats.pages, >=, LAST - FIRST);
        g_mutex_lock(&tb_lock);
        code_pages_forget_empty(); /* these have code */
        g_mutex_unlock(&tb_lock);
        g_assert_cmpint(code_stats.pages, >=, LAST - FIRST - 1);
        s->pc = FIRST << 12;
        run();
        g_assert_cmpint(s->r0, ==, 2 * (LAST - FIRST) + LAST - FIRST - 1);
    }
}

/* Who delivers an exception does not wait for who forgets, and may have a record in hand: its memory never is for anything else. */
static void what_was_known_of_a_page_stays_in_memory(void)
{
    enum { OTHERS = 64 }; /* more than an allocator hides */
    RamBlock *block;
    CodePage *cp;
    void *others[OTHERS];

    start();
    block = address_space_find(cpu->memory, 0).ram;
    g_mutex_lock(&tb_lock);
    code_pages_forget_empty();
    cp = code_page(block, 8, true);
    code_pages_forget_empty();
    for (unsigned i = 0; i < OTHERS; i++) {
        others[i] = g_malloc(sizeof(CodePage));
        g_assert_true(others[i] != cp);
    }
    g_assert_null(code_page(block, 8, false));
    g_assert_true(code_page(block, 9, true) == cp);
    g_assert_cmpint(cp->number, ==, 9);
    g_assert_null(cp->first);
    g_mutex_unlock(&tb_lock);
    for (unsigned i = 0; i < OTHERS; i++) {
        g_free(others[i]);
    }
}

static void data_beside_code_does_not_invalidate_it(void)
{
    uint64_t killed;

    start();
    put_add(0x1000, 1);
    put32(0x1002, 3, 0x1800);
    put32(0x1007, 6, 0x1000);
    ram[0x100c] = 5;
    s->r1 = 1000;
    killed = code_stats.killed;
    run();
    g_assert_cmpint(s->r0, ==, 1000);
    g_assert_cmpint(ram[0x1800], ==, 1000 & 0xff);
    g_assert_cmpint(code_stats.killed, ==, killed);
}

static void data_between_the_parts_of_a_block_does_not_invalidate_it(void)
{
    uint64_t killed;

    start();
    put_add(0x1000, 1);
    put32(0x1002, 13, 0x1800);
    put32(0x1800, 3, 0x1400);
    put32(0x1805, 6, 0x1000);
    ram[0x180a] = 5;
    s->r1 = 1000;
    killed = code_stats.killed;
    run();
    g_assert_cmpint(s->r0, ==, 1000);
    g_assert_cmpint(ram[0x1400], ==, 1000 & 0xff);
    g_assert_cmpint(code_stats.killed, ==, killed);
    put32(0x2000, 3, 0x1801); /* its operand in the second part */
    ram[0x2005] = 5;
    s->r0 = 0x10;
    s->pc = 0x2000;
    run();
    s->r0 = 9;
    s->r1 = 1;
    s->pc = 0x1000;
    run();
    g_assert_cmpint(ram[0x1410], ==, 10);
    g_assert_cmpint(s->r0, ==, 10);
}

static void code_written_by_a_device_is_seen(void)
{
    uint8_t n = 50;

    start();
    put_add(0x1000, 1);
    ram[0x1002] = 5;
    run();
    memory_write(memory_system(), 0x1001, &n, 1);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 51);
}

/* f at 0x2000: if (--r1) { f(); r0 += 1; } */
static void put_recursion(void)
{
    put32(0x2000, 6, 0x2006);
    ram[0x2005] = 10;
    put32(0x2006, 9, 0x2000);
    put_add(0x200b, 1);
    ram[0x200d] = 10;
}

static void calls_return_from_any_depth(void)
{
    start();
    put_recursion();
    put32(0x1000, 9, 0x2000);
    put_add(0x1005, 3);
    ram[0x1007] = 5;
    for (int depth = 1; depth < 1000; depth += depth / 8 + 1) {
        s->r0 = 0;
        s->r1 = depth;
        s->pc = 0x1000;
        run();
        g_assert_cmpint(s->r0, ==, depth + 2);
        g_assert_cmphex(s->sp, ==, STACK);
        g_assert_cmphex(s->pc, ==, 0x1007);
    }
}

/* 256 bytes apart, so that they share a place. */
static void calls_from_places_with_one_low_byte_return(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put32(0x1005, 6, 0x1000);
    ram[0x100a] = 5;
    put32(0x2000, 9, 0x2200);
    put_add(0x2005, 1);
    ram[0x2007] = 10;
    put32(0x2200, 9, 0x3100);
    put_add(0x2205, 5);
    ram[0x2207] = 10;
    put_add(0x3100, 70);
    ram[0x3102] = 10;
    s->r1 = 100;
    run();
    g_assert_cmpint(s->r0, ==, 7600);
    g_assert_cmphex(s->sp, ==, STACK);
}

static void returns_over_a_frame_are_followed(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put32(0x1005, 9, 0x2100);
    put_add(0x100a, 3);
    put32(0x100c, 6, 0x1000);
    ram[0x1011] = 5;
    put32(0x2000, 9, 0x2200);
    put_add(0x2005, 1);
    ram[0x2007] = 10;
    put32(0x2100, 9, 0x2300);
    put_add(0x2105, 50); /* never */
    ram[0x2107] = 10;
    ram[0x2200] = 10;
    ram[0x2300] = 11;
    ram[0x2301] = 4;
    ram[0x2302] = 10;
    s->r1 = 50;
    run();
    g_assert_cmpint(s->r0, ==, 200);
    g_assert_cmphex(s->sp, ==, STACK);
}

static void a_changed_return_address_is_followed(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    ram[0x1005] = 5;
    put_add(0x1010, 7);
    put32(0x1012, 6, 0x1000);
    ram[0x1017] = 5;
    put32(0x2000, 7, STACK - 4); /* r0 */
    ram[0x2005] = 10;
    s->r0 = 0x1010;
    s->r1 = 1;
    run();
    g_assert_cmpint(s->r0, ==, 0x1017);
    g_assert_cmphex(s->pc, ==, 0x1017);
}

static void a_return_sees_code_that_the_callee_changed(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put_add(0x1005, 1);
    put32(0x1007, 6, 0x1000);
    ram[0x100c] = 5;
    put32(0x2000, 3, 0x1006); /* what is added behind the call = r0 */
    ram[0x2005] = 10;
    s->r0 = 1;
    s->r1 = 6;
    run();
    g_assert_cmpint(s->r0, ==, 64);
}

/* Between a call and its return the caller's page is mapped elsewhere. */
static void a_return_to_a_remapped_page(bool flush_all_before, bool near_callee)
{
    start();
    for (uint32_t page = 0x1000; page <= 0x4000; page += 0x3000) {
        ram[page] = flush_all_before ? 12 : 11; /* else sp += 0 */
        ram[page + 1] = flush_all_before ? 12 : 0;
        put32(page + 2, 9, near_callee ? 0x1100 : 0x2000);
        put_add(page + 7, page == 0x1000 ? 1 : 2);
        ram[page + 9] = 5;
        put32(page + 0x100, 4, 0x2000);
    }
    ram[0x2000] = 5;
    ram[0x2001] = 8;
    put_add(0x2002, 40);
    ram[0x2004] = 10;
    for (int round = 0; round < 3; round++) {
        s->pc = 0x1000;
        run();
        g_assert_cmphex(s->pc, ==, 0x2000);
        page_table[1] = (round & 1 ? 1 : 4) << 12 | 3;
        s->r0 = 1;
        s->pc = 0x2001;
        run();
        g_assert_cmphex(s->pc, ==, 0x1009);
        g_assert_cmpint(s->r0, ==, 41 + (round & 1 ? 1 : 2));
    }
}

static void returns_see_remapped_pages(void)
{
    for (int how = 0; how < 4; how++) {
        a_return_to_a_remapped_page(how & 1, how & 2);
    }
}

static void a_call_at_the_end_of_a_page_returns(void)
{
    start();
    for (uint32_t at = 0x1ff7; at <= 0x1fff; at++) { /* behind it: bytes of this page, of both, of the next */
        start();
        put32(at, 9, 0x3000);
        put_add(at + 5, 1);
        put32(at + 7, 6, at);
        ram[at + 12] = 5;
        put_add(0x3000, 2);
        ram[0x3002] = 10;
        s->pc = at;
        s->r1 = 10;
        run();
        g_assert_cmpint(s->r0, ==, 30);
        g_assert_cmphex(s->pc, ==, at + 12);
    }
}

const Case code_cases[] = {
    CASE(a_loop_adds_up),
    CASE(a_loop_over_two_pages_adds_up),
    CASE(loads_and_stores_reach_ram),
    CASE(devices_are_reached),
    CASE(a_fault_leaves_the_pc_at_its_instruction),
    CASE(a_crossing_store_that_faults_writes_nothing),
    CASE(a_fetch_fault_is_raised),
    CASE(the_last_pc_of_all_can_be_jumped_to),
    CASE(a_fetch_fault_in_the_second_page_is_raised),
    CASE(the_next_instruction_sees_a_changed_one),
    CASE(changed_code_in_another_block_is_seen),
    CASE(changed_code_in_front_of_a_block_that_goes_on_there_is_seen),
    CASE(an_operand_that_is_rewritten_often_is_loaded),
    CASE(what_is_known_of_pages_without_code_is_forgotten),
    CASE(what_was_known_of_a_page_stays_in_memory),
    CASE(data_beside_code_does_not_invalidate_it),
    CASE(data_between_the_parts_of_a_block_does_not_invalidate_it),
    CASE(code_written_by_a_device_is_seen),
    CASE(calls_return_from_any_depth),
    CASE(calls_from_places_with_one_low_byte_return),
    CASE(returns_over_a_frame_are_followed),
    CASE(a_changed_return_address_is_followed),
    CASE(a_return_sees_code_that_the_callee_changed),
    CASE(returns_see_remapped_pages),
    CASE(a_call_at_the_end_of_a_page_returns),
    { 0 },
};
