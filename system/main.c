/* Program entry: parses the command line, builds the machine, runs the main loop. */
#include "system/cmdline.h"
#include "system/img/img.h"
#include "system/nbd.h"
#include "system/startup.h"

#include "backends/char.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/log.h"

#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A tool is called by the program's name ("myna-img") or by its first word ("myna img"), which is taken out. */
static bool is_tool(const char *name, const char *program, int *argc, char ***argv)
{
    g_autofree char *ours = g_strdup_printf("myna-%s", name), *theirs = g_strdup_printf("qemu-%s", name);

    if (!strcmp(program, ours) || !strcmp(program, name) || !strcmp(program, theirs)) {
        return true;
    }
    if (*argc > 1 && !strcmp((*argv)[1], name)) {
        --*argc;
        ++*argv;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *program = g_path_get_basename(argv[0]);
    int status = 1;

    setlocale(LC_CTYPE, "");
    if (is_tool("img", program, &argc, &argv)) {
        return img_main(argc, argv);
    }
    if (is_tool("nbd", program, &argc, &argv)) {
        return nbd_main(argc, argv);
    }
    g_set_prgname(program);
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1); /* a vCPU thread's own would grow by a page and a system call at a time */
#endif
    machine_lock();
    if (cmdline_parse(argc, argv, &error) && startup(&error)) {
        machine_unlock();
        status = main_loop_run();
        machine_lock();
        shutdown_all();
    } else {
        log_error("%s", error->message);
    }
    char_restore_terminal();
    /* vCPU threads may still stand in a device: leave without running destructors under them. */
    fflush(NULL);
    _exit(status);
}
