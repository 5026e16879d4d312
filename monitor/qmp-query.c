/* QMP queries about the machine, its CPUs and backends. */
#include "monitor/internal.h"

#include "accel/accel.h"
#include "backends/block.h"
#include "hw/pci/pci.h"
#include "util/bits.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

Json *qmp_query_status(const Json *arguments, GError **error)
{
    Json *status = json_object();

    json_set_bool(status, "running", machine_state() == RUN_RUNNING);
    json_set_bool(status, "singlestep", false);
    json_set_string(status, "status", run_state_name(machine_state()));
    return status;
}

Json *qmp_query_name(const Json *arguments, GError **error)
{
    Json *name = json_object();

    if (machine_config.name) {
        json_set_string(name, "name", machine_config.name);
    }
    return name;
}

Json *qmp_query_uuid(const Json *arguments, GError **error)
{
    const uint8_t *id = machine_config.uuid;
    Json *uuid = json_object();

    json_set(uuid, "UUID", json_printf("%08x-%04x-%04x-%04x-%04x%08x", load_be32(id),
                                       load_be16(id + 4), load_be16(id + 6), load_be16(id + 8),
                                       load_be16(id + 10), load_be32(id + 12)));
    return uuid;
}

Json *qmp_query_kvm(const Json *arguments, GError **error)
{
    bool on = accel && g_str_equal(accel->name, "kvm");
    Json *kvm = json_object();

    json_set_bool(kvm, "enabled", on);
    json_set_bool(kvm, "present", true); /* this build can; whether it works here, -accel help tells */
    return kvm;
}

static const char *target_name(void)
{
    return monitor_hooks.target ? monitor_hooks.target : "x86_64";
}

Json *qmp_query_target(const Json *arguments, GError **error)
{
    Json *target = json_object();

    json_set_string(target, "arch", target_name());
    return target;
}

Json *qmp_query_machines(const Json *arguments, GError **error)
{
    Json *list = json_array();

    for (int i = 0; monitor_hooks.boards && monitor_hooks.boards[i]; i++) {
        const BoardType *board = monitor_hooks.boards[i];
        Json *machine = json_object();

        json_set_string(machine, "name", board->name);
        if (board->alias) {
            json_set_string(machine, "alias", board->alias);
        }
        if (board->is_default) {
            json_set_bool(machine, "is-default", true);
        }
        json_set_int(machine, "cpu-max", board->max_cpus);
        json_set_bool(machine, "hotpluggable-cpus", false);
        json_set_bool(machine, "numa-mem-supported", false);
        json_set_bool(machine, "deprecated", false);
        json_append(list, machine);
    }
    return list;
}

Json *qmp_query_current_machine(const Json *arguments, GError **error)
{
    Json *machine = json_object();

    json_set_bool(machine, "wakeup-suspend-support", false);
    return machine;
}

Json *qmp_query_memory(const Json *arguments, GError **error)
{
    Json *memory = json_object();

    json_set(memory, "base-memory", json_uint(machine_config.ram_size));
    json_set_int(memory, "plugged-memory", 0);
    return memory;
}

static void find_thread(Cpu *cpu, void *data)
{
    *(long *)data = syscall(SYS_gettid);
}

Json *qmp_query_cpus(const Json *arguments, GError **error)
{
    Json *list = json_array();

    for (int i = 0; i < cpu_count(); i++) {
        Json *cpu = json_object(), *props = json_object();
        long thread = 0;

        monitor_on_cpu(cpu_get(i), find_thread, &thread);
        json_set_int(props, "core-id", i);
        json_set_int(props, "thread-id", 0);
        json_set_int(props, "socket-id", 0);
        json_set_int(cpu, "thread-id", thread);
        json_set(cpu, "props", props);
        json_set(cpu, "qom-path", json_printf("/machine/unattached/device[%d]", i));
        json_set_int(cpu, "cpu-index", i);
        json_set_string(cpu, "target", target_name());
        json_append(list, cpu);
    }
    return list;
}

