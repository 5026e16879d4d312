/*
 * System management mode: the state that an SMI saves in SMRAM, the mode's first state, RSM.
 *
 * SDM vol. 3, chapter 32; APM vol. 2, chapter 10. Processors with long mode use the AMD64 layout of the save area, Intel's
 * models too: firmware for emulators takes it for granted. Others have the layout of the P6 family, whose hidden part (here
 * from 7F08h to 7F9Fh) is each processor's own.
 */
#include "target/x86/smm.h"

#include "core/machine.h"
#include "util/bits.h"

#include <string.h>

enum { ENTRY = 0x8000, SAVE_AT = 0xfe00, SAVE_SIZE = 0x200, RELOCATABLE = 1 << 17 };
#define REVISION_32 (RELOCATABLE)
#define REVISION_64 (RELOCATABLE | 0x64)

/* Offsets within the save area, FE00h of SMBASE being 0. */
enum {
    A64_SEGMENTS = 0x00, A64_GDTR = 0x60, A64_LDTR = 0x70, A64_IDTR = 0x80, A64_TR = 0x90, A64_IO_RIP = 0xa0, A64_IO_RCX = 0xa8,
    A64_IO_RSI = 0xb0, A64_IO_RDI = 0xb8, A64_IO_TRAP = 0xc0, A64_IO_RESTART = 0xc8, A64_HALT_RESTART = 0xc9, A64_EFER = 0xd0,
    A64_SVM_GUEST = 0xd8, A64_SVM_VMCB = 0xe0, A64_CR4 = 0x148, A64_CR3 = 0x150, A64_CR0 = 0x158, A64_DR7 = 0x160, A64_DR6 = 0x168,
    A64_RFLAGS = 0x170, A64_RIP = 0x178, A64_GPR_LAST = 0x1f8,
};
enum { REVISION = 0xfc, BASE_64 = 0x100, BASE_32 = 0xf8 };
enum {
    P6_IO_RESTART = 0x100, P6_HALT_RESTART = 0x102, P6_HIDDEN_SEGMENTS = 0x108, P6_GDTR = 0x168, P6_IDTR = 0x170, P6_CR4 = 0x178,
    P6_IO_MEMORY = 0x1a0, P6_IO_STATE = 0x1a4, P6_SELECTORS = 0x1a8, P6_DR7 = 0x1c8, P6_DR6 = 0x1cc, P6_GPR = 0x1d0,
    P6_EIP = 0x1f0, P6_EFLAGS = 0x1f4, P6_CR3 = 0x1f8, P6_CR0 = 0x1fc,
};

void x86_smm_choose_memory(X86State *s)
{
    Cpu *cpu = s->hot.cpu;

    cpu->memory = s->in_smm && cpu->smm_memory ? cpu->smm_memory : memory_system();
    memset(s->table_ram, 0, sizeof(s->table_ram));
}

void x86_smm_note_output(X86State *s, uint32_t port, unsigned size, uint64_t next_pc, unsigned length)
{
    s->smm_io_port = port;
    s->smm_io_size = size;
    s->smm_io_next = next_pc;
    s->smm_io_pc = next_pc - length;
    s->smm_io_valid = true;
}

/* ---- the save area ---- */

/* APM vol. 2, table 10-2: bit 0 says that there was one, 1 the direction, 4 to 6 the size. */
static uint32_t io_trap_64(const X86State *s)
{
    return s->smm_io_valid ? 1 | (s->smm_io_size & 7) << 4 | (uint32_t)s->smm_io_port << 16 : 0;
}

