/*
 * Parallel NOR flash with Intel's command set and 8-bit data, whose contents are a drive.
 *
 * Intel, "Common Flash Interface (CFI) and Command Sets", application note 646; JEDEC JESD68.01. A chip that
 * is not in the midst of a command is ROM, from which code runs; otherwise reads get status or identity.
 */
#include "hw/block/pflash.h"

#include "backends/block.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum {
    CMD_PROGRAM = 0x10, CMD_ERASE = 0x20, CMD_PROGRAM_TOO = 0x40, CMD_CLEAR_STATUS = 0x50, CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90, CMD_QUERY = 0x98, CMD_SUSPEND = 0xb0, CMD_CONFIRM = 0xd0, CMD_BUFFER = 0xe8, CMD_READ_ARRAY = 0xff,
};
enum { STATUS_READY = 0x80, STATUS_ERASE_ERROR = 0x20, STATUS_PROGRAM_ERROR = 0x10 };
enum { SEQUENCE_ERROR = STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR };
enum { READ_ARRAY, READ_STATUS, READ_ID, READ_QUERY };
enum { NEXT_COMMAND, NEXT_BYTE, NEXT_ERASE_CONFIRM, NEXT_COUNT, NEXT_BUFFER, NEXT_BUFFER_CONFIRM }; /* what a write is */
enum { BUFFER_LOG2 = 8, BUFFER = 1 << BUFFER_LOG2 };
enum { MANUFACTURER_INTEL = 0x89, DEVICE_CODE = 0x18 };
#define SIZE_MAX_BYTES (16u << 20)

#define PFLASH_STATE(FIELD, ARRAY)                                             \
    FIELD(uint8_t, reads, READ_ARRAY)                                          \
    FIELD(uint8_t, next, NEXT_COMMAND)                                         \
    FIELD(uint8_t, status, STATUS_READY)                                       \
    FIELD(uint16_t, buffer_count, 0) /* bytes that are announced, 1 to 256 */  \
    FIELD(uint16_t, buffer_filled, 0)                                          \
    FIELD(uint32_t, buffer_page, 0)  /* offset in the chip */                  \
    ARRAY(uint8_t, buffer, BUFFER, 0xff)

DEFINE_STATE(PflashState, PFLASH_STATE);

typedef struct Pflash {
    Device dev;
    PflashState s;
    BlockBackend *blk;
    Region *region;
    uint8_t *bytes; /* of the region */
    uint32_t size;
    bool writing;              /* a request is with the block layer */
    uint32_t dirty, dirty_end; /* programmed since that request; equal: nothing */
    struct iovec iov;
} Pflash;

/* ---- what is programmed goes to the image ---- */

static void write_back(Pflash *f);

static void written(void *opaque, int error)
{
    Pflash *f = opaque;

    f->writing = false;
    if (error) {
        log_warn("flash '%s': cannot write its image: %s", f->dev.id, g_strerror(error));
        f->s.status |= STATUS_PROGRAM_ERROR;
    }
    write_back(f);
}

/* One request at a time; what is programmed meanwhile gathers for the next one. */
static void write_back(Pflash *f)
{
    uint32_t first = f->dirty & -PFLASH_SECTOR, end = (f->dirty_end + PFLASH_SECTOR - 1) & -PFLASH_SECTOR;

    if (f->writing || f->dirty == f->dirty_end) {
        return;
    }
    f->writing = true;
    f->iov = (struct iovec){ f->bytes + first, end - first };
    f->dirty = f->dirty_end = 0;
    block_write(f->blk, first, &f->iov, 1, 0, written, f);
}

static void changed(Pflash *f, uint32_t offset, uint32_t count)
{
    bool was_clean = f->dirty == f->dirty_end;

    f->dirty = was_clean ? offset : MIN(f->dirty, offset);
    f->dirty_end = was_clean ? offset + count : MAX(f->dirty_end, offset + count);
    ram_mark_dirty(region_ram(f->region), offset, count);
    write_back(f);
}

/* ---- commands ---- */

