/* What a monitor can do to the machine, for people and programs alike. */
#include "monitor/internal.h"

#include "accel/accel.h"
#include "backends/block.h"
#include "backends/net.h"
#include "core/clock.h"
#include "core/display.h"
#include "hw/usb/usb.h"
#include "util/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- run state ---- */

bool action_continue(GError **error)
{
    RunState state = machine_state();

    if (state == RUN_SHUTDOWN || state == RUN_INTERNAL_ERROR || state == RUN_GUEST_PANICKED) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the machine must be reset first (it is in state '%s')",
                    run_state_name(state));
        return false;
    }
    machine_continue();
    return true;
}

void action_quit(void)
{
    qmp_set_shutdown_reason("host-qmp-quit");
    machine_request_shutdown(SHUTDOWN_HOST);
}

void action_reset(void)
{
    qmp_set_reset_reason("host-qmp-system-reset");
    machine_request_reset(SHUTDOWN_HOST);
}

/* ---- keys ---- */

/* What is still to be pressed and released, in order; groups do not overlap. */
typedef struct KeyStep {
    InputKey key;
    bool down;
    int then_wait_ms;
} KeyStep;

static GQueue key_steps = G_QUEUE_INIT;
static Timer *key_timer;

static void run_key_steps(void *opaque)
{
    KeyStep *step;

    while ((step = g_queue_pop_head(&key_steps))) {
        int wait = step->then_wait_ms;

        input_send_key(step->key, step->down);
        input_send_sync();
        g_free(step);
        if (wait) {
            timer_set(key_timer, clock_now(CLOCK_REAL) + wait * NS_PER_MS);
            return;
        }
    }
}

static void add_key_step(InputKey key, bool down, int then_wait_ms)
{
    KeyStep *step = g_new(KeyStep, 1);

    *step = (KeyStep){ key, down, then_wait_ms };
    g_queue_push_tail(&key_steps, step);
}

void action_press_keys(const InputKey *keys, int count, int hold_ms)
{
    if (!key_timer) {
        key_timer = timer_new(CLOCK_REAL, run_key_steps, NULL);
    }
    for (int i = 0; i < count; i++) {
        add_key_step(keys[i], true, i == count - 1 ? hold_ms : 0);
    }
    for (int i = count - 1; i >= 0; i--) {
        add_key_step(keys[i], false, i ? 0 : MIN(hold_ms, 20)); /* a gap before the next group */
    }
    if (!timer_pending(key_timer)) {
        run_key_steps(NULL);
    }
}

static InputKey find_key(const char *name)
{
    if (g_str_has_prefix(name, "0x")) {
        return input_key_by_number(strtol(name, NULL, 16));
    }
    return input_key_by_name(g_str_equal(name, "<") ? "less" : name);
}

bool action_send_keys(const char *keys, int hold_ms, GError **error)
{
    g_auto(GStrv) names = g_strsplit(keys, "-", -1);
    InputKey found[16] = { 0 };
    int count = 0;

    for (char **name = names; *name; name++) {
        InputKey key = find_key(*name);

        if (!key || count == G_N_ELEMENTS(found)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, key ? "too many keys at '%s'"
                                                            : "unknown key: '%s'", *name);
            return false;
        }
        found[count++] = key;
    }
    action_press_keys(found, count, hold_ms);
    return true;
}

/* ---- files ---- */

bool action_screendump(const char *path, const char *format, GError **error)
{
    Console *con = console_get(0);

    if (!con || console_is_text(con)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no console to take a screendump from");
        return false;
    }
    return console_screendump(con, path, format, error);
}

typedef struct SaveMemory {
    uint64_t addr, size;
    FILE *file;
    bool mapped;
    int code; /* errno of writing */
} SaveMemory;

static void save_part(Cpu *cpu, void *data)
{
    SaveMemory *save = data;
    uint8_t buf[4096];

    while (save->size) {
        uint64_t n = MIN(save->size, sizeof(buf) - (save->addr & (sizeof(buf) - 1)));

        if (cpu && !accel_debug_read(cpu, save->addr, buf, n)) {
            save->mapped = false;
            return;
        }
        if (!cpu) {
            memory_read(memory_system(), save->addr, buf, n);
        }
        if (fwrite(buf, 1, n, save->file) != n) {
            save->code = errno;
            return;
        }
        save->addr += n;
        save->size -= n;
    }
}

bool action_save_memory(Cpu *cpu, uint64_t addr, uint64_t size, const char *path, GError **error)
{
    SaveMemory save = { addr, size, fopen(path, "we"), true, 0 };

    if (!save.file) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", path, g_strerror(errno));
        return false;
    }
    if (cpu) {
        monitor_on_cpu(cpu, save_part, &save);
    } else {
        save_part(NULL, &save);
    }
    if (fclose(save.file) != 0 && !save.code) {
        save.code = errno;
    }
    if (!save.mapped) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "address 0x%" G_GINT64_MODIFIER "x is not mapped",
                    save.addr);
    } else if (save.code) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", path,
                    g_strerror(save.code));
    }
    return save.mapped && !save.code;
}