static void save_64(const X86State *s, uint8_t *m, bool halted)
{
    for (int i = 0; i < 6; i++) {
        seg_store_image(m + A64_SEGMENTS + 16 * i, &s->seg[i]);
    }
    seg_store_image(m + A64_LDTR, &s->seg[S_LDTR]);
    seg_store_image(m + A64_TR, &s->seg[S_TR]);
    store_le32(m + A64_GDTR + 4, s->gdtr.limit);
    store_le64(m + A64_GDTR + 8, s->gdtr.base);
    store_le32(m + A64_IDTR + 4, s->idtr.limit);
    store_le64(m + A64_IDTR + 8, s->idtr.base);
    store_le64(m + A64_IO_RIP, s->smm_io_pc);
    store_le64(m + A64_IO_RCX, s->reg[R_CX]);
    store_le64(m + A64_IO_RSI, s->reg[R_SI]);
    store_le64(m + A64_IO_RDI, s->reg[R_DI]);
    store_le32(m + A64_IO_TRAP, io_trap_64(s));
    m[A64_HALT_RESTART] = halted;
    store_le64(m + A64_EFER, s->efer);
    store_le64(m + A64_SVM_GUEST, s->smm_guest);
    store_le64(m + A64_SVM_VMCB, s->smm_guest ? s->svm.vmcb : 0);
    store_le32(m + REVISION, REVISION_64);
    store_le32(m + BASE_64, s->smbase);
    store_le64(m + A64_CR4, s->cr4);
    store_le64(m + A64_CR3, s->cr3);
    store_le64(m + A64_CR0, s->cr0);
    store_le64(m + A64_DR7, s->dr[7]);
    store_le64(m + A64_DR6, s->dr[6]);
    store_le64(m + A64_RFLAGS, x86_eflags(s));
    store_le64(m + A64_RIP, s->pc);
    for (int i = 0; i < 16; i++) {
        store_le64(m + A64_GPR_LAST - 8 * i, s->reg[i]);
    }
}

/* SDM vol. 3, table 32-5: size, string, direction, and the port. */
static uint32_t io_state_32(const X86State *s)
{
    return s->smm_io_valid ? 1 | (s->smm_io_size & 7) << 1 | (uint32_t)s->smm_io_port << 16 : 0;
}

/* Registers are in the order of their numbers, from EAX at 7FD0h on; selectors in that of segment numbers. */
static void save_32(const X86State *s, uint8_t *m, bool halted)
{
    for (int i = 0; i < S_COUNT; i++) {
        uint8_t *hidden = m + P6_HIDDEN_SEGMENTS + 12 * i;

        store_le32(m + P6_SELECTORS + 4 * i, s->seg[i].selector);
        store_le32(hidden, s->seg[i].base);
        store_le32(hidden + 4, s->seg[i].limit);
        store_le32(hidden + 8, s->seg[i].attr);
    }
    store_le32(m + P6_GDTR, s->gdtr.base);
    store_le32(m + P6_GDTR + 4, s->gdtr.limit);
    store_le32(m + P6_IDTR, s->idtr.base);
    store_le32(m + P6_IDTR + 4, s->idtr.limit);
    store_le32(m + P6_CR4, s->cr4);
    store_le16(m + P6_HALT_RESTART, halted);
    store_le32(m + REVISION, REVISION_32);
    store_le32(m + BASE_32, s->smbase);
    store_le32(m + P6_IO_STATE, io_state_32(s));
    store_le32(m + P6_DR7, s->dr[7]);
    store_le32(m + P6_DR6, s->dr[6]);
    for (int i = 0; i < 8; i++) {
        store_le32(m + P6_GPR + 4 * i, s->reg[i]);
    }
    store_le32(m + P6_EIP, s->pc);
    store_le32(m + P6_EFLAGS, x86_eflags(s));
    store_le32(m + P6_CR3, s->cr3);
    store_le32(m + P6_CR0, s->cr0);
}

/* What RSM brings back, before it is checked. */
typedef struct Saved {
    uint64_t reg[16], pc, cr0, cr3, cr4, efer, dr6, dr7;
    uint32_t eflags, smbase;
    X86Segment seg[S_COUNT];
    uint64_t gdt_base, idt_base;
    uint32_t gdt_limit, idt_limit;
    bool halted, io_restart;
    uint64_t io_pc, io_cx, io_si, io_di;
} Saved;

static void load_64(const uint8_t *m, Saved *v)
{
    for (int i = 0; i < 6; i++) {
        seg_load_image(m + A64_SEGMENTS + 16 * i, &v->seg[i]);
    }
    seg_load_image(m + A64_LDTR, &v->seg[S_LDTR]);
    seg_load_image(m + A64_TR, &v->seg[S_TR]);
    v->gdt_limit = load_le32(m + A64_GDTR + 4) & 0xffff;
    v->gdt_base = load_le64(m + A64_GDTR + 8);
    v->idt_limit = load_le32(m + A64_IDTR + 4) & 0xffff;
    v->idt_base = load_le64(m + A64_IDTR + 8);
    v->io_restart = m[A64_IO_RESTART] == 0xff;
    v->halted = m[A64_HALT_RESTART] & 1;
    v->io_pc = load_le64(m + A64_IO_RIP);
    v->io_cx = load_le64(m + A64_IO_RCX);
    v->io_si = load_le64(m + A64_IO_RSI);
    v->io_di = load_le64(m + A64_IO_RDI);
    v->efer = load_le64(m + A64_EFER);
    v->smbase = load_le32(m + BASE_64);
    v->cr4 = load_le64(m + A64_CR4);
    v->cr3 = load_le64(m + A64_CR3);
    v->cr0 = load_le64(m + A64_CR0);
    v->dr7 = load_le64(m + A64_DR7);
    v->dr6 = load_le64(m + A64_DR6);
    v->eflags = load_le64(m + A64_RFLAGS);
    v->pc = load_le64(m + A64_RIP);
    for (int i = 0; i < 16; i++) {
        v->reg[i] = load_le64(m + A64_GPR_LAST - 8 * i);
    }
}

