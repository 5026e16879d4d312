/*
 * What hosts do not have: 3DNow!, SSE4a, and AES and PCLMULQDQ of 256 bits, on the image in the state.
 *
 * 3DNow!: AMD publications 21928 and 22466. Denormals are zero, results saturate at the largest number,
 * nothing is signalled. The reciprocals have full precision at once; the instructions that refine them
 * hand them on. SSE4a: APM volume 4.
 */
#include "target/x86/fp_state.h"

#include <math.h>
#include <wmmintrin.h>

typedef union Mmx {
    float f[2];
    int32_t d[2];
    uint32_t u[2];
    int16_t w[4];
    uint8_t b[8];
    uint64_t q;
} Mmx;

static float flush(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static float saturate(float x)
{
    return isinf(x) ? copysignf(0x1.fffffep127f, x) : flush(x);
}

static int32_t to_int(float x, int32_t least, int32_t most)
{
    return x >= (double)most ? most : x <= (double)least ? least : (int32_t)x;
}

static float from_int(int32_t n)
{
    float x = n;

    /* Toward zero. */
    return fabs((double)x) > fabs((double)n) ? nextafterf(x, 0) : x;
}

static float reciprocal(float x)
{
    return saturate(1 / flush(x));
}

static float reciprocal_root(float x)
{
    return copysignf(saturate(1 / sqrtf(fabsf(flush(x)))), x);
}

/* False: no such operation. */
static bool do_3dnow(unsigned suffix, Mmx *to, Mmx a, Mmx b)
{
    for (unsigned i = 0; i < 2; i++) {
        a.f[i] = (suffix & 0x80) && suffix < 0xb6 ? flush(a.f[i]) : a.f[i];
        b.f[i] = (suffix & 0x80) && suffix < 0xb6 ? flush(b.f[i]) : b.f[i];
    }
    switch (suffix) {
    case 0xae: /* pfacc */
        *to = (Mmx){.f = {saturate(a.f[0] + a.f[1]), saturate(b.f[0] + b.f[1])}};
        return true;
    case 0x8a: /* pfnacc */
        *to = (Mmx){.f = {saturate(a.f[0] - a.f[1]), saturate(b.f[0] - b.f[1])}};
        return true;
    case 0x8e: /* pfpnacc */
        *to = (Mmx){.f = {saturate(a.f[0] - a.f[1]), saturate(b.f[0] + b.f[1])}};
        return true;
    case 0x96: /* pfrcp */
        to->f[0] = to->f[1] = reciprocal(b.f[0]);
        return true;
    case 0x97: /* pfrsqrt */
        to->f[0] = to->f[1] = reciprocal_root(b.f[0]);
        return true;
    case 0xa6: /* pfrcpit1 */
    case 0xa7: /* pfrsqit1 */
    case 0xb6: /* pfrcpit2 */
        *to = b;
        return true;
    case 0xb7: /* pmulhrw */
        for (unsigned i = 0; i < 4; i++) {
            to->w[i] = (a.w[i] * b.w[i] + 0x8000) >> 16;
        }
        return true;
    case 0xbb: /* pswapd */
        *to = (Mmx){.u = {b.u[1], b.u[0]}};
        return true;
    case 0xbf: /* pavgusb */
        for (unsigned i = 0; i < 8; i++) {
            to->b[i] = (a.b[i] + b.b[i] + 1) >> 1;
        }
        return true;
    }
    for (unsigned i = 0; i < 2; i++) {
        float x = a.f[i], y = b.f[i];

        switch (suffix) {
        case 0x0c: /* pi2fw */
            to->f[i] = b.w[2 * i];
            break;
        case 0x0d: /* pi2fd */
            to->f[i] = from_int(b.d[i]);
            break;
        case 0x1c: /* pf2iw */
            to->d[i] = to_int(y, INT16_MIN, INT16_MAX);
            break;
        case 0x1d: /* pf2id */
            to->d[i] = to_int(y, INT32_MIN, INT32_MAX);
            break;
        case 0x90: /* pfcmpge */
            to->d[i] = -(x >= y);
            break;
        case 0xa0: /* pfcmpgt */
            to->d[i] = -(x > y);
            break;
        case 0xb0: /* pfcmpeq */
            to->d[i] = -(x == y);
            break;
        case 0x94: /* pfmin */
            to->f[i] = x < y ? x : y;
            break;
        case 0xa4: /* pfmax */
            to->f[i] = x > y ? x : y;
            break;
        case 0x9a: /* pfsub */
            to->f[i] = saturate(x - y);
            break;
        case 0xaa: /* pfsubr */
            to->f[i] = saturate(y - x);
            break;
        case 0x9e: /* pfadd */
            to->f[i] = saturate(x + y);
            break;
        case 0xb4: /* pfmul */
            to->f[i] = saturate(x * y);
            break;
        default:
            return false;
        }
    }
    return true;
}

/* (suffix | reg << 8 | rm << 12 | is memory << 16, memory operand) */
uint64_t helper_fp_3dnow(X86State *s, uint64_t how, uint64_t memory, uint64_t c, uint64_t d)
{
    FxImage *fx = fx_image(s);
    unsigned reg = how >> 8 & 7, rm = how >> 12 & 7;
    Mmx a, b = {.q = memory}, result = {0};

    x86_fx_to_mmx(s, tcg_caller_pc(s));
    memcpy(&a, fx->st[reg], 8);
    if (!(how >> 16 & 1)) {
        memcpy(&b, fx->st[rm], 8);
    }
    if (!do_3dnow(how & 0xff, &result, a, b)) {
        g_assert_not_reached();
    }
    memcpy(fx->st[reg], &result, 8);
    memset(fx->st[reg] + 8, 0xff, 2);
    return 0;
}

bool x86_3dnow_exists(unsigned suffix, bool *extended)
{
    Mmx result;

    *extended = suffix == 0x0c || suffix == 0x1c || suffix == 0x8a || suffix == 0x8e || suffix == 0xbb;
    return do_3dnow(suffix, &result, (Mmx){0}, (Mmx){.f = {1, 1}});
}

static uint64_t field_mask(unsigned length)
{
    return length ? UINT64_MAX >> (64 - length) : UINT64_MAX;
}

/* (destination | source << 4 | is INSERTQ << 8 | control is immediate << 9, length | index << 8) */
uint64_t helper_fp_sse4a(X86State *s, uint64_t how, uint64_t immediate, uint64_t c, uint64_t d)
{
    FxImage *fx = fx_image(s);
    uint64_t to, from, control = immediate, mask;
    unsigned length, index;
    bool insert = how >> 8 & 1;

    memcpy(&to, fx->xmm[how & 15], 8);
    memcpy(&from, fx->xmm[how >> 4 & 15], 8);
    if (!(how >> 9 & 1)) {
        memcpy(&control, insert ? fx->xmm[how >> 4 & 15] + 8 : fx->xmm[how >> 4 & 15], 8);
    }
    length = control & 63;
    index = control >> 8 & 63;
    mask = field_mask(length);
    to = insert ? (to & ~(mask << index)) | (from & mask) << index : to >> index & mask;
    memcpy(fx->xmm[how & 15], &to, 8);
    return 0;
}

__attribute__((target("aes,pclmul,sse4.1")))
static __m128i crypt_half(unsigned opcode, unsigned imm, __m128i a, __m128i b)
{
    switch (opcode) {
    case 0xdc:
        return _mm_aesenc_si128(a, b);
    case 0xdd:
        return _mm_aesenclast_si128(a, b);
    case 0xde:
        return _mm_aesdec_si128(a, b);
    case 0xdf:
        return _mm_aesdeclast_si128(a, b);
    }
    switch (imm & 0x11) {
    case 0:
        return _mm_clmulepi64_si128(a, b, 0);
    case 1:
        return _mm_clmulepi64_si128(a, b, 1);
    case 0x10:
        return _mm_clmulepi64_si128(a, b, 0x10);
    default:
        return _mm_clmulepi64_si128(a, b, 0x11);
    }
}

/* (opcode | immediate << 8 | destination << 16 | first << 20 | second << 24 | is memory << 28, linear address): both halves,
 * as VAES and VPCLMULQDQ do it. */
uint64_t helper_vex_crypt(X86State *s, uint64_t how, uint64_t addr, uint64_t c, uint64_t d)
{
    unsigned to = how >> 16 & 15, first = how >> 20 & 15, second = how >> 24 & 15;
    FxImage *fx = fx_image(s);
    __m128i a[2], b[2];

    memcpy(&a[0], fx->xmm[first], 16);
    memcpy(&a[1], s->ymm_high + first * 16, 16);
    memcpy(&b[0], fx->xmm[second], 16);
    memcpy(&b[1], s->ymm_high + second * 16, 16);
    if (how >> 28 & 1) {
        x86_fp_read(s, addr, b, sizeof(b), tcg_caller_pc(s));
    }
    for (unsigned i = 0; i < 2; i++) {
        a[i] = crypt_half(how & 0xff, how >> 8 & 0xff, a[i], b[i]);
    }
    memcpy(fx->xmm[to], &a[0], 16);
    memcpy(s->ymm_high + to * 16, &a[1], 16);
    return 0;
}