/* ---- devices and media ---- */

/* Of pointer properties the device keeps what they were set from. */
static const char *pointer_id(Device *dev, PropKind kind)
{
    for (const Prop *prop = dev->type->props; prop && prop->name; prop++) {
        if (prop->kind == kind && dev->ids) {
            const char *id = g_hash_table_lookup(dev->ids, prop->name);

            if (id) {
                return id;
            }
        }
    }
    return NULL;
}

typedef struct UserSearch {
    PropKind kind;
    const char *id, *found;
} UserSearch;

static void check_user(Device *dev, void *opaque)
{
    UserSearch *search = opaque;
    const char *id = pointer_id(dev, search->kind);

    if (id && g_str_equal(id, search->id)) {
        search->found = dev->id;
    }
}

const char *device_using(PropKind kind, const char *id)
{
    UserSearch search = { kind, id, NULL };

    device_for_each(check_user, &search);
    return search.found;
}

BlockBackend *action_find_drive(const char *name, GError **error)
{
    BlockBackend *blk = block_find(name);
    Device *dev = blk ? NULL : device_find(name);
    const char *id = dev ? pointer_id(dev, PROP_DRIVE) : NULL;

    if (id) {
        blk = block_find(id);
    }
    if (!blk) {
        g_set_error(error, VM_ERROR, VM_ERROR_NOT_FOUND, "Device '%s' not found", name);
    }
    return blk;
}

static void tray_event(const BlockBackend *blk, bool open)
{
    const char *user = device_using(PROP_DRIVE, block_id(blk));
    Json *data = json_object();

    json_set_string(data, "device", block_id(blk));
    json_set_string(data, "id", user ? user : "");
    json_set_bool(data, "tray-open", open);
    monitor_event("DEVICE_TRAY_MOVED", data);
}

bool action_eject(const char *name, bool force, GError **error)
{
    BlockBackend *blk = action_find_drive(name, error);

    if (!blk || !block_eject(blk, force, error)) {
        return false;
    }
    tray_event(blk, true);
    return true;
}

bool action_change(const char *name, const char *file, const char *format, bool readonly,
                   GError **error)
{
    BlockBackend *blk = action_find_drive(name, error);

    if (!blk || !block_change(blk, file, format, readonly || block_is_cdrom(blk), error)) {
        return false;
    }
    tray_event(blk, true);
    tray_event(blk, false);
    return true;
}

bool action_drive_del(BlockBackend *blk, GError **error)
{
    const char *user = device_using(PROP_DRIVE, block_id(blk));

    if (user || block_is_claimed(blk)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "drive '%s' is in use by device '%s'", block_id(blk),
                    user ? user : block_options(blk)->interface);
        return false;
    }
    block_delete(blk);
    return true;
}

bool action_node_del(const char *node_name, GError **error)
{
    BlockBackend *around = block_find(node_name);

    /* What a device that is gone by now had around it. */
    if (around && block_options(around)->is_node && !action_drive_del(around, error)) {
        return false;
    }
    return block_node_del(node_name, error);
}

bool action_device_add(const char *options, GError **error)
{
    if (!monitor_hooks.add_device) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "this program adds no devices");
        return false;
    }
    return monitor_hooks.add_device(options, error) != NULL;
}

bool action_device_del(const char *id, GError **error)
{
    Device *dev = device_find(id);

    if (!dev) {
        g_set_error(error, VM_ERROR, VM_ERROR_NOT_FOUND, "Device '%s' not found", id);
        return false;
    }
    if (!dev->type->hotplug || !dev->type->unrealize) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Device '%s' cannot be unplugged", id);
        return false;
    }
    if (dev->bus && dev->bus->unplug_request) {
        return dev->bus->unplug_request(dev, error);
    }
    device_unplug(dev);
    return true;
}

bool action_usb_add(const char *spec, GError **error)
{
    if (!monitor_hooks.add_usb) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "this program adds no devices");
        return false;
    }
    return monitor_hooks.add_usb(spec, error);
}

bool action_usb_del(const char *address, GError **error)
{
    UsbDevice *usb = usb_find_by_address(address);

    if (!usb) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no USB device '%s'; info usb lists them",
                    address);
        return false;
    }
    return action_device_del(usb->dev.id, error);
}

bool action_set_link(const char *name, bool up, GError **error)
{
    NetBackend *net = net_find(name);
    Device *dev = net ? NULL : device_find(name);
    const char *id = dev ? pointer_id(dev, PROP_NETDEV) : NULL;

    if (id) {
        net = net_find(id);
    }
    if (!net) {
        g_set_error(error, VM_ERROR, VM_ERROR_NOT_FOUND, "Device '%s' not found", name);
        return false;
    }
    net_set_link(net, up);
    return true;
}