static void load_32(const X86State *s, const uint8_t *m, Saved *v)
{
    for (int i = 0; i < S_COUNT; i++) {
        const uint8_t *hidden = m + P6_HIDDEN_SEGMENTS + 12 * i;

        v->seg[i] = (X86Segment){
            .selector = load_le16(m + P6_SELECTORS + 4 * i), .base = load_le32(hidden), .limit = load_le32(hidden + 4),
            .attr = load_le32(hidden + 8) & 0xfff,
        };
    }
    v->gdt_base = load_le32(m + P6_GDTR);
    v->gdt_limit = load_le32(m + P6_GDTR + 4) & 0xffff;
    v->idt_base = load_le32(m + P6_IDTR);
    v->idt_limit = load_le32(m + P6_IDTR + 4) & 0xffff;
    v->cr4 = load_le32(m + P6_CR4);
    v->io_restart = load_le16(m + P6_IO_RESTART) == 0xff;
    v->halted = load_le16(m + P6_HALT_RESTART) & 1;
    v->io_pc = s->smm_io_pc;
    v->efer = s->smm_efer;
    v->smbase = load_le32(m + BASE_32);
    v->dr7 = load_le32(m + P6_DR7);
    v->dr6 = load_le32(m + P6_DR6);
    for (int i = 0; i < 8; i++) {
        v->reg[i] = load_le32(m + P6_GPR + 4 * i);
    }
    v->io_cx = v->reg[R_CX];
    v->io_si = v->reg[R_SI];
    v->io_di = v->reg[R_DI];
    v->pc = load_le32(m + P6_EIP);
    v->eflags = load_le32(m + P6_EFLAGS);
    v->cr3 = load_le32(m + P6_CR3);
    v->cr0 = load_le32(m + P6_CR0);
}

/* ---- entry ---- */

static void changed(X86State *s)
{
    x86_smm_choose_memory(s);
    s->published_mmu = UINT32_MAX;
    x86_update_watches(s);
    if (engine.flush_all) {
        engine.flush_all(s->hot.cpu);
    }
    x86_update_mode(s);
}

static void set_flat_real(X86State *s, int seg, uint16_t selector, uint64_t base)
{
    s->seg[seg] = (X86Segment){ .base = base, .limit = UINT32_MAX, .selector = selector, .attr = SEG_P | SEG_S | SEG_G | 3 };
}

/* Between instructions; SMIs and NMIs stay away until RSM. */
void x86_smm_enter(X86State *s)
{
    Cpu *cpu = s->hot.cpu;
    uint8_t area[SAVE_SIZE] = { 0 };
    bool halted = cpu->halted || cpu->woken;

    x86_log(s, LOG_INT, "cpu %d: SMI at %04x:%016" PRIx64 "\n", cpu->index, s->seg[S_CS].selector, s->pc);
    tcg_fp_sync(s);
    s->smm_io_valid = s->smm_io_valid && s->pc == s->smm_io_next;
    s->smm_guest = s->svm.guest;
    s->smm_nmi_blocked = s->nmi_blocked;
    s->smm_efer = s->efer;
    if (x86_has(s, FEAT_lm)) {
        save_64(s, area, halted);
    } else {
        save_32(s, area, halted);
    }
    s->in_smm = s->nmi_blocked = true;
    s->svm.guest = false;
    x86_smm_choose_memory(s);
    memory_write(cpu->memory, s->smbase + SAVE_AT, area, sizeof(area));

    cpu->halted = false;
    s->cr0 &= ~(uint64_t)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    s->cr4 = 0;
    x86_tsc_rules_changed(s);
    x86_forget_calls(s);
    s->efer = 0;
    s->cpl = 0;
    s->dr[7] = 0x400;
    x86_set_eflags(s, 2, UINT32_MAX);
    s->pc = ENTRY;
    s->idtr.base = s->idtr.limit = 0;
    for (int i = 0; i < 6; i++) {
        set_flat_real(s, i, 0, 0);
    }
    set_flat_real(s, S_CS, s->smbase >> 4, s->smbase);
    changed(s);
}

