/* Page walks: permissions, error codes, page sizes, accessed and dirty bits. */
#include "tests/target/x86/fake.h"

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128, G = 256 };
#define NX (UINT64_C(1) << 63)

/* Four levels at 1, 2, 3 and 4 MiB, all entry 0 except the last. */
enum { PML5 = 0x80000, PML4 = 0x100000, PDPT = 0x200000, PD = 0x300000, PT = 0x400000, PAGE = 0x500000 };

static void long_mode(void)
{
    fake_start("max");
    s->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_ET;
    s->cr4 = CR4_PAE | CR4_PGE;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE;
    s->cr3 = PML4;
    put64(PML4, PDPT | P | W | U);
    put64(PDPT, PD | P | W | U);
    put64(PD, PT | P | W | U);
}

static bool walk(VirtAddr addr, MmuAccess access, unsigned mode, MmuResult *r)
{
    return x86_walk(cpu, addr, access, mode, false, r);
}

static void permissions_follow_the_manual(void)
{
    MmuResult r;

    long_mode();
    for (unsigned bits = 0; bits < 512; bits++) {
        bool w = bits & 1, u = bits & 2, nx = bits & 4, wp = bits & 8, smep = bits & 16, smap = bits & 32;
        unsigned access = bits >> 6 & 3, mode = bits & 256 ? MMU_USER : MMU_KERNEL;
        bool user = mode == MMU_USER, allowed;
        uint32_t code;

        if (access > MMU_FETCH) {
            continue;
        }
        s->cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
        s->cr4 = CR4_PAE | (smep ? CR4_SMEP : 0) | (smap ? CR4_SMAP : 0);
        put64(PT + 8, PAGE | P | (w ? W : 0) | (u ? U : 0) | (nx ? NX : 0));
        if (access == MMU_FETCH) {
            allowed = !nx && (user ? u : !(u && smep));
        } else {
            allowed = user ? u : !(u && smap);
            if (access == MMU_STORE && !w && (user || wp)) {
                allowed = false;
            }
        }
        g_assert_cmpint(walk(0x1234, access, mode, &r), ==, allowed);
        if (allowed) {
            g_assert_cmphex(r.phys, ==, PAGE);
            continue;
        }
        code = 1 | (access == MMU_STORE ? 2 : 0) | (user ? 4 : 0) | (access == MMU_FETCH ? 16 : 0);
        g_assert_cmphex(s->fault_code, ==, code);
        g_assert_cmphex(s->fault_addr, ==, 0x1234);
    }
    s->cr4 = CR4_PAE | CR4_SMAP;
    put64(PT + 8, PAGE | P | W | U);
    g_assert_true(walk(0x1000, MMU_STORE, MMU_KERNEL_AC, &r));
}

