/* The SHA instructions: digests that programs of them make, against GLib's. */
#include "fp-machine.h"

#include "target/x86/system.h"
#include "util/bits.h"

enum { BLOCK = 64, MOST = 300 };

static FpEngine how;
static FpContext context;

/* Registers hold word 0 in bits 31:0. */
static void put(unsigned reg, uint32_t w3, uint32_t w2, uint32_t w1, uint32_t w0)
{
    memcpy(context.fx.xmm[reg], (uint32_t[]){w0, w1, w2, w3}, 16);
}

static uint32_t get(unsigned reg, unsigned word)
{
    uint32_t words[4];

    memcpy(words, context.fx.xmm[reg], 16);
    return words[word];
}

/* op xmm1, xmm2; every other time from memory. */
static void op(uint8_t map, uint8_t opcode, uint8_t imm)
{
    static unsigned times;
    bool memory = times++ & 1;
    const uint8_t code[] = {0x0f, map, opcode, memory ? 0x0b : 0xca, imm};
    uint8_t b[16];

    if (memory) {
        memcpy(context.data, context.fx.xmm[2], 16);
        memcpy(b, context.fx.xmm[2], 16);
        memset(context.fx.xmm[2], 0x55, 16);
        context.gpr[R_BX] = fpm_data_address();
    }
    fpm_run_translated(how, &context, code, map == 0x3a ? 5 : 4);
    g_assert_cmpint(context.vector, ==, -1);
    if (memory) {
        memcpy(context.fx.xmm[2], b, 16);
    }
}

/* Four more words of the schedule by SHA1MSG1, PXOR and SHA1MSG2. */
static void sha1_schedule(uint32_t w[80], unsigned t)
{
    put(1, w[t - 16], w[t - 15], w[t - 14], w[t - 13]);
    put(2, w[t - 12], w[t - 11], w[t - 10], w[t - 9]);
    op(0x38, 0xc9, 0);
    put(1, get(1, 3) ^ w[t - 8], get(1, 2) ^ w[t - 7], get(1, 1) ^ w[t - 6], get(1, 0) ^ w[t - 5]);
    put(2, w[t - 4], w[t - 3], w[t - 2], w[t - 1]);
    op(0x38, 0xca, 0);
    for (unsigned i = 0; i < 4; i++) {
        w[t + i] = get(1, 3 - i);
    }
}

static void sha1_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80], s[4] = {h[0], h[1], h[2], h[3]}, before[4] = {0};

    for (unsigned i = 0; i < 16; i++) {
        w[i] = load_be32(block + 4 * i);
    }
    for (unsigned t = 16; t < 80; t += 4) {
        sha1_schedule(w, t);
    }
    for (unsigned t = 0; t <= 80; t += 4) {
        uint32_t next[4] = {0};

        if (t < 80) {
            memcpy(next, w + t, 16);
        } else {
            next[0] = h[4]; /* the last E comes of SHA1NEXTE too */
        }
        if (t == 0) {
            next[0] += h[4];
        } else {
            put(1, before[0], 0, 0, 0);
            put(2, next[0], next[1], next[2], next[3]);
            op(0x38, 0xc8, 0);
            for (unsigned i = 0; i < 4; i++) {
                next[i] = get(1, 3 - i);
            }
        }
        if (t == 80) {
            h[4] = next[0];
            break;
        }
        memcpy(before, s, sizeof(before));
        put(1, s[0], s[1], s[2], s[3]);
        put(2, next[0], next[1], next[2], next[3]);
        op(0x3a, 0xcc, t / 20);
        for (unsigned i = 0; i < 4; i++) {
            s[i] = get(1, 3 - i);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        h[i] += s[i];
    }
}

static void sha256_schedule(uint32_t w[64], unsigned t)
{
    put(1, w[t - 13], w[t - 14], w[t - 15], w[t - 16]);
    put(2, w[t - 9], w[t - 10], w[t - 11], w[t - 12]);
    op(0x38, 0xcc, 0);
    put(1, get(1, 3) + w[t - 4], get(1, 2) + w[t - 5], get(1, 1) + w[t - 6], get(1, 0) + w[t - 7]);
    put(2, w[t - 1], w[t - 2], w[t - 3], w[t - 4]);
    op(0x38, 0xcd, 0);
    for (unsigned i = 0; i < 4; i++) {
        w[t + i] = get(1, i);
    }
}

