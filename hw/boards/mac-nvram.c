/*
 * What a Macintosh's NVRAM holds at first, and the image it is kept in.
 *
 * OpenBIOS puts no sound chip into its device tree. A script among the settings, run before any system is started, does;
 * who sets nvramrc himself has to do so himself.
 */
#include "hw/boards/mac.h"

#include "hw/nvram/mac_nvram.h"

#define NODE                                                                                                          \
    "nvramrc=hex dev /pci/mac-io new-device \" davbus\" device-name \" davbus\" device-type "                        \
    "14000 encode-int 1000 encode-int encode+ 8800 encode-int encode+ 100 encode-int encode+ 8900 encode-int encode+ " \
    "100 encode-int encode+ \" reg\" property "
#define SOUND                                                                                                         \
    "new-device \" sound\" device-name \" soundchip\" device-type \" screamer\" encode-string \" compatible\" property " \
    "ac44 encode-int 72d8 encode-int encode+ 5622 encode-int encode+ 44e8 encode-int encode+ 396c encode-int encode+ "  \
    "2b11 encode-int encode+ 2274 encode-int encode+ 1cb6 encode-int encode+ \" sample-rates\" property "             \
    "finish-device finish-device device-end"

/* The interrupts of the macio's wiring: the chip, what is played, what is recorded. */
static const char *const newworld[] = {
    "use-nvramrc?=true",
    NODE "18 encode-int 1 encode-int encode+ 9 encode-int encode+ 0 encode-int encode+ a encode-int encode+ "
         "0 encode-int encode+ \" interrupts\" property \" /pci/mac-io/interrupt-controller\" find-package drop "
         "encode-int \" interrupt-parent\" property " SOUND,
    NULL,
};
static const char *const oldworld[] = {
    "use-nvramrc?=true",
    NODE "11 encode-int 8 encode-int encode+ 9 encode-int encode+ \" AAPL,interrupts\" property " SOUND,
    NULL,
};

BlockBackend *mac_nvram_image(void)
{
    return block_find_drive("mtd", 0, 0);
}

bool mac_prepare_nvram(Device *nvram, bool is_newworld, GError **error)
{
    return mac_nvram_prepare(nvram, is_newworld ? newworld : oldworld, machine_config.prom_env, error);
}
