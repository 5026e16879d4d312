/*
 * AVX2 and FMA in a guest's processes, four at a time, with signals between: prints sums that do not depend on the processor
 * it runs on. Static, so that it runs in an initramfs.
 */
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define AVX __attribute__((target("avx2,fma,f16c")))

enum { N = 64, PROCESSES = 4 };

static volatile unsigned signals_seen;

/* A handler that leaves nothing as it was: the kernel saves and restores all of it. */
static AVX void on_signal(int sig)
{
    __m256 x = _mm256_set1_ps((float)++signals_seen);

    for (int i = 0; i < 50; i++) {
        x = _mm256_fmadd_ps(x, _mm256_set1_ps(1.5f), x);
    }
    __asm__ volatile("" : : "x"(x));
    __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vmovdqa %%ymm0, %%ymm15; vmovdqa %%ymm0, %%ymm7" : : : "xmm0", "xmm7", "xmm15");
}

static AVX uint64_t hash(uint64_t sum, const void *data, size_t size)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < size; i++) {
        sum = (sum ^ p[i]) * 0x100000001b3;
    }
    return sum;
}

static AVX uint64_t matrices(unsigned seed)
{
    static float a[N][N], b[N][N], c[N][N];
    uint32_t x = seed * 2654435761u + 1;

    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            x = x * 1664525 + 1013904223;
            a[i][j] = (float)(x >> 8) / 65536;
            b[j][i] = (float)(x & 0xffff) / 256;
        }
    }
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j += 8) {
            __m256 sum = _mm256_setzero_ps();

            for (int k = 0; k < N; k++) {
                sum = _mm256_fmadd_ps(_mm256_set1_ps(a[i][k]), _mm256_loadu_ps(&b[k][j]), sum);
            }
            _mm256_storeu_ps(&c[i][j], sum);
        }
    }
    return hash(0xcbf29ce484222325, c, sizeof(c));
}

static AVX uint64_t integers(unsigned seed)
{
    static uint32_t table[256], out[2048];
    __m256i x = _mm256_set_epi32(1, 2, 3, 4, 5, 6, 7, seed + 8);

    for (unsigned i = 0; i < 256; i++) {
        table[i] = i * 2654435761u;
    }
    for (unsigned i = 0; i < 2048; i += 8) {
        __m256i index = _mm256_and_si256(x, _mm256_set1_epi32(255));
        __m256i found = _mm256_i32gather_epi32((const int *)table, index, 4);
        __m256i mask = _mm256_cmpgt_epi32(found, x);

        x = _mm256_add_epi32(_mm256_sllv_epi32(x, _mm256_set1_epi32(3)), _mm256_srli_epi32(found, 5));
        x = _mm256_shuffle_epi8(x, _mm256_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1, 12, 15, 14, 13, 8, 11,
                                                   10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
        x = _mm256_permutevar8x32_epi32(x, _mm256_set_epi32(6, 3, 7, 1, 0, 5, 2, 4));
        _mm256_maskstore_epi32((int *)&out[i], mask, x);
    }
    return hash(0xcbf29ce484222325, out, sizeof(out));
}

/* All sixteen registers full while the kernel runs others. */
static AVX uint64_t registers(unsigned seed)
{
    uint64_t data[16][4], back[16][4];

    for (unsigned i = 0; i < 64; i++) {
        data[i / 4][i % 4] = (seed + 1) * 0x9e3779b97f4a7c15u * (i + 1);
    }
    for (unsigned round = 0; round < 200; round++) {
        long nr;

#define LOAD(n) "vmovdqu " #n "*32(%[from]), %%ymm" #n "\n"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%[to])\n"
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
        __asm__ volatile(ALL(LOAD) "syscall\n" ALL(STORE)
                         : "=a"(nr) : "0"(24L /* sched_yield */), [from] "r"(data), [to] "r"(back)
                         : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
        if (memcmp(data, back, sizeof(data))) {
            return 0;
        }
    }
    return hash(0xcbf29ce484222325, back, sizeof(back));
}

static void work(unsigned seed)
{
    struct itimerval often = { {0, 2000}, {0, 2000} };
    uint64_t sums[3] = {0};

    signal(SIGALRM, on_signal);
    setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned round = 0; round < 40; round++) {
        uint64_t now[3] = { matrices(seed), integers(seed), registers(seed) };

        if (round && memcmp(sums, now, sizeof(now))) {
            printf("AVX %u differs in round %u: %016lx %016lx %016lx\n", seed, round, now[0], now[1], now[2]);
            fflush(stdout);
            _exit(1);
        }
        memcpy(sums, now, sizeof(now));
    }
    printf("AVX %u %016lx %016lx %016lx\n", seed, sums[0], sums[1], sums[2]);
    fflush(stdout);
    _exit(0);
}

int main(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        printf("AVX none\n");
        return 77;
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            work(i);
        }
    }
    while (wait(NULL) > 0) {
    }
    printf("AVX end\n");
    return 0;
}