/* ---- RSM ---- */

static bool is_valid(const X86State *s, const Saved *v)
{
    if (((v->cr0 & CR0_PG) && !(v->cr0 & CR0_PE)) || ((v->cr0 & CR0_NW) && !(v->cr0 & CR0_CD)) || v->cr0 >> 32) {
        return false;
    }
    if ((v->cr4 & ~x86_allowed_cr4(s)) || (v->efer & ~(x86_allowed_efer(s) | EFER_LMA))) {
        return false;
    }
    return !(v->efer & EFER_LME) || !(v->cr0 & CR0_PG) || (v->cr4 & CR4_PAE);
}

static void restore(X86State *s, const Saved *v)
{
    bool paging = v->cr0 & CR0_PG;

    memcpy(s->reg, v->reg, sizeof(s->reg));
    memcpy(s->seg, v->seg, sizeof(s->seg));
    s->gdtr.base = v->gdt_base;
    s->gdtr.limit = v->gdt_limit;
    s->idtr.base = v->idt_base;
    s->idtr.limit = v->idt_limit;
    s->cr0 = v->cr0 | CR0_ET;
    s->cr3 = v->cr3 & X86_PHYS_MASK;
    s->cr4 = v->cr4;
    x86_tsc_rules_changed(s);
    x86_forget_calls(s);
    s->efer = (v->efer & ~(uint64_t)EFER_LMA) | ((v->efer & EFER_LME) && paging ? EFER_LMA : 0);
    s->dr[6] = (uint32_t)v->dr6;
    s->dr[7] = (uint32_t)v->dr7 | 0x400;
    x86_set_eflags(s, v->eflags | 2, UINT32_MAX);
    s->cpl = !(s->cr0 & CR0_PE) ? 0 : s->eflags & EFL_VM ? 3 : s->seg[S_SS].attr >> SEG_DPL_SHIFT & 3;
    s->pc = v->pc;
    s->smbase = v->smbase;
    if (v->io_restart && s->smm_io_valid) {
        s->pc = v->io_pc;
        s->reg[R_CX] = v->io_cx;
        s->reg[R_SI] = v->io_si;
        s->reg[R_DI] = v->io_di;
    }
}

static void shut_down(X86State *s)
{
    x86_log(s, LOG_INT | LOG_CPU_RESET, "cpu %d: RSM finds a state that cannot be\n", s->hot.cpu->index);
    s->shut_down = true;
    s->hot.cpu->halted = true;
    machine_request_reset(SHUTDOWN_GUEST);
}

uint64_t helper_rsm(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    Cpu *cpu = s->hot.cpu;
    uintptr_t ra = tcg_caller_pc(s);
    uint8_t area[SAVE_SIZE];
    Saved v = { 0 };

    if (!s->in_smm) {
        x86_raise(s, EXC_UD, ra);
    }
    tcg_fp_sync(s);
    memory_read(cpu->memory, s->smbase + SAVE_AT, area, sizeof(area));
    if (x86_has(s, FEAT_lm)) {
        load_64(area, &v);
    } else {
        load_32(s, area, &v);
    }
    if (!is_valid(s, &v)) {
        shut_down(s);
        return 0;
    }
    s->in_smm = false;
    s->nmi_blocked = s->smm_nmi_blocked;
    s->svm.guest = s->smm_guest;
    x86_smm_choose_memory(s);
    restore(s, &v);
    s->smm_io_valid = false;
    if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !is_long(s) && !(s->svm.guest && s->svm.nested_paging) &&
        !x86_read_pdptes(s, s->cr3, s->pdpte)) {
        shut_down(s);
        return 0;
    }
    cpu->halted = v.halted;
    changed(s);
    x86_log(s, LOG_INT, "cpu %d: RSM to %04x:%016" PRIx64 "\n", cpu->index, s->seg[S_CS].selector, s->pc);
    return 0;
}
