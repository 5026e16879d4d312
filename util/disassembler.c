/* What we call of capstone. */
#include "config.h"

#ifdef CONFIG_CAPSTONE
#include "util/disassembler.h"

#include "util/library.h"
#include "util/log.h"

const Disassembler *disassembler(void)
{
    static Disassembler cs;
    static gsize tried; /* 1: there is none, 2: there is one */

    if (g_once_init_enter(&tried)) {
        static const LibraryFunction functions[] = {
            { "cs_open", &cs.open }, { "cs_disasm", &cs.disasm }, { "cs_free", &cs.free }, { "cs_close", &cs.close },
        };
        g_autoptr(GError) error = NULL;
        bool loaded = library_load("libcapstone.so." G_STRINGIFY(CS_API_MAJOR), "libcapstone" G_STRINGIFY(CS_API_MAJOR), functions,
                                   G_N_ELEMENTS(functions), &error);

        if (!loaded) {
            log_warn("no disassembly: %s", error->message);
        }
        g_once_init_leave(&tried, loaded ? 2 : 1);
    }
    return tried == 2 ? &cs : NULL;
}
#endif
