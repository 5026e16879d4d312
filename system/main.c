/* Program entry: parses the command line, builds the machine, runs the main loop. */
#include "system/cmdline.h"
#include "system/startup.h"

#include "backends/char.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "util/log.h"

#include <locale.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *program = g_path_get_basename(argv[0]);
    int status = 1;

    setlocale(LC_CTYPE, "");
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
