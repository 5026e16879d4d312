/* The decoder's rows, and which of them the host cannot be asked about. */
#include "rows.h"

#include "guest.h"

static GArray *list;

typedef struct Excuse {
    X86Emit *emit;
    const char *why;
} Excuse;

static const char OTHER_KERNEL[] = "would enter the host's kernel";
static const char DESCRIPTORS[] = "reads the host's descriptor tables (tests/target/x86)";
static const char DELIVERED[] = "goes through the IDT (tests/target/x86)";
static const char EACH_ITS_OWN[] = "each machine has its own result";

static const char *general_excuse(const X86Row *row)
{
    static const Excuse excuses[] = {
        {x86_emit_int, OTHER_KERNEL}, {x86_emit_syscall, OTHER_KERNEL}, {x86_emit_sysenter, OTHER_KERNEL},
        {x86_emit_int3, DELIVERED}, {x86_emit_into, DELIVERED}, {x86_emit_int1, DELIVERED},
        {x86_emit_iret, DESCRIPTORS}, {x86_emit_ret_far, DESCRIPTORS}, {x86_emit_call_far, DESCRIPTORS},
        {x86_emit_call_far_m, DESCRIPTORS}, {x86_emit_jmp_far, DESCRIPTORS}, {x86_emit_jmp_far_m, DESCRIPTORS},
        {x86_emit_load_far, DESCRIPTORS}, {x86_emit_mov_to_seg, DESCRIPTORS}, {x86_emit_pop_seg, DESCRIPTORS},
        {x86_emit_lar, DESCRIPTORS}, {x86_emit_grp6, DESCRIPTORS}, {x86_emit_grp7, DESCRIPTORS},
        {x86_emit_cpuid, EACH_ITS_OWN}, {x86_emit_rdtsc, EACH_ITS_OWN}, {x86_emit_rdpmc, EACH_ITS_OWN},
        {x86_emit_grp9, EACH_ITS_OWN},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(excuses); i++) {
        if (row->emit == excuses[i].emit) {
            return excuses[i].why;
        }
    }
    return NULL;
}

static bool is_prefix(unsigned opcode)
{
    return opcode == 0x26 || opcode == 0x2e || opcode == 0x36 || opcode == 0x3e || (opcode >= 0x64 && opcode <= 0x67) ||
           opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3;
}

static Row *add(unsigned map, unsigned opcode, unsigned prefix, int digit)
{
    Row row = {.map = map, .opcode = opcode, .prefix = prefix, .digit = digit};

    g_array_append_val(list, row);
    return &g_array_index(list, Row, list->len - 1);
}

static bool has_modrm(const X86Row *row)
{
    bool found = row->attr & A_MODRM;

    for (unsigned i = 0; i < 3; i++) {
        found |= row->operand[i] >= O_Eb && row->operand[i] <= O_Sw;
    }
    return found;
}

static void add_general(unsigned map, unsigned opcode, unsigned prefix, int digit, const X86Row *general, unsigned attr, bool is_vex)
{
    Row *row = add(map, opcode, prefix, digit);

    row->general = general;
    row->attr = general->attr | attr;
    row->has_modrm = digit >= 0 || has_modrm(general);
    row->is_vex = is_vex;
    row->undefined = !general->emit || general->emit == x86_emit_ud;
    row->excused = general->emit ? general_excuse(general) : NULL;
}

static void add_fp(unsigned map, unsigned opcode)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};

    for (unsigned i = 0; i < 4; i++) {
        const FpRow *fp = x86_fp_row(map, prefixes[i], opcode);
        unsigned digits = fp && fp->digits ? fp->digits : 1;

        for (unsigned digit = 0; digit < 8; digit++) {
            if (digits >> digit & 1) {
                Row *row = add(map, opcode, prefixes[i], fp && fp->digits ? (int)digit : -1);

                row->fp = fp;
                row->has_modrm = !fp || fp->rm != FP_NONE;
                row->undefined = !fp;
            }
        }
    }
}

static void add_map(unsigned map, const X86Row rows[256])
{
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        const X86Row *general = &rows[opcode];
        bool is_fp = general->emit == x86_emit_fp;

        if (map == MAP_ONE && (is_prefix(opcode) || opcode == 0x0f)) {
            continue;
        }
        if (map == MAP_0F && (opcode == 0x38 || opcode == 0x3a)) {
            continue;
        }
        if (map == MAP_ONE && opcode >= 0xd8 && opcode <= 0xdf) {
            for (unsigned digit = 0; digit < 8; digit++) {
                Row *row = add(map, opcode, PREFIX_ANY, digit);

                row->x87 = row->has_modrm = true;
            }
        } else if (map == MAP_ONE && is_fp) {
            add(map, opcode, PREFIX_ANY, -1)->x87 = true; /* fwait */
        } else if (is_fp) {
            add_fp(map, opcode);
        } else if (general->group) {
            for (unsigned digit = 0; digit < 8; digit++) {
                add_general(map, opcode, PREFIX_ANY, digit, &general->group[digit], general->attr, false);
            }
        } else {
            add_general(map, opcode, PREFIX_ANY, -1, general, 0, false);
        }
    }
}

static void add_maps_38_3a(void)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};

    for (unsigned opcode = 0; opcode < 256; opcode++) {
        const X86Row *seen[4];
        bool is_fp = false;

        for (unsigned i = 0; i < 4; i++) {
            X86Insn in = {.map = MAP_0F38, .opcode = opcode, .opsize = prefixes[i] == 0x66, 
                          .rep = prefixes[i] >= 0xf2 ? prefixes[i] : 0};

            seen[i] = x86_row_0f38(&in);
            is_fp |= seen[i]->emit == x86_emit_fp;
        }
        if (is_fp) {
            add_fp(MAP_0F38, opcode);
        }
        for (unsigned i = 0; i < 4; i++) {
            if (seen[i]->emit != x86_emit_fp) {
                add_general(MAP_0F38, opcode, prefixes[i], -1, seen[i], 0, false);
            }
        }
        add_fp(MAP_0F3A, opcode);
    }
}