static void upper_levels_restrict(void)
{
    MmuResult r;

    long_mode();
    put64(PT, PAGE | P | W | U);
    put64(PDPT, PD | P | U);
    g_assert_false(walk(0, MMU_STORE, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 7);
    put64(PDPT, PD | P | W);
    g_assert_false(walk(0, MMU_LOAD, MMU_USER, &r));
    put64(PDPT, PD | P | W | U | NX);
    g_assert_false(walk(0, MMU_FETCH, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 0x15);
    put64(PDPT, 0);
    g_assert_false(walk(0, MMU_STORE, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 2);
}

static void accessed_and_dirty_bits(void)
{
    MmuResult r;

    long_mode();
    put64(PT, PAGE | P | W | U);
    g_assert_true(walk(0, MMU_LOAD, MMU_USER, &r));
    g_assert_false(r.writable);
    g_assert_cmphex(get32(PML4) & (A | D), ==, A);
    g_assert_cmphex(get32(PT) & (A | D), ==, A);
    g_assert_true(walk(0, MMU_STORE, MMU_USER, &r));
    g_assert_true(r.writable);
    g_assert_cmphex(get32(PT) & (A | D), ==, A | D);
    g_assert_cmphex(get32(PD) & (A | D), ==, A);

    put64(PT, PAGE | P);
    g_assert_false(walk(0, MMU_STORE, MMU_USER, &r));
    g_assert_cmphex(get32(PT) & (A | D), ==, 0);
    put64(PT, PAGE | P | W);
    g_assert_true(x86_walk(cpu, 0, MMU_STORE, MMU_KERNEL, true, &r));
    g_assert_cmphex(get32(PT) & (A | D), ==, 0);
}

static void reserved_bits_fault(void)
{
    MmuResult r;

    long_mode();
    put64(PT, PAGE | P | W | U | UINT64_C(1) << 45);
    g_assert_false(walk(0, MMU_LOAD, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 0xd);
    put64(PT, PAGE | P | W | U | NX);
    s->efer &= ~(uint64_t)EFER_NXE;
    g_assert_false(walk(0, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 9);
    put64(PML4, PDPT | P | W | U | PS);
    g_assert_false(walk(0, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 9);
}

static void a_key_shows_in_the_code_whatever_else_forbids(void)
{
    const uint64_t key = UINT64_C(1) << 59;
    MmuResult r;

    long_mode();
    s->cr4 |= CR4_PKE;
    s->pkru = 1 << 2; /* no access with key 1 */
    put64(PT, PAGE | P | U | key);
    g_assert_false(walk(0, MMU_STORE, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 0x27);
    g_assert_false(walk(0, MMU_LOAD, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 0x25);
    g_assert_true(walk(0, MMU_FETCH, MMU_USER, &r));
    put64(PT, PAGE | U | key);
    g_assert_false(walk(0, MMU_LOAD, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 4);
    s->pkru = 2 << 2; /* no stores */
    put64(PT, PAGE | P | W | U | key);
    g_assert_true(walk(0, MMU_LOAD, MMU_USER, &r));
    g_assert_false(walk(0, MMU_STORE, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 0x23);
    s->cr0 &= ~(uint64_t)CR0_WP;
    g_assert_true(walk(0, MMU_STORE, MMU_KERNEL, &r));
}

static void other_addresses_are_not_canonical(void)
{
    MmuResult r;

    long_mode();
    g_assert_false(walk(UINT64_C(0x800000000000), MMU_LOAD, MMU_KERNEL, &r));
    g_assert_true(s->fault_is_gp);
}

static void five_levels(void)
{
    const VirtAddr high = UINT64_C(0xab) << 48, lowest = UINT64_C(1) << 63;
    MmuResult r;

    long_mode();
    s->cr4 |= CR4_LA57;
    s->cr3 = PML5;
    put64(PML5 + 8 * 0xab, PML4 | P | W | U);
    put64(PT, PAGE | P | W | U);
    g_assert_true(walk(high, MMU_STORE, MMU_USER, &r));
    g_assert_cmphex(r.phys, ==, PAGE);
    g_assert_cmphex(get32(PML5 + 8 * 0xab) & (A | D), ==, A);
    g_assert_false(walk(high + (UINT64_C(1) << 48), MMU_LOAD, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 4);

    put64(PML5 + 8 * 0xab, PML4 | P | W);
    g_assert_false(walk(high, MMU_LOAD, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 5);
    put64(PML5 + 8 * 0xab, PML4 | P | W | PS);
    g_assert_false(walk(high, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 9);
    put64(PML5 + 8 * 0xab, PML4 | P | W | UINT64_C(1) << 51);
    g_assert_false(walk(high, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 9);

    g_assert_false(walk(UINT64_C(1) << 56, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_true(s->fault_is_gp);
    g_assert_false(walk(lowest, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_true(s->fault_is_gp);
    put64(PML5 + 8 * 0x1ff, PML4 | P);
    g_assert_true(walk(UINT64_C(0xffff) << 48, MMU_LOAD, MMU_KERNEL, &r));
}

static void toggle_la57(void)
{
    x86_set_cr4(s, s->cr4 ^ CR4_LA57, 0);
}

static void levels_change_outside_of_long_mode_only(void)
{
    long_mode();
    g_assert_cmpint(raised_by(toggle_la57), ==, EXC_GP);
    s->cr0 &= ~(uint64_t)CR0_PG;
    s->efer &= ~(uint64_t)EFER_LMA;
    g_assert_cmpint(raised_by(toggle_la57), ==, -1);
    s->cr0 |= CR0_PG;
    s->efer |= EFER_LMA;
    g_assert_cmpint(raised_by(toggle_la57), ==, EXC_GP);
    fake_start("Haswell");
    g_assert_cmpint(raised_by(toggle_la57), ==, EXC_GP);
}

static void bases_are_as_wide_as_the_processor_has_them(void)
{
    const uint64_t wide = UINT64_C(0xff55) << 48, too_wide = UINT64_C(0x7f55) << 48;

    long_mode();
    g_assert_true(x86_msr_write(s, 0xc0000100, wide));
    g_assert_true(x86_msr_write(s, 0xc0000100, UINT64_C(0x80) << 48));
    g_assert_false(x86_msr_write(s, 0xc0000100, too_wide));
    fake_start("Haswell");
    g_assert_false(x86_msr_write(s, 0xc0000100, UINT64_C(0x80) << 48));
}

static void large_pages(void)
{
    MmuResult r;

    long_mode();
    put64(PD + 8, 0x600000 | P | W | PS | G);
    g_assert_true(walk(0x2abcde, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(r.phys, ==, 0x6ab000);
    g_assert_cmphex(r.page_size, ==, 0x200000);
    g_assert_true(r.global);
    put64(PD + 8, 0x602000 | P | PS);
    g_assert_false(walk(0x200000, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 9);
    put64(PDPT + 8, UINT64_C(0x40000000) | P | W | PS);
    g_assert_true(walk(0x40123456, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(r.phys, ==, 0x40123000);
    g_assert_cmphex(r.page_size, ==, 0x40000000);
}

static void legacy_tables(void)
{
    MmuResult r;

    fake_start("qemu32");
    s->cr0 = CR0_PE | CR0_PG;
    s->cr3 = PD;
    put32(PD, PT | P | W | U);
    put32(PT + 4 * 5, PAGE | P | W | U);
    g_assert_true(walk(0x5678, MMU_STORE, MMU_USER, &r));
    g_assert_cmphex(r.phys, ==, PAGE);
    g_assert_cmphex(get32(PT + 20), ==, (PAGE | P | W | U | A | D));
    g_assert_false(walk(0x6000, MMU_FETCH, MMU_USER, &r));
    g_assert_cmphex(s->fault_code, ==, 4);

    s->cr4 = CR4_PSE;
    put32(PD + 4, 0x800000 | P | W | PS | 1 << 13);
    g_assert_true(walk(0x412345, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(r.phys, ==, UINT64_C(0x100812000));
    g_assert_cmphex(r.page_size, ==, 0x400000);
}

static void pae_tables(void)
{
    MmuResult r;

    fake_start("qemu32");
    s->cr0 = CR0_PE | CR0_PG;
    s->cr4 = CR4_PAE;
    put64(0x1020, PD | P);
    put64(0x1038, PD | P);
    x86_load_pdptes(s, 0x1020, 0);
    put64(PD, PT | P | W | U);
    put64(PT, PAGE | P | W | U);
    g_assert_true(walk(0xc0000123, MMU_LOAD, MMU_USER, &r));
    g_assert_cmphex(r.phys, ==, PAGE);
    g_assert_true(walk(0, MMU_LOAD, MMU_USER, &r));
    g_assert_false(walk(0x40000000, MMU_LOAD, MMU_USER, &r));
    put64(PT, PAGE | P | UINT64_C(1) << 60);
    g_assert_false(walk(0, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(s->fault_code, ==, 9);
}

static void load_bad_pdptes(void)
{
    put64(0x1020, PD | P | W);
    x86_load_pdptes(s, 0x1020, 0);
}

static void bad_pdptes_are_refused(void)
{
    fake_start("qemu32");
    g_assert_cmpint(raised_by(load_bad_pdptes), ==, EXC_GP);
}

static void address_line_20(void)
{
    MmuResult r;

    fake_start("486");
    x86_set_a20(cpu, false);
    g_assert_true(walk(0x101234, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(r.phys, ==, 0x1000);
    x86_set_a20(cpu, true);
    g_assert_true(walk(0x101234, MMU_LOAD, MMU_KERNEL, &r));
    g_assert_cmphex(r.phys, ==, 0x101000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/x86/mmu/permissions_follow_the_manual", permissions_follow_the_manual);
    g_test_add_func("/x86/mmu/upper_levels_restrict", upper_levels_restrict);
    g_test_add_func("/x86/mmu/accessed_and_dirty_bits", accessed_and_dirty_bits);
    g_test_add_func("/x86/mmu/reserved_bits_fault", reserved_bits_fault);
    g_test_add_func("/x86/mmu/other_addresses_are_not_canonical", other_addresses_are_not_canonical);
    g_test_add_func("/x86/mmu/a_key_shows_in_the_code_whatever_else_forbids", a_key_shows_in_the_code_whatever_else_forbids);
    g_test_add_func("/x86/mmu/five_levels", five_levels);
    g_test_add_func("/x86/mmu/levels_change_outside_of_long_mode_only", levels_change_outside_of_long_mode_only);
    g_test_add_func("/x86/mmu/bases_are_as_wide_as_the_processor_has_them", bases_are_as_wide_as_the_processor_has_them);
    g_test_add_func("/x86/mmu/large_pages", large_pages);
    g_test_add_func("/x86/mmu/legacy_tables", legacy_tables);
    g_test_add_func("/x86/mmu/pae_tables", pae_tables);
    g_test_add_func("/x86/mmu/bad_pdptes_are_refused", bad_pdptes_are_refused);
    g_test_add_func("/x86/mmu/address_line_20", address_line_20);
    return g_test_run();
}
