/*
 * Firmware configuration: named items that the firmware reads from the emulator.
 *
 * The interface is the one of docs/specs/fw_cfg of QEMU, which SeaBIOS, OVMF and Linux speak.
 */
#include "hw/nvram/fw_cfg.h"

#include "core/memory.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { FILES_MAX = 128, NAME_SIZE = 56, KEY_WRITE = 0x4000, KEY_MASK = 0xbfff, KEY_NONE = 0xffff };
enum { ZEROS_MAX = 0x10000 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

#define FW_CFG_STATE(FIELD, ARRAY)                                \
    FIELD(uint16_t, key, KEY_NONE)                                \
    FIELD(uint32_t, offset, 0)   /* of the next byte */           \
    FIELD(uint64_t, dma_addr, 0) /* high half, until the low one */

DEFINE_STATE(FwCfgState, FW_CFG_STATE);

typedef struct Item {
    GBytes *data;
    char *name; /* of a file */
    bool writable;
    FwCfgSelectFn *on_select; /* or NULL */
    void *opaque;
} Item;

typedef struct FwCfg {
    Device dev;
    FwCfgState s;
    uint32_t iobase, dma_iobase;
    uint64_t mem_base;
    Region *ports, *dma_ports, *memory;
    GHashTable *items; /* key -> Item */
    int files;
} FwCfg;

typedef struct FileEntry {
    uint32_t size; /* these are big-endian */
    uint16_t key, reserved;
    char name[NAME_SIZE];
} FileEntry;

static void item_free(void *p)
{
    Item *item = p;

    g_bytes_unref(item->data);
    g_free(item->name);
    g_free(item);
}

static GHashTable *items_of(Device *dev)
{
    FwCfg *fw = (FwCfg *)dev;

    if (!fw->items) {
        fw->items = g_hash_table_new_full(NULL, NULL, NULL, item_free);
    }
    return fw->items;
}

static Item *item_find(FwCfg *fw, uint16_t key)
{
    return g_hash_table_lookup(items_of(&fw->dev), GUINT_TO_POINTER(key & KEY_MASK));
}

void fw_cfg_add_bytes(Device *dev, uint16_t key, GBytes *data)
{
    Item *item = g_new0(Item, 1);

    item->data = g_bytes_ref(data);
    g_hash_table_replace(items_of(dev), GUINT_TO_POINTER(key), item);
}

void fw_cfg_add(Device *dev, uint16_t key, const void *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);

    fw_cfg_add_bytes(dev, key, bytes);
}

void fw_cfg_add_u16(Device *dev, uint16_t key, uint16_t value)
{
    fw_cfg_add(dev, key, &value, sizeof(value));
}

void fw_cfg_add_u32(Device *dev, uint16_t key, uint32_t value)
{
    fw_cfg_add(dev, key, &value, sizeof(value));
}

void fw_cfg_add_u64(Device *dev, uint16_t key, uint64_t value)
{
    fw_cfg_add(dev, key, &value, sizeof(value));
}

void fw_cfg_add_string(Device *dev, uint16_t key, const char *text)
{
    fw_cfg_add(dev, key, text, strlen(text) + 1);
}

static void build_directory(FwCfg *fw)
{
    size_t size = 4 + fw->files * sizeof(FileEntry);
    uint8_t *dir = g_malloc0(size);
    g_autoptr(GBytes) bytes = g_bytes_new_take(dir, size);

    store_be32(dir, fw->files);
    for (int n = 0; n < fw->files; n++) {
        FileEntry *entry = (FileEntry *)(dir + 4) + n;
        const Item *item = item_find(fw, FW_CFG_FILE_FIRST + n);

        store_be32(&entry->size, g_bytes_get_size(item->data));
        store_be16(&entry->key, FW_CFG_FILE_FIRST + n);
        g_strlcpy(entry->name, item->name, NAME_SIZE);
    }
    fw_cfg_add_bytes(&fw->dev, FW_CFG_FILE_DIR, bytes);
}

