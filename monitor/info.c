/* What `info` shows of the machine as a whole and of its backends. */
#include "monitor/internal.h"

#include "accel/accel.h"
#include "backends/block.h"
#include "backends/net.h"
#include "config.h"
#include "core/display.h"
#include "hw/pci/pci.h"
#include "util/bits.h"

#include <string.h>

void info_version(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "%s (Myna)\n", MYNA_VERSION);
}

void info_status(Hmp *hmp, const HmpArgs *args)
{
    RunState state = machine_state();

    if (state == RUN_RUNNING || state == RUN_PAUSED) {
        hmp_printf(hmp, "VM status: %s\n", run_state_name(state));
    } else {
        hmp_printf(hmp, "VM status: paused (%s)\n", run_state_name(state));
    }
}

void info_name(Hmp *hmp, const HmpArgs *args)
{
    if (machine_config.name) {
        hmp_printf(hmp, "%s\n", machine_config.name);
    }
}

void info_uuid(Hmp *hmp, const HmpArgs *args)
{
    const uint8_t *id = machine_config.uuid;

    hmp_printf(hmp, "%08x-%04x-%04x-%04x-%04x%08x\n", load_be32(id), load_be16(id + 4),
               load_be16(id + 6), load_be16(id + 8), load_be16(id + 10), load_be32(id + 12));
}

void info_kvm(Hmp *hmp, const HmpArgs *args)
{
    bool on = accel && g_str_equal(accel->name, "kvm");

    hmp_printf(hmp, "kvm support: %s\n", on ? "enabled" : "disabled");
}

void info_cpus(Hmp *hmp, const HmpArgs *args)
{
    for (int i = 0; i < cpu_count(); i++) {
        Cpu *cpu = cpu_get(i);

        hmp_printf(hmp, "%c CPU #%d: %s%s\n", i == hmp->cpu ? '*' : ' ', i, cpu->type->name,
                   cpu->halted ? " (halted)" : "");
    }
}

typedef struct Describe {
    char *text;
} Describe;

static void describe_cpu(Cpu *cpu, void *data)
{
    ((Describe *)data)->text = cpu->type->describe(cpu, true);
}

static void put_registers(Hmp *hmp, Cpu *cpu)
{
    Describe d = { 0 };

    if (cpu->type->describe) {
        monitor_on_cpu(cpu, describe_cpu, &d);
        hmp_printf(hmp, "\nCPU#%d\n%s", cpu->index, d.text);
        g_free(d.text);
    }
}

void info_registers(Hmp *hmp, const HmpArgs *args)
{
    Cpu *cpu = hmp_cpu(hmp);

    if (hmp_flag(args, "-a")) {
        for (int i = 0; i < cpu_count(); i++) {
            put_registers(hmp, cpu_get(i));
        }
    } else if (cpu) {
        put_registers(hmp, cpu);
    }
}

/* Prints and frees. */
static void put_text(Hmp *hmp, char *text)
{
    if (text) {
        hmp_printf(hmp, "%s%s", text, *text && !g_str_has_suffix(text, "\n") ? "\n" : "");
    }
    g_free(text);
}

void info_mtree(Hmp *hmp, const HmpArgs *args)
{
    put_text(hmp, memory_describe(hmp_flag(args, "-f")));
}

void info_pci(Hmp *hmp, const HmpArgs *args)
{
    if (bus_find_kind("pci")) {
        put_text(hmp, pci_describe());
    } else {
        hmp_printf(hmp, "This machine has no PCI bus\n");
    }
}

static void put_net(NetBackend *net, void *opaque)
{
    const char *user = device_using(PROP_NETDEV, net_id(net));

    if (user) {
        hmp_printf(opaque, "%s: link %s\n \\ ", user, net_link_up(net) ? "up" : "down");
    }
    put_text(opaque, net_describe(net));
}

void info_network(Hmp *hmp, const HmpArgs *args)
{
    net_for_each(put_net, hmp);
}

static void put_char(CharBackend *chr, void *opaque)
{
    put_text(opaque, char_describe(chr));
}

void info_chardev(Hmp *hmp, const HmpArgs *args)
{
    char_for_each(put_char, hmp);
}

void info_mice(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "* %s pointer\n", input_pointer_is_absolute() ? "absolute" : "relative");
}

void info_snapshots(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "There is no snapshot available.\n");
}

void info_jit(Hmp *hmp, const HmpArgs *args)
{
    if (accel && accel->describe) {
        put_text(hmp, accel->describe());
    } else {
        hmp_printf(hmp, "No translator runs\n");
    }
}

void info_screen(Hmp *hmp, const HmpArgs *args)
{
    Console *con = console_get(0);
    char *text = NULL;

    if (con) {
        console_update(con);
        text = console_text(con);
    }
    if (text) {
        put_text(hmp, text);
    } else {
        hmp_printf(hmp, "The screen is not in text mode\n");
    }
}

void info_history(Hmp *hmp, const HmpArgs *args)
{
    for (guint i = 0; hmp->history && i < hmp->history->len; i++) {
        hmp_printf(hmp, "%u: '%s'\n", i, (const char *)hmp->history->pdata[i]);
    }
}
