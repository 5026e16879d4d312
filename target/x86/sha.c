/* The SHA extensions for hosts that have none: SDM volume 2, SHA1RNDS4 to SHA256MSG2. */
#include "target/x86/fp_state.h"
#include "target/x86/fp_table.h"

#include <cpuid.h>

/* Words of a register in the manual's order of bits: [3] is 127:96. */
typedef uint32_t Words[4];

static uint32_t rol(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

/* Functions and constants of FIPS 180-4. */

static uint32_t big_sigma0(uint32_t x)
{
    return rol(x, 30) ^ rol(x, 19) ^ rol(x, 10);
}

static uint32_t big_sigma1(uint32_t x)
{
    return rol(x, 26) ^ rol(x, 21) ^ rol(x, 7);
}

static uint32_t sigma0(uint32_t x)
{
    return rol(x, 25) ^ rol(x, 14) ^ x >> 3;
}

static uint32_t sigma1(uint32_t x)
{
    return rol(x, 15) ^ rol(x, 13) ^ x >> 10;
}

static void sha1_rounds(Words a, const Words w, unsigned stage)
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t e = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t f = stage == 0 ? choose(a[2], a[1], a[0]) : stage == 2 ? majority(a[2], a[1], a[0]) : a[2] ^ a[1] ^ a[0];
        uint32_t next = f + rol(a[3], 5) + w[3 - i] + e + constants[stage];

        e = a[0];
        a[0] = a[1];
        a[1] = rol(a[2], 30);
        a[2] = a[3];
        a[3] = next;
    }
}

/* a is C D G H, b is A B E F; what comes out is the new A B E F. */
static void sha256_rounds(Words a, const Words b, const Words wk)
{
    uint32_t s[8] = {b[3], b[2], a[3], a[2], b[1], b[0], a[1], a[0]};

    for (unsigned i = 0; i < 2; i++) {
        uint32_t t1 = choose(s[4], s[5], s[6]) + big_sigma1(s[4]) + wk[i] + s[7];
        uint32_t t2 = majority(s[0], s[1], s[2]) + big_sigma0(s[0]);

        memmove(s + 1, s, 7 * sizeof(s[0]));
        s[4] += t1;
        s[0] = t1 + t2;
    }
    a[3] = s[0];
    a[2] = s[1];
    a[1] = s[4];
    a[0] = s[5];
}

static void sha(unsigned opcode, unsigned imm, Words a, const Words b, const Words xmm0)
{
    switch (opcode) {
    case 0xc8: /* sha1nexte */
        a[3] = b[3] + rol(a[3], 30);
        memcpy(a, b, 3 * sizeof(a[0]));
        break;
    case 0xc9: /* sha1msg1 */
        a[3] ^= a[1];
        a[2] ^= a[0];
        a[1] ^= b[3];
        a[0] ^= b[2];
        break;
    case 0xca: /* sha1msg2 */
        a[3] = rol(a[3] ^ b[2], 1);
        a[2] = rol(a[2] ^ b[1], 1);
        a[1] = rol(a[1] ^ b[0], 1);
        a[0] = rol(a[0] ^ a[3], 1);
        break;
    case 0xcb:
        sha256_rounds(a, b, xmm0);
        break;
    case 0xcc:
        for (unsigned i = 0; i < 4; i++) { /* sha256msg1 */
            a[i] += sigma0(i < 3 ? a[i + 1] : b[0]);
        }
        break;
    case 0xcd:
        for (unsigned i = 0; i < 4; i++) { /* sha256msg2 */
            a[i] += sigma1(i < 2 ? b[i + 2] : a[i - 2]);
        }
        break;
    default:
        sha1_rounds(a, b, imm & 3);
        break;
    }
}

bool x86_host_has_sha(void)
{
    enum { EBX_SHA = 1 << 29 };
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & EBX_SHA;
}

/* (opcode | sha1rnds4 << 8 | destination << 12 | source << 16 | is memory << 20 | immediate << 24, memory operand) */
uint64_t helper_fp_sha(X86State *s, uint64_t how, uint64_t low, uint64_t high, uint64_t d)
{
    FxImage *fx = fx_image(s);
    uint64_t memory[2] = {low, high};
    Words a, b, xmm0;

    memcpy(a, fx->xmm[how >> 12 & 15], 16);
    memcpy(b, how >> 20 & 1 ? (const void *)memory : fx->xmm[how >> 16 & 15], 16);
    memcpy(xmm0, fx->xmm[0], 16);
    sha(how >> 8 & 1 ? 0 : how & 0xff, how >> 24 & 0xff, a, b, xmm0);
    memcpy(fx->xmm[how >> 12 & 15], a, 16);
    return 0;
}