/* The key of a file; FW_CFG_FILE_FIRST + files if there is none of that name. */
static uint16_t file_key(FwCfg *fw, const char *name)
{
    int n = 0;

    while (n < fw->files && strcmp(item_find(fw, FW_CFG_FILE_FIRST + n)->name, name)) {
        n++;
    }
    return FW_CFG_FILE_FIRST + n;
}

static void add_file(Device *dev, const char *name, const void *data, size_t size, bool writable)
{
    FwCfg *fw = (FwCfg *)dev;
    uint16_t key = file_key(fw, name);
    Item *item = item_find(fw, key);
    FwCfgSelectFn *on_select = item ? item->on_select : NULL;
    void *opaque = item ? item->opaque : NULL;

    g_assert(strlen(name) < NAME_SIZE && key < FW_CFG_FILE_FIRST + FILES_MAX);
    fw->files = MAX(fw->files, key - FW_CFG_FILE_FIRST + 1);
    fw_cfg_add(dev, key, data, size);
    item = item_find(fw, key);
    item->name = g_strdup(name);
    item->writable = writable;
    item->on_select = on_select;
    item->opaque = opaque;
    build_directory(fw);
}

void fw_cfg_add_file(Device *dev, const char *name, const void *data, size_t size)
{
    add_file(dev, name, data, size, false);
}

void fw_cfg_add_writable_file(Device *dev, const char *name, const void *data, size_t size)
{
    add_file(dev, name, data, size, true);
}

void fw_cfg_on_select(Device *dev, const char *name, FwCfgSelectFn *fn, void *opaque)
{
    FwCfg *fw = (FwCfg *)dev;
    Item *item = item_find(fw, file_key(fw, name));

    g_assert(item);
    item->on_select = fn;
    item->opaque = opaque;
}

const void *fw_cfg_file_data(Device *dev, const char *name, size_t *size)
{
    FwCfg *fw = (FwCfg *)dev;
    Item *item = item_find(fw, file_key(fw, name));

    return item ? g_bytes_get_data(item->data, size) : NULL;
}

static void select_item(FwCfg *fw, uint16_t key)
{
    const Item *item;

    fw->s.offset = 0;
    fw->s.key = key & ~KEY_WRITE;
    item = item_find(fw, fw->s.key);
    if (item && item->on_select) {
        item->on_select(item->opaque);
    }
    trace("fw_cfg_select", "key %04x", fw->s.key);
}

/* What is left of the selected item, and moves on by at most size. */
static const uint8_t *take(FwCfg *fw, size_t size, size_t *got)
{
    const Item *item = item_find(fw, fw->s.key);
    gsize total = 0;
    const uint8_t *data = item ? g_bytes_get_data(item->data, &total) : NULL;
    size_t offset = MIN(fw->s.offset, total);

    *got = MIN(size, total - offset);
    fw->s.offset = MIN((uint64_t)fw->s.offset + size, UINT32_MAX);
    return data + offset;
}

static uint64_t data_read(void *opaque, PhysAddr offset, unsigned size)
{
    FwCfg *fw = opaque;
    size_t got;
    const uint8_t *byte;

    if (offset == 0) {
        return 0;
    }
    byte = take(fw, 1, &got);
    return got ? *byte : 0;
}

static void select_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (offset == 0 && size == 2) {
        select_item(opaque, value);
    }
}

static const RegionOps port_ops = { .read = data_read, .write = select_write, .max_size = 2 };

/* In memory, where there are no ports: the selector is big-endian, and the data byte follows it. */
static uint64_t memory_data_read(void *opaque, PhysAddr offset, unsigned size)
{
    return offset == 2 && size == 1 ? data_read(opaque, 1, 1) : 0;
}

static const RegionOps memory_ops = { .read = memory_data_read, .write = select_write, .max_size = 2, .endian = ENDIAN_BIG };

