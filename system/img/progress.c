/* Progress and rate limits of long commands. */
#include "system/img/img.h"

#include <signal.h>
#include <stdio.h>

static bool visible;
static volatile sig_atomic_t asked;
static double last_percent;

static void on_signal(int number)
{
    asked = 1;
}

void img_progress_start(bool shown)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    visible = shown;
    last_percent = -1;
    if (!shown) {
        sigaction(SIGUSR1, &action, NULL);
    }
    img_progress(0, 1);
}

void img_progress(double done, double total)
{
    double percent = total > 0 ? 100 * done / total : 100;

    if (visible && percent - last_percent >= 1) {
        printf("    (%3.2f/100%%)\r", percent);
        fflush(stdout);
        last_percent = percent;
    } else if (asked) {
        asked = 0;
        fprintf(stderr, "    (%3.2f/100%%)\n", percent);
    }
}

void img_progress_end(void)
{
    if (visible) {
        printf("    (100.00/100%%)\r\n");
        fflush(stdout);
    }
    visible = false;
}

void img_rate_limit(ImgRate *limit, uint64_t bytes)
{
    int64_t now = g_get_monotonic_time();
    int64_t due;

    if (!limit->rate) {
        return;
    }
    limit->start_us = limit->start_us ? limit->start_us : now;
    limit->done += bytes;
    due = limit->start_us + (int64_t)((double)limit->done * G_USEC_PER_SEC / limit->rate);
    if (due > now) {
        g_usleep(due - now);
    }
}