/* Programming only clears bits. */
static void program(Pflash *f, uint32_t offset, const uint8_t *data, uint32_t count)
{
    f->s.status |= STATUS_READY;
    if (block_readonly(f->blk)) {
        f->s.status |= STATUS_PROGRAM_ERROR;
        return;
    }
    for (uint32_t n = 0; n < count; n++) {
        f->bytes[offset + n] &= data[n];
    }
    changed(f, offset, count);
}

static void erase(Pflash *f, uint32_t offset)
{
    uint32_t sector = offset & -PFLASH_SECTOR;

    f->s.status |= STATUS_READY;
    if (block_readonly(f->blk)) {
        f->s.status |= STATUS_ERASE_ERROR;
        return;
    }
    memset(f->bytes + sector, 0xff, PFLASH_SECTOR);
    changed(f, sector, PFLASH_SECTOR);
}

static void refuse(Pflash *f, uint8_t command)
{
    guest_error(f->dev.id, "command %02x is not known here", command);
    f->s.status |= STATUS_READY | SEQUENCE_ERROR;
}

static void take_command(Pflash *f, uint8_t command)
{
    PflashState *s = &f->s;
    uint8_t before = s->reads;

    s->reads = READ_STATUS;
    switch (command) {
    case CMD_READ_ARRAY:
        s->reads = READ_ARRAY;
        break;
    case CMD_READ_ID:
        s->reads = READ_ID;
        break;
    case CMD_QUERY:
        s->reads = READ_QUERY;
        break;
    case CMD_CLEAR_STATUS: /* with READY, until the next operation: OVMF knows flash by a status of 0 */
        s->status = 0;
        s->reads = before;
        break;
    case CMD_PROGRAM:
    case CMD_PROGRAM_TOO:
        s->next = NEXT_BYTE;
        break;
    case CMD_ERASE:
        s->next = NEXT_ERASE_CONFIRM;
        break;
    case CMD_BUFFER:
        s->status |= STATUS_READY;
        s->next = NEXT_COUNT;
        break;
    case CMD_READ_STATUS:
    case CMD_SUSPEND: /* nothing takes time that could be suspended or gone on with */
    case CMD_CONFIRM:
        break;
    default:
        refuse(f, command);
    }
}

/* A byte for the write buffer, which is one page of the chip. */
static void fill_buffer(Pflash *f, uint32_t offset, uint8_t value)
{
    PflashState *s = &f->s;

    if (!s->buffer_filled) {
        s->buffer_page = offset & -BUFFER;
        memset(s->buffer, 0xff, BUFFER);
    }
    if ((offset & -BUFFER) != s->buffer_page) {
        refuse(f, CMD_BUFFER);
        s->next = NEXT_COMMAND;
        return;
    }
    s->buffer[offset % BUFFER] = value;
    if (++s->buffer_filled >= s->buffer_count) {
        s->next = NEXT_BUFFER_CONFIRM;
    }
}

static void flash_write(void *opaque, PhysAddr offset, uint64_t data, unsigned size)
{
    Pflash *f = opaque;
    PflashState *s = &f->s;
    uint8_t value = data, expected = s->next;

    trace("pflash_write", "%s: %" G_GINT64_MODIFIER "x: %02x, as %u", f->dev.id, offset, value, expected);
    s->next = NEXT_COMMAND;
    switch (expected) {
    case NEXT_COMMAND:
        take_command(f, value);
        break;
    case NEXT_BYTE:
        program(f, offset, &value, 1);
        break;
    case NEXT_ERASE_CONFIRM:
        if (value == CMD_CONFIRM) {
            erase(f, offset);
        } else {
            refuse(f, value);
        }
        break;
    case NEXT_COUNT:
        s->buffer_count = value + 1;
        s->buffer_filled = 0;
        s->next = NEXT_BUFFER;
        break;
    case NEXT_BUFFER:
        s->next = NEXT_BUFFER;
        fill_buffer(f, offset, value);
        break;
    case NEXT_BUFFER_CONFIRM:
        if (value == CMD_CONFIRM) {
            program(f, s->buffer_page, s->buffer, BUFFER);
        } else {
            refuse(f, value);
        }
        break;
    }
    f->dev.type->update(&f->dev);
}

/* ---- what is read ---- */

