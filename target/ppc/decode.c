/* From an instruction word to its row. */
#include "target/ppc/insns.h"

const PpcTable ppc_tables[] = {
    { ppc_rows_integer }, { ppc_rows_cr }, { ppc_rows_logic }, { ppc_rows_branch }, { ppc_rows_memory }, { ppc_rows_system }, { ppc_rows_booke }, { ppc_rows_spe }, { ppc_rows_cache },
    { ppc_rows_fp }, { ppc_rows_altivec }, { ppc_rows_vsx }, { ppc_rows_dfp }, { ppc_rows_fp_memory },
    { ppc_rows_mma }, { ppc_rows_vsx_prefixed },
    { NULL },
};

/* Rows by primary opcode and the six bits before the last one, which most extended opcodes differ in; prefixed
 * instructions have an index of their own by the suffix. */
enum { BUCKETS = 64 * 64 };

/* Of a row what tells whether it is a word's, side by side with the others of its bucket. */
typedef struct Candidate {
    uint32_t match, mask;
    uint64_t isa;
    const PpcRow *row;
} Candidate;
static GArray *buckets[2][BUCKETS];

static unsigned bucket_of(uint32_t word)
{
    return word >> 26 << 6 | (word >> 1 & 63);
}

static void add_row(const PpcRow *row)
{
    Candidate candidate = { row->match, row->mask, row->isa == ISA_ALL ? UINT64_MAX : row->isa, row };
    bool prefixed = row->attr & A_PREFIXED;

    for (unsigned low = 0; low < 64; low++) {
        uint32_t word = (row->match & 0xfc000000) | low << 1;

        for (unsigned op = row->mask >> 26 == 63 ? row->match >> 26 : 0; op < 64; op++) {
            uint32_t at = (word & 0x03ffffff) | op << 26;
            GArray **bucket = &buckets[prefixed][bucket_of(at)];

            if (!((at ^ row->match) & row->mask & 0xfc00007e)) {
                *bucket = *bucket ? *bucket : g_array_new(FALSE, FALSE, sizeof(Candidate));
                g_array_append_val(*bucket, candidate);
            }
            if (row->mask >> 26 == 63) {
                break;
            }
        }
    }
}

static void make_index(void)
{
    for (const PpcTable *table = ppc_tables; table->rows; table++) {
        for (const PpcRow *row = table->rows; row->name; row++) {
            add_row(row);
        }
    }
}

const PpcRow *ppc_decode(uint64_t isa, uint32_t prefix, uint32_t word)
{
    static gsize made;
    const GArray *bucket;

    if (g_once_init_enter(&made)) {
        make_index();
        g_once_init_leave(&made, 1);
    }
    bucket = buckets[prefix != 0][bucket_of(word)];
    for (guint i = 0; bucket && i < bucket->len; i++) {
        const Candidate *c = &g_array_index(bucket, Candidate, i);

        if ((word & c->mask) == c->match && (c->isa & isa) &&
            (!prefix || (prefix & c->row->prefix_mask) == c->row->prefix_match)) {
            return c->row;
        }
    }
    return NULL;
}