Json *qmp_query_cpu_definitions(const Json *arguments, GError **error)
{
    Cpu *cpu = cpu_get(0);
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;
    Json *list = json_array();

    if (cpu && cpu->type->list_models) {
        cpu->type->list_models(text);
    }
    lines = g_strsplit(text->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        size_t indent = strspn(*line, " \t"), n = strcspn(*line + indent, " \t");
        const char *start = *line + indent;

        if (indent && n) { /* what is not indented is a heading */
            g_autofree char *name = g_strndup(start, n);
            Json *model = json_object();

            json_set_string(model, "name", name);
            json_set_bool(model, "static", false);
            json_set_bool(model, "migration-safe", true);
            json_append(list, model);
        }
    }
    return list;
}

/* ---- character devices, input ---- */

static void add_char(CharBackend *chr, void *opaque)
{
    g_autofree char *text = char_describe(chr);
    const char *file = strstr(text, "filename=");
    Json *info = json_object();

    json_set_string(info, "label", char_id(chr));
    json_set_string(info, "filename", file ? file + strlen("filename=") : text);
    json_set_bool(info, "frontend-open", char_connected(chr));
    json_append(opaque, info);
}

Json *qmp_query_chardev(const Json *arguments, GError **error)
{
    Json *list = json_array();

    char_for_each(add_char, list);
    return list;
}

Json *qmp_query_chardev_backends(const Json *arguments, GError **error)
{
    static const char *const kinds[] = {
        "file", "mux", "null", "parallel", "pipe", "pty", "serial", "socket", "stdio", "vc",
    };
    Json *list = json_array();

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        Json *kind = json_object();

        json_set_string(kind, "name", kinds[i]);
        json_append(list, kind);
    }
    return list;
}

Json *qmp_query_mice(const Json *arguments, GError **error)
{
    Json *list = json_array(), *mouse = json_object();

    json_set_string(mouse, "name", "pointer");
    json_set_int(mouse, "index", 0);
    json_set_bool(mouse, "current", true);
    json_set_bool(mouse, "absolute", input_pointer_is_absolute());
    json_append(list, mouse);
    return list;
}

/* ---- PCI ---- */

static Json *describe_bars(const PciDevice *pci)
{
    Json *list = json_array();

    for (int i = 0; i < 7; i++) {
        const PciBar *bar = &pci->bars[i];
        Json *region = json_object();

        if (!bar->size) {
            json_free(region);
            continue;
        }
        json_set_int(region, "bar", i);
        json_set_string(region, "type", bar->kind & PCI_BAR_IO ? "io" : "memory");
        json_set(region, "address",
                 bar->mapped == UINT64_MAX ? json_int(-1) : json_uint(bar->mapped));
        json_set(region, "size", json_uint(bar->size));
        if (!(bar->kind & PCI_BAR_IO)) {
            json_set_bool(region, "prefetch", bar->kind & PCI_BAR_PREFETCH);
            json_set_bool(region, "mem_type_64", bar->kind & PCI_BAR_MEM64);
        }
        json_append(list, region);
    }
    return list;
}

static Json *describe_function(const PciDevice *pci)
{
    Json *function = json_object(), *class = json_object(), *id = json_object();

    json_set_int(class, "class", load_le16(pci->config + 0x0a));
    json_set_int(id, "device", load_le16(pci->config + 2));
    json_set_int(id, "vendor", load_le16(pci->config));
    json_set_int(function, "bus", pci_bus_number(pci->bus));
    json_set_int(function, "slot", PCI_SLOT(pci->devfn));
    json_set_int(function, "function", PCI_FUNC(pci->devfn));
    json_set(function, "class_info", class);
    json_set(function, "id", id);
    if (pci->config[0x3d]) {
        json_set_int(function, "irq", pci->config[0x3c]);
    }
    json_set_int(function, "irq_pin", pci->config[0x3d]);
    json_set_string(function, "qdev_id", pci->dev.id);
    json_set(function, "regions", describe_bars(pci));
    return function;
}

static void add_pci_bus(Bus *bus, void *opaque)
{
    Json *info, *devices;

    if (strcmp(bus->kind, "pci")) {
        return;
    }
    info = json_object();
    devices = json_array();
    for (guint i = 0; i < bus->devices->len; i++) {
        json_append(devices, describe_function(bus->devices->pdata[i]));
    }
    json_set_int(info, "bus", pci_bus_number((PciBus *)bus));
    json_set(info, "devices", devices);
    json_append(opaque, info);
}

Json *qmp_query_pci(const Json *arguments, GError **error)
{
    Json *list = json_array();

    bus_for_each(add_pci_bus, list);
    return list;
}