/* JESD68.01, tables 3 to 6; times are powers of two, of what the chip's data sheet would say. */
static uint8_t query_byte(const Pflash *f, uint32_t offset)
{
    uint32_t sectors = f->size / PFLASH_SECTOR - 1, log2 = 32 - __builtin_clz(f->size - 1);
    const uint8_t table[] = {
        [0x10] = 'Q', [0x11] = 'R', [0x12] = 'Y',
        [0x13] = 1,       /* Intel's extended command set */
        [0x15] = 0x31,    /* where its table is */
        [0x1b] = 0x27, [0x1c] = 0x36,                /* volts */
        [0x1f] = 7, [0x20] = 7, [0x21] = 10,         /* typical times */
        [0x23] = 4, [0x24] = 4, [0x25] = 4,          /* and how much longer at most */
        [0x27] = log2,
        [0x28] = 0,       /* eight bits */
        [0x2a] = BUFFER_LOG2,
        [0x2c] = 1,       /* all sectors alike */
        [0x2d] = sectors & 0xff, [0x2e] = sectors >> 8, [0x2f] = PFLASH_SECTOR / 256 & 0xff, [0x30] = PFLASH_SECTOR / 65536,
        [0x31] = 'P', [0x32] = 'R', [0x33] = 'I', [0x34] = '1', [0x35] = '0',
        [0x3f] = 1,       /* protection registers: the least there can be */
    };

    return offset < sizeof(table) ? table[offset] : 0;
}

static uint64_t flash_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Pflash *f = opaque;

    switch (f->s.reads) {
    case READ_ID:
        return (offset & 0xff) == 0 ? MANUFACTURER_INTEL : (offset & 0xff) == 1 ? DEVICE_CODE : 0;
    case READ_QUERY:
        return query_byte(f, offset & 0xff);
    default:
        return f->s.status;
    }
}

static const RegionOps ops = { .read = flash_read, .write = flash_write, .max_size = 1 };

/* ---- the device ---- */

static void pflash_update(Device *dev)
{
    Pflash *f = (Pflash *)dev;

    region_set_romd(f->region, f->s.reads == READ_ARRAY);
}

Region *pflash_region(Device *dev)
{
    return ((Pflash *)dev)->region;
}

static bool pflash_realize(Device *dev, GError **error)
{
    Pflash *f = (Pflash *)dev;
    uint64_t size;

    if (!f->blk) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cfi.pflash01: needs drive=");
        return false;
    }
    size = block_size(f->blk);
    if (!size || size % PFLASH_SECTOR || size > SIZE_MAX_BYTES) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "flash '%s': its image has %" G_GUINT64_FORMAT " bytes, which is no multiple of 4 KiB up to 16 MiB",
                    block_id(f->blk), size);
        return false;
    }
    f->size = size;
    f->region = region_new_romd(dev->id, &ops, f, size, error);
    if (!f->region) {
        return false;
    }
    f->bytes = region_host(f->region);
    return block_read_sync(f->blk, 0, f->bytes, size, error);
}

/* A snapshot brings contents of its own; the image follows them. */
static bool pflash_loaded(Device *dev, GError **error)
{
    Pflash *f = (Pflash *)dev;
    PflashState *s = &f->s;

    if (s->reads > READ_QUERY || s->next > NEXT_BUFFER_CONFIRM || s->buffer_count > BUFFER ||
        s->buffer_page > f->size - BUFFER || s->buffer_page % BUFFER) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad state of flash '%s'", dev->id);
        return false;
    }
    if (!block_readonly(f->blk)) {
        changed(f, 0, f->size);
    }
    return true;
}

static const Prop pflash_props[] = {
    PROP(Pflash, blk, "drive", PROP_DRIVE, NULL, "drive or block node with the contents"),
    { 0 },
};

const DeviceType cfi_pflash01_type = {
    .name = "cfi.pflash01",
    .about = "parallel flash, Intel's command set",
    .bus = "system",
    .size = sizeof(Pflash),
    .state_at = offsetof(Pflash, s),
    .state = PflashState_fields,
    .props = pflash_props,
    .realize = pflash_realize,
    .post_load = pflash_loaded,
    .update = pflash_update,
};