/* FIPS 180-4, 4.2.2: the first bits of the fraction of the n-th prime's cube root. */
static uint32_t constant(unsigned n)
{
    unsigned prime = 2;

    for (unsigned found = 0; ; prime++) {
        unsigned d = 2;

        while (prime % d) {
            d++;
        }
        if (d == prime && found++ == n) {
            break;
        }
    }
    unsigned __int128 cube = (unsigned __int128)prime << 96;
    uint64_t root = 0;

    for (int bit = 35; bit >= 0; bit--) {
        uint64_t next = root | UINT64_C(1) << bit;

        if ((unsigned __int128)next * next * next <= cube) {
            root = next;
        }
    }
    return root;
}

static void sha256_block(uint32_t h[8], const uint8_t *block)
{
    uint32_t w[64], s[8];

    memcpy(s, h, sizeof(s));
    for (unsigned i = 0; i < 16; i++) {
        w[i] = load_be32(block + 4 * i);
    }
    for (unsigned t = 16; t < 64; t += 4) {
        sha256_schedule(w, t);
    }
    for (unsigned t = 0; t < 64; t += 2) {
        uint32_t abef[4] = {s[0], s[1], s[4], s[5]};

        put(0, 0, 0, w[t + 1] + constant(t + 1), w[t] + constant(t));
        put(1, s[2], s[3], s[6], s[7]);
        put(2, abef[0], abef[1], abef[2], abef[3]);
        op(0x38, 0xcb, 0);
        s[2] = abef[0];
        s[3] = abef[1];
        s[6] = abef[2];
        s[7] = abef[3];
        s[0] = get(1, 3);
        s[1] = get(1, 2);
        s[4] = get(1, 1);
        s[5] = get(1, 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        h[i] += s[i];
    }
}

static void check(bool wide, const uint8_t *message, unsigned size)
{
    uint32_t h1[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint32_t h256[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t padded[MOST + 2 * BLOCK] = {0};
    unsigned whole = (size + 9 + BLOCK - 1) / BLOCK * BLOCK;
    g_autofree char *want = g_compute_checksum_for_data(wide ? G_CHECKSUM_SHA256 : G_CHECKSUM_SHA1, message, size);
    g_autoptr(GString) got = g_string_new(NULL);

    memcpy(padded, message, size);
    padded[size] = 0x80;
    store_be32(padded + whole - 4, size * 8);
    for (unsigned at = 0; at < whole; at += BLOCK) {
        if (wide) {
            sha256_block(h256, padded + at);
        } else {
            sha1_block(h1, padded + at);
        }
    }
    for (unsigned i = 0; i < (wide ? 8u : 5u); i++) {
        g_string_append_printf(got, "%08x", wide ? h256[i] : h1[i]);
    }
    g_assert_cmpstr(got->str, ==, want);
}

static void digests(const void *engine_name)
{
    static const uint8_t misaligned[] = {0x0f, 0x38, 0xc8, 0x4b, 0x01};
    uint8_t message[MOST];

    how = GPOINTER_TO_INT(engine_name);
    fpm_random_context(&context);
    for (unsigned i = 0; i < sizeof(message); i++) {
        message[i] = fpm_random();
    }
    for (unsigned i = 0; i < 6; i++) {
        unsigned size = (const unsigned[]){0, 3, 55, 64, 119, MOST}[i];

        check(false, message, size);
        check(true, message, size);
    }
    g_assert_cmpint(fpm_vector_in(how, fpm_mode, misaligned, sizeof(misaligned)), ==, EXC_GP);
}

int main(int argc, char **argv)
{
    static X86Features features;

    g_test_init(&argc, &argv, NULL);
    fpm_init();
    features = *fpm_state()->features;
    features.on[FEAT_sha_ni] = true;
    fpm_state()->features = &features;
    g_test_add_data_func("/insn/sha/interpreted", GINT_TO_POINTER(FPM_INTERPRET), digests);
    g_test_add_data_func("/insn/sha/compiled", GINT_TO_POINTER(FPM_COMPILE), digests);
    return g_test_run();
}
