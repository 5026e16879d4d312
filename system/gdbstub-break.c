/* Breakpoints and watchpoints that gdb has set. */
#include "system/gdbstub.h"

#include "core/cpu.h"

enum { SOFTWARE, HARDWARE, WRITE, READ, ACCESS };

typedef struct Point {
    int type;
    VirtAddr addr;
    uint64_t size;
} Point;

static GArray *points;

static int find(int type, VirtAddr addr, uint64_t size)
{
    for (guint i = 0; points && i < points->len; i++) {
        const Point *p = &g_array_index(points, Point, i);

        if (p->type == type && p->addr == addr && (type <= HARDWARE || p->size == size)) {
            return i;
        }
    }
    return -1;
}

bool gdb_has_breakpoint(VirtAddr addr)
{
    return find(SOFTWARE, addr, 0) >= 0 || find(HARDWARE, addr, 0) >= 0;
}

/* On all CPUs, or on none. */
static bool watch(const Point *p, bool insert)
{
    bool on_read = p->type != WRITE, on_write = p->type != READ;
    bool (*change)(Cpu *, VirtAddr, VirtAddr, bool, bool) =
        insert ? accel->insert_watchpoint : accel->remove_watchpoint;

    for (int i = 0; change && i < cpu_count(); i++) {
        if (!change(cpu_get(i), p->addr, p->size, on_read, on_write) && insert) {
            while (i-- > 0) {
                accel->remove_watchpoint(cpu_get(i), p->addr, p->size, on_read, on_write);
            }
            return false;
        }
    }
    return change != NULL;
}

/* Both kinds of breakpoint are the engine's: the guest's code stays as it is. */
static bool set_break(VirtAddr addr, bool insert)
{
    bool (*change)(Cpu *, VirtAddr) = insert ? accel->insert_breakpoint : accel->remove_breakpoint;

    return change && change(cpu_get(0), addr);
}

GdbResult gdb_insert(int type, VirtAddr addr, uint64_t size)
{
    Point point = { type, addr, size };

    if (type < SOFTWARE || type > ACCESS) {
        return GDB_UNKNOWN;
    }
    if (find(type, addr, size) >= 0) {
        return GDB_OK;
    }
    if (type <= HARDWARE ? !gdb_has_breakpoint(addr) && !set_break(addr, true)
                         : !size || !watch(&point, true)) {
        return GDB_FAILED;
    }
    if (!points) {
        points = g_array_new(FALSE, FALSE, sizeof(Point));
    }
    g_array_append_val(points, point);
    return GDB_OK;
}

GdbResult gdb_remove(int type, VirtAddr addr, uint64_t size)
{
    int at = find(type, addr, size);
    Point point;

    if (type < SOFTWARE || type > ACCESS) {
        return GDB_UNKNOWN;
    }
    if (at < 0) {
        return GDB_FAILED;
    }
    point = g_array_index(points, Point, at);
    g_array_remove_index_fast(points, at);
    if (type > HARDWARE) {
        watch(&point, false);
    } else if (!gdb_has_breakpoint(addr)) {
        set_break(addr, false);
    }
    return GDB_OK;
}

void gdb_remove_all(void)
{
    while (points && points->len) {
        Point last = g_array_index(points, Point, points->len - 1);

        gdb_remove(last.type, last.addr, last.size);
    }
}
