/*
 * What a processor without a square root costs: planets natively, with the host's root and with one by multiply-adds, as C libraries
 * of such PowerPC processors take it (Markstein, "Computation of elementary functions on the IBM RISC System/6000").
 *
 * It is the work of the suite's `nbody`. A guest on a 7400 cannot be nearer to the first than the second is.
 */
#include <glib.h>
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = 512, ROUNDS = 200, STEPS = 3000, BODIES = 5 };

typedef double Root(double x);

typedef struct Body {
    double place[3], speed[3], mass;
} Body;

static float guess[PLACES][2]; /* by the exponent's last bit and eight of the fraction: the root, and half of its reciprocal */
static bool saves_control;

static double of_bits(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

static void make_guesses(void)
{
    for (uint64_t i = 0; i < PLACES; i++) {
        double middle = of_bits((0x3feull | i >> 8) << 52 | (i & 255) << 44 | 1ull << 43);

        guess[i][0] = (float)sqrt(middle);
        guess[i][1] = (float)(0.5 / sqrt(middle));
    }
}

static double host_root(double x)
{
    return sqrt(x);
}

/* Of positive, normal numbers. Three steps double the digits of the root and of half its reciprocal; the last one rounds. */
static G_NO_INLINE double root_by_steps(double x)
{
    unsigned control = 0;
    uint64_t bits;
    const float *first;
    double scaled, scale, root, half, error, result;

    memcpy(&bits, &x, sizeof(bits));
    first = guess[bits >> 44 & (PLACES - 1)];
    if (saves_control) {
        control = _mm_getcsr();
        _mm_setcsr(control & ~0x6000u); /* to nearest */
    }
    scaled = of_bits((bits & 0x001fffffffffffffull) | 0x3fe0000000000000ull); /* from 1/2 to 2 */
    scale = of_bits((uint64_t)((((int64_t)(bits >> 52) - 0x3fe) >> 1) + 0x3ff) << 52);
    root = first[0];
    half = first[1];
    for (int i = 0; i < 3; i++) {
        root = fma(half, fma(-root, root, scaled), root);
        error = fma(-half, root, 0.5);
        half = fma(error, half + half, half);
    }
    result = root * scale;
    error = fma(-root, result, scaled * scale);
    if (saves_control) {
        _mm_setcsr(control);
    }
    return fma(half, error, result);
}

static inline __attribute__((always_inline)) void step(Body *body, Root *root)
{
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            double way[3], square = 0.0625, force;

            for (int k = 0; k < 3; k++) {
                way[k] = body[i].place[k] - body[j].place[k];
                square += way[k] * way[k];
            }
            force = 0.001 / (square * root(square));
            for (int k = 0; k < 3; k++) {
                body[i].speed[k] -= way[k] * body[j].mass * force;
                body[j].speed[k] += way[k] * body[i].mass * force;
            }
        }
    }
    for (int i = 0; i < BODIES; i++) {
        for (int k = 0; k < 3; k++) {
            body[i].place[k] += body[i].speed[k] * 0.001;
        }
    }
}

/* Least time of many, in microseconds; *energy is what both roots must agree on. */
static inline __attribute__((always_inline)) double measure(Root *root, double *energy)
{
    int64_t best = INT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = g_get_monotonic_time();
        Body body[BODIES];

        for (int i = 0; i < BODIES; i++) {
            for (int k = 0; k < 3; k++) {
                body[i].place[k] = (i + 1) * (k + 1) * ((i + k) & 1 ? 0.75 : -1.25);
                body[i].speed[k] = ((i * 3 + k * 5) % 7 - 3) * 0.0625;
            }
            body[i].mass = 1.0 / (i + 1);
        }
        for (int i = 0; i < STEPS; i++) {
            step(body, root);
        }
        best = MIN(best, g_get_monotonic_time() - start);
        *energy = 0;
        for (int i = 0; i < BODIES; i++) {
            for (int k = 0; k < 3; k++) {
                *energy += body[i].speed[k] * body[i].speed[k] * body[i].mass;
            }
        }
    }
    return best;
}

int main(void)
{
    double by_host, by_steps, time;

    make_guesses();
    printf("the host's root             %5.0f us\n", measure(host_root, &by_host));
    time = measure(root_by_steps, &by_steps);
    printf("multiply-adds               %5.0f us\n", time);
    saves_control = true;
    time = measure(root_by_steps, &by_steps);
    printf("the same, and rounding mode %5.0f us\n", time);
    if (by_host != by_steps) {
        fprintf(stderr, "bench-root: the results differ: %a and %a\n", by_host, by_steps);
        return 1;
    }
    return 0;
}
