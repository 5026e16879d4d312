/* Shared by the loaders of kernels. */
#ifndef HW_BOARDS_KERNEL_INTERNAL_H
#define HW_BOARDS_KERNEL_INTERNAL_H

#include "core/device.h"

/* The fw_cfg keys of a piece of memory: where it goes, how long it is, what is in it. */
typedef struct KernelItem {
    uint16_t addr, size, data;
} KernelItem;

void kernel_add_item(Device *fw_cfg, const KernelItem *item, uint32_t addr, const void *data,
                     size_t size);
/* A boot ROM from our firmware, as the first thing to boot from. */
bool kernel_add_rom(Device *fw_cfg, const char *name, GError **error);
/* what: "kernel", for the message. The caller frees data. */
bool kernel_read_file(const char *what, const char *path, char **data, gsize *size, GError **error);

bool multiboot_probe(const uint8_t *file, size_t size);
bool multiboot_load(const uint8_t *file, size_t size, Device *fw_cfg, uint64_t low_ram,
                    GError **error);

#endif
