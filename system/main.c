/* Program entry: parses the command line, builds the machine, runs the main loop. */
#include "system/cmdline.h"
#include "system/img/img.h"
#include "system/startup.h"

#include "backends/char.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/log.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As myna-img, or as `myna img`: the image tool. */
static bool is_image_tool(const char *program, int *argc, char ***argv)
{
    if (!strcmp(program, "myna-img") || !strcmp(program, "img") || !strcmp(program, "qemu-img")) {
        return true;
    }
    if (*argc > 1 && !strcmp((*argv)[1], "img")) {
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
    if (is_image_tool(program, &argc, &argv)) {
        return img_main(argc, argv);
    }
    g_set_prgname(program);
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
