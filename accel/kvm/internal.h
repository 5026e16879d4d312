/* Shared by the files of the KVM engine and nobody else. API: the kernel's Documentation/virt/kvm/api.rst. */
#ifndef ACCEL_KVM_INTERNAL_H
#define ACCEL_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>

#include "accel/internal.h"
#include "core/irqchip.h"

/* What of interrupt controllers is in the kernel. */
typedef enum KvmChips { CHIPS_OFF, CHIPS_SPLIT, CHIPS_ON } KvmChips;

typedef struct Kvm {
    int fd, vm;
    KvmChips chips;
    bool ioeventfd, irqfd, any_length, adjust_clock, tsc_offset, deadline_timer;
    bool readonly_memory, sregs2, xcrs, debugregs, guest_debug;
    int run_size;   /* bytes of a vCPU's shared page and what follows it */
    int xsave_size; /* bytes that KVM_GET_XSAVE2 fills; 0: only KVM_GET_XSAVE */
    int dirty_ring; /* entries; 0: bitmaps */
    int max_cpus, max_slots, max_routes;
    struct kvm_coalesced_mmio_ring *ring; /* in the first vCPU's mapping; NULL: none */
    int ring_page; /* its offset there, in pages; 0: none */
} Kvm;

extern Kvm kvm;

/* A watched range: debug registers hold at most four, of 1, 2, 4 or 8 bytes. */
typedef struct KvmWatch {
    VirtAddr addr;
    uint32_t size;
    bool on_read, on_write;
} KvmWatch;

typedef struct KvmCpu {
    Cpu *cpu;
    int fd;
    pthread_t thread_id;
    struct kvm_run *run;
    bool loaded;         /* the registers are in the kernel, and the state struct is out of date */
    bool io_unfinished;  /* the kernel completes the last access when the vCPU is entered again */
    bool guest_debug_changed;
    bool deadline_waits; /* the next push writes it, after the time stamp counter */
    uint64_t deadline;
    _Atomic bool single_step;
    _Atomic bool in_run; /* a kick must interrupt KVM_RUN */
    struct kvm_dirty_gfn *dirty; /* its ring, or NULL */
    uint32_t dirty_next;         /* to look at */
    GArray *watchpoints; /* of KvmWatch */
} KvmCpu;

static inline KvmCpu *kvm_cpu(Cpu *cpu)
{
    return cpu->engine;
}

/* An ioctl that is repeated when a signal interrupts it. -1 and errno on failure. */
int kvm_ioctl(int fd, unsigned long request, void *arg);

/* x86-state.c: between the kernel's registers and X86State. In the CPU's thread. */
bool kvm_state_init(GError **error);
void kvm_state_pull(KvmCpu *kc); /* nothing if it is here already */
void kvm_state_push(KvmCpu *kc);
void kvm_sync_registers(Cpu *cpu, bool write); /* of Cpu */

/* An 8259's vector that the guest can take now, past its APIC in the kernel. */
void kvm_inject_external(KvmCpu *kc, uint8_t vector);
uint64_t kvm_get_msr(KvmCpu *kc, uint32_t msr); /* 0 if the kernel has no such */
void kvm_set_msr(KvmCpu *kc, uint32_t msr, uint64_t value);

/* irqchip.c */
bool kvm_irqchip_make(GError **error); /* before the first vCPU */
const IrqchipOps *kvm_irqchip_ops(void);
void kvm_irqchip_push_deadline(KvmCpu *kc);
void kvm_irqchip_run(bool run); /* the machine goes on, or stands; also when KVM becomes its engine */
void kvm_irqchip_leave(void);
/* Routes of interrupts: those of a PC's wires, at most, and of inputs of the I/O APIC, which come first. */
enum { KVM_PINS = 24, KVM_FIXED_ROUTES = 16 + KVM_PINS };
bool kvm_set_routes(void); /* false: errno */
void kvm_add_message_route(struct kvm_irq_routing *table, uint32_t gsi, uint64_t address, uint32_t data);

/* irqfd.c: of IrqchipOps */
int kvm_irqfd_connect(int fd, uint64_t address, uint32_t data);
void kvm_irqfd_disconnect(int route, int fd);
unsigned kvm_irqfd_count(void); /* most routes that it adds */
void kvm_irqfd_add_routes(struct kvm_irq_routing *table);

/* x86-cpuid.c */
bool kvm_cpuid_init(GError **error); /* tells the target which features there are */
bool kvm_cpuid_set(KvmCpu *kc, GError **error);

/* memory.c */
void kvm_memory_enter(void);
void kvm_memory_leave(void);
void kvm_slot_written(uint32_t slot, uint64_t page);
void kvm_flush_coalesced(void); /* stores that wait in the ring reach their devices */

/* ioeventfd.c */
void kvm_doorbells_changed(AddressSpace *as);

/* run.c */
void *kvm_cpu_thread(void *opaque);
void kvm_kick(Cpu *cpu);
void kvm_install_kick_signal(void);

/* failure.c: each says what happened and makes the machine stand. */
void kvm_fail_run(KvmCpu *kc, int number); /* KVM_RUN's errno */
void kvm_fail_internal(KvmCpu *kc);
void kvm_fail_entry(KvmCpu *kc);
void kvm_fail_unknown(KvmCpu *kc);

/* dirty-ring.c */
bool kvm_ring_enable(GError **error); /* before the first vCPU; nothing if kvm.dirty_ring is 0 */
bool kvm_ring_map(KvmCpu *kc, GError **error);
void kvm_ring_collect(void); /* machine lock held */

/* debug.c */
bool kvm_insert_breakpoint(Cpu *cpu, VirtAddr addr);
bool kvm_remove_breakpoint(Cpu *cpu, VirtAddr addr);
bool kvm_insert_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write);
bool kvm_remove_watchpoint(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write);
void kvm_set_single_step(Cpu *cpu, bool on);
bool kvm_debug_in_use(void);
void kvm_debug_apply(KvmCpu *kc); /* before KVM_RUN */
void kvm_debug_exit(KvmCpu *kc);  /* after KVM_EXIT_DEBUG */

#endif
