/*
 * AES, SHA-2 and products without carries (Power ISA, book I, 6.11).
 */
#include "vec.h"
#include "vec_ops.h"

#include <glib.h>

static uint8_t sbox[256], inverse_sbox[256];

static uint8_t times(uint8_t a, uint8_t b)
{
    uint8_t r = 0;

    for (; b; b >>= 1) {
        r ^= b & 1 ? a : 0;
        a = a << 1 ^ (a & 0x80 ? 0x1b : 0);
    }
    return r;
}

/* FIPS 197, 5.1.1: the inverse in GF(256), and an affine map. */
static void make_boxes(void)
{
    for (unsigned x = 0; x < 256; x++) {
        uint8_t inverse = x ? 1 : 0, r;

        for (unsigned i = 0; i < 254 && x; i++) {
            inverse = times(inverse, x);
        }
        r = 0x63;
        for (unsigned i = 0; i < 5; i++) {
            r ^= inverse << i | inverse >> (8 - i);
        }
        sbox[x] = r;
        inverse_sbox[r] = x;
    }
}

static void need_boxes(void)
{
    static gsize made;

    if (g_once_init_enter(&made)) {
        make_boxes();
        g_once_init_leave(&made, 1);
    }
}

/* One column, byte by byte; the matrix is a row that rotates. */
static void mix(uint8_t column[4], const uint8_t row[4])
{
    uint8_t r[4] = { 0 };

    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 4; k++) {
            r[i] ^= times(column[k], row[(k - i) & 3]);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        column[i] = r[i];
    }
}

static void load_bytes(uint8_t bytes[16], const PpcVec *v)
{
    for (unsigned i = 0; i < 16; i++) {
        bytes[i] = v->b[BYTE_AT(i)];
    }
}

static void store_bytes(PpcVec *v, const uint8_t bytes[16])
{
    for (unsigned i = 0; i < 16; i++) {
        v->b[BYTE_AT(i)] = bytes[i];
    }
}

static void encrypt(PpcState *s, uint32_t insn, bool last)
{
    static const uint8_t row[4] = { 2, 3, 1, 1 };
    uint8_t in[16], key[16], r[16];

    need_boxes();
    load_bytes(in, vec_a(s, insn));
    load_bytes(key, vec_b(s, insn));
    for (unsigned i = 0; i < 16; i++) {
        r[i] = sbox[in[(i + 4 * (i % 4)) % 16]];
    }
    for (unsigned i = 0; i < 4 && !last; i++) {
        mix(r + 4 * i, row);
    }
    for (unsigned i = 0; i < 16; i++) {
        r[i] ^= key[i];
    }
    store_bytes(vec_t(s, insn), r);
}

static void decrypt(PpcState *s, uint32_t insn, bool last)
{
    static const uint8_t row[4] = { 14, 11, 13, 9 };
    uint8_t in[16], key[16], r[16];

    need_boxes();
    load_bytes(in, vec_a(s, insn));
    load_bytes(key, vec_b(s, insn));
    for (unsigned i = 0; i < 16; i++) {
        r[i] = inverse_sbox[in[(i - 4 * (i % 4)) % 16]] ^ key[i];
    }
    for (unsigned i = 0; i < 4 && !last; i++) {
        mix(r + 4 * i, row);
    }
    store_bytes(vec_t(s, insn), r);
}

void ppc_exec_vcipher(PpcState *s, uint32_t insn) { encrypt(s, insn, false); }
void ppc_exec_vcipherlast(PpcState *s, uint32_t insn) { encrypt(s, insn, true); }
void ppc_exec_vncipher(PpcState *s, uint32_t insn) { decrypt(s, insn, false); }
void ppc_exec_vncipherlast(PpcState *s, uint32_t insn) { decrypt(s, insn, true); }

void ppc_exec_vsbox(PpcState *s, uint32_t insn)
{
    need_boxes();
    for (unsigned i = 0; i < 16; i++) {
        vec_t(s, insn)->b[i] = sbox[vec_a(s, insn)->b[i]];
    }
}

static uint32_t ror32(uint32_t x, unsigned by) { return x >> by | x << (32 - by); }
static uint64_t ror64(uint64_t x, unsigned by) { return x >> by | x << (64 - by); }

/* FIPS 180-4, 4.1.2 and 4.1.3: four functions, chosen by ST and a bit for each element. */
void ppc_exec_vshasigmaw(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t x = vec_a(s, insn)->w[WORD_AT(i)];
        bool one = insn >> 11 & 8 >> i, large = insn & 0x8000;

        vec_t(s, insn)->w[WORD_AT(i)] = large ? (one ? ror32(x, 6) ^ ror32(x, 11) ^ ror32(x, 25)
                                                     : ror32(x, 2) ^ ror32(x, 13) ^ ror32(x, 22))
                                              : (one ? ror32(x, 17) ^ ror32(x, 19) ^ x >> 10
                                                     : ror32(x, 7) ^ ror32(x, 18) ^ x >> 3);
    }
}

void ppc_exec_vshasigmad(PpcState *s, uint32_t insn)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t x = vec_a(s, insn)->d[i];
        bool one = insn >> 11 & 8 >> 2 * i, large = insn & 0x8000;

        vec_t(s, insn)->d[i] = large ? (one ? ror64(x, 14) ^ ror64(x, 18) ^ ror64(x, 41)
                                            : ror64(x, 28) ^ ror64(x, 34) ^ ror64(x, 39))
                                     : (one ? ror64(x, 19) ^ ror64(x, 61) ^ x >> 6
                                            : ror64(x, 1) ^ ror64(x, 8) ^ x >> 7);
    }
}

static U128 carryless(uint64_t a, uint64_t b)
{
    U128 r = 0;

    for (unsigned i = 0; b; i++, b >>= 1) {
        r ^= b & 1 ? (U128)a << i : 0;
    }
    return r;
}

#define PRODUCT_SUM(name, from, to, count)                                                        \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                                              \
    {                                                                                             \
        const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);                                    \
        PpcVec r;                                                                                 \
                                                                                                  \
        for (unsigned i = 0; i < count; i++) {                                                    \
            r.to[i] = carryless(a->from[2 * i], b->from[2 * i]) ^                                 \
                      carryless(a->from[2 * i + 1], b->from[2 * i + 1]);                          \
        }                                                                                         \
        *vec_t(s, insn) = r;                                                                      \
    }
PRODUCT_SUM(vpmsumb, b, h, 8)
PRODUCT_SUM(vpmsumh, h, w, 4)
PRODUCT_SUM(vpmsumw, w, d, 2)

void ppc_exec_vpmsumd(PpcState *s, uint32_t insn)
{
    const PpcVec *a = vec_a(s, insn), *b = vec_b(s, insn);

    vec_set_u128(vec_t(s, insn), carryless(a->d[0], b->d[0]) ^ carryless(a->d[1], b->d[1]));
}