static void write_item(FwCfg *fw, PhysAddr from, uint32_t length, bool *bad)
{
    Item *item = item_find(fw, fw->s.key);
    gsize total = item ? g_bytes_get_size(item->data) : 0;
    uint8_t *copy;

    if (!item || !item->writable || (uint64_t)fw->s.offset + length > total) {
        *bad = true;
        return;
    }
    copy = g_memdup2(g_bytes_get_data(item->data, NULL), total);
    memory_read(memory_system(), from, copy + fw->s.offset, length);
    g_bytes_unref(item->data);
    item->data = g_bytes_new_take(copy, total);
    fw->s.offset += length;
}

/* Past the end of an item there are zeros; a guest cannot make us write gigabytes of them. */
static void read_item(FwCfg *fw, PhysAddr to, uint32_t length)
{
    size_t got;
    const uint8_t *data = take(fw, length, &got);

    if (got) {
        memory_write(memory_system(), to, data, got);
    }
    if (got < length) {
        memory_fill(memory_system(), to + got, 0, MIN(length - got, ZEROS_MAX));
    }
}

static void run_dma(FwCfg *fw, PhysAddr at)
{
    uint8_t request[16];
    uint32_t control, length;
    PhysAddr addr;
    bool bad = false;

    memory_read(memory_system(), at, request, sizeof(request));
    control = load_be32(request);
    length = load_be32(request + 4);
    addr = load_be64(request + 8);
    if (control & DMA_SELECT) {
        select_item(fw, control >> 16);
    }
    if (control & DMA_READ) {
        read_item(fw, addr, length);
    } else if (control & DMA_WRITE) {
        write_item(fw, addr, length, &bad);
    } else if (control & DMA_SKIP) {
        size_t got;

        take(fw, length, &got);
    }
    store_be32(request, bad ? DMA_ERROR : 0);
    memory_write(memory_system(), at, request, 4);
}

static uint64_t dma_read(void *opaque, PhysAddr offset, unsigned size)
{
    return DMA_SIGNATURE << offset * 8 >> (64 - size * 8);
}

/* The address is big-endian; writing its low half, or all of it, starts the transfer. */
static void dma_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    FwCfg *fw = opaque;

    if (size == 4 && offset == 0) {
        fw->s.dma_addr = value << 32;
    } else if (size == 4 && offset == 4) {
        PhysAddr at = fw->s.dma_addr | value;

        fw->s.dma_addr = 0;
        run_dma(fw, at);
    }
}

static const RegionOps dma_ops = { .read = dma_read, .write = dma_write, .endian = ENDIAN_BIG };

static bool fw_cfg_realize(Device *dev, GError **error)
{
    FwCfg *fw = (FwCfg *)dev;

    fw_cfg_add(dev, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(dev, FW_CFG_ID, fw->dma_iobase ? 3 : 1);
    build_directory(fw);
    if (fw->mem_base) {
        fw->memory = region_new_io("fw_cfg", &memory_ops, fw, 4);
        region_add(memory_system_root(), fw->mem_base, fw->memory);
    } else {
        fw->ports = region_new_io("fw_cfg", &port_ops, fw, 2);
        region_add(memory_ports_root(), fw->iobase, fw->ports);
    }
    if (fw->dma_iobase) {
        fw->dma_ports = region_new_io("fw_cfg-dma", &dma_ops, fw, 8);
        region_add(memory_ports_root(), fw->dma_iobase, fw->dma_ports);
    }
    return true;
}

static const Prop fw_cfg_props[] = {
    PROP(FwCfg, iobase, "iobase", PROP_U32, "0x510", "selector port; data is the next one"),
    PROP(FwCfg, mem_base, "mem-base", PROP_U64, "0", "address in memory, instead of ports"),
    PROP(FwCfg, dma_iobase, "dma_iobase", PROP_U32, "0x514", "DMA address ports, 0: none"),
    { NULL },
};

const DeviceType fw_cfg_type = {
    .name = "fw_cfg",
    .about = "firmware configuration",
    .bus = "system",
    .size = sizeof(FwCfg),
    .state_at = offsetof(FwCfg, s),
    .state = FwCfgState_fields,
    .props = fw_cfg_props,
    .realize = fw_cfg_realize,
};