static void add_vex(void)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};

    for (unsigned map = MAP_0F; map <= MAP_0F3A; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            for (unsigned i = 0; i < 4; i++) {
                X86Insn in = {.map = map, .opcode = opcode, .vex = 1, .vex_pp = prefixes[i]};
                const X86Row *general = x86_row_vex(&in);

                if (general->emit != x86_emit_fp) {
                    if (general->emit == x86_emit_bls) {
                        for (unsigned digit = 0; digit < 8; digit++) {
                            add_general(map, opcode, prefixes[i], digit, general, 0, true);
                        }
                    } else {
                        add_general(map, opcode, prefixes[i], -1, general, 0, true);
                    }
                }
            }
        }
    }
    for (unsigned i = 0; i < x86_vex_row_count; i++) {
        const VexRow *vex = &x86_vex_rows[i];
        unsigned digits = vex->digits ? vex->digits : vex->flags & FPF_MXCSR ? 0x0c : 1;

        for (unsigned digit = 0; digit < 8; digit++) {
            if (digits >> digit & 1) {
                Row *row = add(vex->map, vex->opcode, vex->prefix, digits == 1 ? -1 : (int)digit);

                row->vex = vex;
                row->is_vex = true;
                row->has_modrm = vex->rm != FP_NONE;
            }
        }
    }
}

/* What newer processors made of opcodes that are undefined here. */
static bool newer(const Row *row)
{
    if (row->map == MAP_ONE && (row->opcode == 0xc6 || row->opcode == 0xc7)) {
        return row->digit == 7; /* XABORT, XBEGIN */
    }
    return row->map == MAP_ONE && row->opcode == 0x62; /* BOUND; EVEX with a register operand and in 64-bit code */
}

/* FXSAVE, XSAVE, XRSTOR, XSAVEOPT, FNSTENV, FNSAVE: instruction pointers and components that each processor has its own
 * of; test-fp-state knows them. */
static bool stores_pointers(const Row *row)
{
    if (row->x87) {
        return row->digit == 6 && (row->opcode == 0xd9 || row->opcode == 0xdd);
    }
    if (row->map == MAP_0F && row->opcode == 0xc7) {
        return row->digit == 4;
    }
    return row->map == MAP_0F && row->opcode == 0xae && !row->is_vex && (row->digit == 0 || (row->digit >= 4 && row->digit <= 6));
}

Row *rows_list(unsigned *count)
{
    X86State *s = guest_state();

    list = g_array_new(FALSE, TRUE, sizeof(Row));
    add_map(MAP_ONE, x86_rows_one);
    add_map(MAP_0F, x86_rows_0f);
    add_maps_38_3a();
    add_vex();
    for (unsigned i = 0; i < list->len; i++) {
        Row *row = &g_array_index(list, Row, i);

        if (newer(row)) {
            row->excused = "newer hosts have EVEX or RTM there";
        }
        if (stores_pointers(row)) {
            row->registers_only = true;
            if (row->opcode == 0xdd || row->digit == 4) { /* no register form */
                row->excused = "stores pointers of each one's own (test-fp-state)";
            }
        }
        if ((row->fp && !x86_has(s, row->fp->feature)) || (row->vex && !x86_has(s, row->vex->feature))) {
            row->excused = "the host does not have it";
        }
    }
    *count = list->len;
    return (Row *)list->data;
}

bool row_is_fp(const Row *row)
{
    return (row->general && row->general->emit == x86_emit_grp15) || row->fp || row->vex || row->x87 || (row->undefined && !row->general);
}

/* Outside of ring 0: ports, the interrupt flag, control registers. And forms that do not exist. */
static bool always_faults(const Row *row)
{
    static X86Emit *const emitters[] = {
        x86_emit_in, x86_emit_out, x86_emit_cli, x86_emit_sti, x86_emit_mov_cr, x86_emit_mov_dr, x86_emit_sysret,
    };
    X86Emit *emit = row->general ? row->general->emit : NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(emitters); i++) {
        if (emit == emitters[i]) {
            return true;
        }
    }
    if (emit == x86_emit_string && (row->general->op == STRING_INS || row->general->op == STRING_OUTS)) {
        return true;
    }
    if (row->map == MAP_0F && row->opcode == 0xc7 && (row->digit == 3 || row->digit == 5)) {
        return true; /* XRSTORS, XSAVES */
    }
    return emit == x86_emit_bls && (row->digit == 0 || row->digit > 3);
}

bool row_exists(const Row *row, OracleMode mode)
{
    if (row->excused || row->undefined || row->attr & A_CPL0 || always_faults(row)) {
        return false;
    }
    return !(row->attr & (mode == ORACLE_64 ? A_I64 : A_O64));
}

char *row_name(const Row *row)
{
    static const char *const maps[] = {"", "0f ", "0f38 ", "0f3a "};
    GString *name = g_string_new(row->is_vex ? "vex " : "");

    if (row->prefix != PREFIX_ANY && row->prefix) {
        g_string_append_printf(name, "%02x ", row->prefix);
    }
    g_string_append_printf(name, "%s%02x", maps[row->map], row->opcode);
    if (row->digit >= 0) {
        g_string_append_printf(name, " /%d", row->digit);
    }
    if (row->vex) {
        g_string_append_printf(name, " w%c", row->vex->w == VEX_W_0 ? '0' : row->vex->w == VEX_W_1 ? '1' : '*');
    }
    return g_string_free(name, FALSE);
}
