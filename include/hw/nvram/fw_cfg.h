/* Firmware configuration: named items that the firmware reads from the emulator. */
#ifndef HW_NVRAM_FW_CFG_H
#define HW_NVRAM_FW_CFG_H

#include "core/device.h"

extern const DeviceType fw_cfg_type;

enum {
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04, FW_CFG_NB_CPUS = 0x05, FW_CFG_MACHINE_ID = 0x06,
    FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08, FW_CFG_KERNEL_CMDLINE = 0x09,
    FW_CFG_INITRD_ADDR = 0x0a, FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_NUMA = 0x0d, FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10, FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19, FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_IRQ0_OVERRIDE = 0x8002, FW_CFG_E820 = 0x8003,
};

/* Each replaces an item of the same key or name. Data is copied. */
void fw_cfg_add(Device *dev, uint16_t key, const void *data, size_t size);
void fw_cfg_add_u16(Device *dev, uint16_t key, uint16_t value);
void fw_cfg_add_u32(Device *dev, uint16_t key, uint32_t value);
void fw_cfg_add_u64(Device *dev, uint16_t key, uint64_t value);
void fw_cfg_add_string(Device *dev, uint16_t key, const char *text); /* with its final NUL */
void fw_cfg_add_bytes(Device *dev, uint16_t key, GBytes *data);      /* takes a reference */
void fw_cfg_add_file(Device *dev, const char *name, const void *data, size_t size);
/* A file that the guest may write through DMA, at most its size; it stays so over a reset. */
void fw_cfg_add_writable_file(Device *dev, const char *name, const void *data, size_t size);
/*
 * Calls fn before the guest reads the file from its start, which may then get other contents of the same size:
 * firmware that has seen the directory does not look there again.
 */
typedef void FwCfgSelectFn(void *opaque);
void fw_cfg_on_select(Device *dev, const char *name, FwCfgSelectFn *fn, void *opaque);
/* Borrowed; NULL if there is none. */
const void *fw_cfg_file_data(Device *dev, const char *name, size_t *size);

#endif
