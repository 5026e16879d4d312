/* What the monitor knows of x86: page tables (Intel SDM 3A, chapter 4) and system registers. */
#include "monitor/internal.h"

#include "target/x86/cpu.h"

#include <inttypes.h>
#include <string.h>

#define CR0_PAGING (1u << 31)
#define CR4_PSE    (1 << 4)
#define CR4_PAE    (1 << 5)
#define EFER_LMA   (1 << 10)
#define PTE_PRESENT 1ULL
#define PTE_WRITE   2ULL
#define PTE_USER    4ULL
#define PTE_LARGE   (1ULL << 7)
#define PTE_NX      (1ULL << 63)
#define RIGHTS      (PTE_WRITE | PTE_USER)
#define MAX_ROWS    20000

bool x86_register(Cpu *cpu, const char *name, uint64_t *value)
{
    static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr" };
    X86State *s = x86_state(cpu);

    if (!g_str_equal(cpu->type->name, "x86")) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        size_t n = strlen(segments[i]);

        if (!strncmp(name, segments[i], n) && g_str_equal(name + n, ".base")) {
            *value = s->seg[i].base;
            return true;
        }
        if (!strncmp(name, segments[i], n) && g_str_equal(name + n, ".limit")) {
            *value = s->seg[i].limit;
            return true;
        }
    }
    if (g_str_equal(name, "cr0")) {
        *value = s->cr0;
    } else if (g_str_equal(name, "cr2")) {
        *value = s->cr2;
    } else if (g_str_equal(name, "cr3")) {
        *value = s->cr3;
    } else if (g_str_equal(name, "cr4")) {
        *value = s->cr4;
    } else if (g_str_equal(name, "efer")) {
        *value = s->efer;
    } else {
        return false;
    }
    return true;
}

typedef struct Walk Walk;
typedef void LeafFn(Walk *walk, VirtAddr addr, uint64_t entry, uint64_t size, uint64_t rights);

struct Walk {
    Hmp *hmp;
    Cpu *cpu;
    LeafFn *leaf;
    unsigned entry_size, bits; /* of a table index */
    bool large_pages;          /* in the second level from below; long mode: also the third */
    unsigned rows;
    VirtAddr start, end;       /* `info mem`: the range that grows */
    uint64_t rights;
};

/* level 0 holds the 4 KiB pages. rights: what the levels above allow. */
static void walk_table(Walk *walk, PhysAddr table, int level, int top, VirtAddr base, uint64_t rights)
{
    unsigned shift = 12 + walk->bits * level;
    unsigned count = walk->entry_size == 8 && top == 2 && level == 2 ? 4 : 1u << walk->bits;

    for (unsigned i = 0; i < count && walk->rows < MAX_ROWS; i++) {
        uint64_t entry = memory_load(walk->cpu->memory, table + i * walk->entry_size, walk->entry_size);
        VirtAddr addr = base | (uint64_t)i << shift;
        bool pae_top = top == 2 && level == 2; /* these four have no rights of their own */
        uint64_t here = pae_top ? rights : rights & entry;

        if (!(entry & PTE_PRESENT)) {
            continue;
        }
        if (top == 3) {
            addr = (int64_t)(addr << 16) >> 16;
        }
        if (level == 0 || (entry & PTE_LARGE && walk->large_pages && level < top && level <= 2)) {
            walk->leaf(walk, addr, entry, 1ULL << shift, here);
        } else {
            walk_table(walk, entry & (walk->entry_size == 8 ? 0xffffffffff000ULL : 0xfffff000ULL),
                       level - 1, top, addr, here);
        }
    }
}

static void walk_all(Walk *walk)
{
    X86State *s = x86_state(walk->cpu);

    if (s->efer & EFER_LMA || s->cr4 & CR4_PAE) {
        bool is_long = s->efer & EFER_LMA;

        walk->entry_size = 8;
        walk->bits = 9;
        walk->large_pages = true;
        walk_table(walk, s->cr3 & (is_long ? 0xffffffffff000ULL : 0xffffffe0), is_long ? 3 : 2,
                   is_long ? 3 : 2, 0, RIGHTS);
    } else {
        walk->entry_size = 4;
        walk->bits = 10;
        walk->large_pages = s->cr4 & CR4_PSE;
        walk_table(walk, s->cr3 & 0xfffff000, 1, 2, 0, RIGHTS);
    }
}

static void put_range(Walk *walk)
{
    if (walk->end > walk->start || (walk->end == 0 && walk->start)) {
        hmp_printf(walk->hmp, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %c%c%c\n", walk->start,
                   walk->end, walk->end - walk->start, walk->rights & PTE_USER ? 'u' : '-', 'r',
                   walk->rights & PTE_WRITE ? 'w' : '-');
        walk->rows++;
    }
}

static void add_to_range(Walk *walk, VirtAddr addr, uint64_t entry, uint64_t size, uint64_t rights)
{
    if (addr != walk->end || rights != walk->rights) {
        put_range(walk);
        walk->start = addr;
        walk->rights = rights;
    }
    walk->end = addr + size;
}

static void put_leaf(Walk *walk, VirtAddr addr, uint64_t entry, uint64_t size, uint64_t rights)
{
    static const char letters[] = "PWUTCADSG"; /* bits 0-8; S: a large page */
    uint64_t phys = entry & (walk->entry_size == 8 ? 0xffffffffff000ULL : 0xfffff000ULL) & -size;
    char flags[11];

    flags[0] = entry & PTE_NX && walk->entry_size == 8 ? 'X' : '-';
    for (int bit = 8; bit >= 0; bit--) {
        flags[9 - bit] = entry >> bit & 1 ? letters[bit] : '-';
    }
    flags[10] = 0;
    hmp_printf(walk->hmp, "%016" PRIx64 ": %016" PRIx64 " %s\n", addr, phys, flags);
    walk->rows++;
}

static void do_walk(Cpu *cpu, void *data)
{
    walk_all(data);
}

static void run_walk(Hmp *hmp, LeafFn *leaf)
{
    Walk walk = { .hmp = hmp, .cpu = hmp_cpu(hmp), .leaf = leaf };

    if (!walk.cpu) {
        return;
    }
    if (!g_str_equal(walk.cpu->type->name, "x86") ||
        !(x86_state(walk.cpu)->cr0 & CR0_PAGING)) {
        hmp_printf(hmp, "PG disabled\n");
        return;
    }
    monitor_on_cpu(walk.cpu, do_walk, &walk);
    if (leaf == add_to_range) {
        put_range(&walk);
    }
    if (walk.rows >= MAX_ROWS) {
        hmp_printf(hmp, "... and more\n");
    }
}

void info_mem(Hmp *hmp, const HmpArgs *args)
{
    run_walk(hmp, add_to_range);
}

void info_tlb(Hmp *hmp, const HmpArgs *args)
{
    run_walk(hmp, put_leaf);
}
