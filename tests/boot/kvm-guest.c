/*
 * A small user of /dev/kvm: runs a few instructions of a guest for each thing that a hypervisor does, and checks what comes
 * out. It runs in the guest of tests/boot/nested.py, statically linked; each step prints a line, the last is KVM-END.
 * API: the kernel's Documentation/virt/kvm/api.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    RAM_SIZE = 2 << 20,
    CODE = 0x1000,      /* where each guest program begins */
    STACK = 0x8000,
    TABLES = 0x10000,   /* page tables: PML4, PDPT, PD; then the IDT and the GDT */
    IDT = 0x13000,
    DATA = 0x20000,
    ROM = 0xe0000,      /* a page of its own, read-only */
    DEVICE = 0xd0000,   /* nothing: accesses come out */
};

typedef struct Vm {
    int fd;
    uint8_t *ram;
    int cpu[2];
    struct kvm_run *run[2];
} Vm;

static int kvm;
static const char *step = "start";

__attribute__((noreturn)) static void fail(const char *what, long value)
{
    printf("KVM-FAIL %s: %s: %lx, errno %s\n", step, what, value, strerror(errno));
    exit(1);
}

static int must(int result, const char *what)
{
    if (result < 0) {
        fail(what, result);
    }
    return result;
}

/* ---- guest programs, each from its label to the next ---- */

extern const uint8_t ports[], mmio[], rom[], window[], faults[], pic[], spin[], pages[], count[], steps[], ping[], end[];

asm(".pushsection .rodata\n"
    ".code16\n"
    "ports:  mov $0x1234, %ax; out %ax, $0x10; in $0x11, %eax; rol $8, %eax; mov $0x12, %dx; out %eax, %dx\n"
    "        mov $0x1000, %si; mov $5, %cx; mov $0x13, %dx; rep outsb; hlt\n"
    "mmio:   mov $0xd000, %ax; mov %ax, %es; movl $0xcafe1234, %es:0x10; mov %es:0x20, %ax; out %ax, $0x10\n"
    "        lock incb %es:0x30; movups %es:0x40, %xmm0; movups %xmm0, 0x2000; hlt\n"
    "rom:    mov $0xe000, %ax; mov %ax, %es; mov %es:4, %al; out %al, $0x10; movb $9, %es:4; mov %es:4, %al\n"
    "        out %al, $0x10; hlt\n"
    "window: cli; movw $1f - window + 0x1000, 0x80; movw $0, 0x82; out %al, $0x10; nop; sti; nop; nop; hlt\n"
    "1:      push %ax; mov $0x77, %al; out %al, $0x11; pop %ax; iret\n"
    "faults: movw $1f - faults + 0x1000, 0; movw $0, 2; movw $2f - faults + 0x1000, 12; movw $0, 14; xor %cx, %cx\n"
    "        div %cx\n"
    "1:      mov $0x50, %al; out %al, $0x10; int3; hlt\n"
    "2:      mov $0x53, %al; out %al, $0x10; add $6, %sp; hlt\n"
    "pic:    movw $1f - pic + 0x1000, 0x80; movw $0, 0x82; mov $0x11, %al; out %al, $0x20; mov $0x20, %al; out %al, $0x21\n"
    "        mov $4, %al; out %al, $0x21; mov $1, %al; out %al, $0x21; mov $0xfe, %al; out %al, $0x21; out %al, $0x80\n"
    "        sti\n"
    "2:      hlt; jmp 2b\n"
    "1:      mov $0x20, %al; out %al, $0x20; mov $0x66, %al; out %al, $0x81; iret\n"
    "spin:   inc %eax; jmp spin\n"
    "ping:   out %al, $0x10; jmp ping\n"
    ".code64\n"
    "pages:  xor %eax, %eax; cpuid; mov %ebx, %eax; out %eax, $0x10; mov $0xc0000082, %ecx; rdmsr; out %eax, $0x10\n"
    "        mov $0x40000000, %ebx; mov (%rbx), %eax; hlt\n"
    "        mov (%rsp), %eax; out %eax, $0x11; mov %cr2, %rax; out %eax, $0x11; hlt\n"
    "count:  mov $100000, %ecx\n"
    "1:      lock incq 0x20000; dec %ecx; jnz 1b; hlt\n"
    "steps:  nop; nop; cpuid; nop; hlt\n"
    "end:\n"
    ".popsection\n");

/* ---- machines ---- */

static void add_memory(Vm *vm, unsigned slot, uint32_t flags, uint64_t start, uint64_t size)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot, .flags = flags, .guest_phys_addr = start, .memory_size = size, .userspace_addr = (uintptr_t)vm->ram + start,
    };

    must(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "memory");
}

static void set_real_mode(Vm *vm, int cpu)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rflags = 2 };

    must(ioctl(vm->cpu[cpu], KVM_GET_SREGS, &sregs), "sregs");
    sregs.cs.base = sregs.cs.selector = 0;
    sregs.cr4 |= 0x600; /* SSE */
    must(ioctl(vm->cpu[cpu], KVM_SET_SREGS, &sregs), "sregs");
    must(ioctl(vm->cpu[cpu], KVM_SET_REGS, &regs), "registers");
}

/* Code of the list of programs goes to CODE; RAM, a ROM page and a hole for a device are there. */
static Vm make_vm(const uint8_t *code, const uint8_t *code_end, int cpus, bool irqchip, uint32_t flags)
{
    static struct kvm_cpuid2 *cpuid;
    Vm vm;
    int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "size");

    if (!cpuid) {
        cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(struct kvm_cpuid_entry2));
        cpuid->nent = 256;
        must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "CPUID");
    }
    vm.fd = must(ioctl(kvm, KVM_CREATE_VM, 0), "VM");
    vm.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(vm.ram + CODE, code, code_end - code);
    vm.ram[ROM + 4] = 0x42;
    add_memory(&vm, 0, flags, 0, DEVICE);
    add_memory(&vm, 1, KVM_MEM_READONLY, ROM, 0x1000);
    if (irqchip) {
        must(ioctl(vm.fd, KVM_CREATE_IRQCHIP, 0), "irqchip");
    }
    for (int i = 0; i < cpus; i++) {
        vm.cpu[i] = must(ioctl(vm.fd, KVM_CREATE_VCPU, i), "vCPU");
        vm.run[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vm.cpu[i], 0);
        must(ioctl(vm.cpu[i], KVM_SET_CPUID2, cpuid), "CPUID");
        set_real_mode(&vm, i);
    }
    return vm;
}

static void free_vm(Vm *vm, int cpus)
{
    for (int i = 0; i < cpus; i++) {
        munmap(vm->run[i], ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
        close(vm->cpu[i]);
    }
    close(vm->fd);
    munmap(vm->ram, RAM_SIZE);
}

static void set_long_mode(Vm *vm, int cpu)
{
    const struct kvm_segment data = { .limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };
    const struct kvm_segment code = { .limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 };
    uint64_t *tables = (uint64_t *)(vm->ram + TABLES);
    struct kvm_sregs sregs;

    tables[0] = (TABLES + 0x1000) | 7;
    tables[512] = (TABLES + 0x2000) | 7;
    tables[1024] = 0x87; /* the first 2 MiB as they are, and nothing above */
    must(ioctl(vm->cpu[cpu], KVM_GET_SREGS, &sregs), "sregs");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr3 = TABLES;
    sregs.cr4 |= 0x20;
    sregs.cr0 |= 0x80000001;
    sregs.efer = 0x500;
    sregs.idt.base = IDT;
    sregs.idt.limit = 0xfff;
    sregs.gdt.base = IDT + 0x1000;
    sregs.gdt.limit = 23;
    *(uint64_t *)(vm->ram + IDT + 0x1008) = 0x00af9b000000ffff;
    *(uint64_t *)(vm->ram + IDT + 0x1010) = 0x00cf93000000ffff;
    must(ioctl(vm->cpu[cpu], KVM_SET_SREGS, &sregs), "sregs for long mode");
}

/* ---- exits ---- */

static uint32_t next_exit(Vm *vm, int cpu)
{
    must(ioctl(vm->cpu[cpu], KVM_RUN, 0), "KVM_RUN");
    return vm->run[cpu]->exit_reason;
}

static void expect_exit(Vm *vm, uint32_t reason)
{
    uint32_t got = next_exit(vm, 0);

    if (got != reason) {
        fail("exit reason", got);
    }
}

static void *io_data(Vm *vm)
{
    return (char *)vm->run[0] + vm->run[0]->io.data_offset;
}

static void expect_out(Vm *vm, unsigned port, unsigned size, uint32_t value)
{
    struct kvm_run *run = vm->run[0];
    uint32_t got = 0;

    expect_exit(vm, KVM_EXIT_IO);
    memcpy(&got, io_data(vm), run->io.size);
    if (run->io.direction != KVM_EXIT_IO_OUT || run->io.port != port || run->io.size != size || got != value) {
        fail("output", (long)run->io.port << 32 | got);
    }
}

static void expect_mmio(Vm *vm, bool write, uint64_t addr, unsigned size)
{
    struct kvm_run *run = vm->run[0];

    expect_exit(vm, KVM_EXIT_MMIO);
    if (run->mmio.is_write != write || run->mmio.phys_addr != addr || run->mmio.len != size) {
        fail("access", run->mmio.phys_addr);
    }
}

/* ---- steps ---- */

static void test_ports(void)
{
    Vm vm = make_vm(ports, mmio, 1, false, 0);
    unsigned got = 0;
    char text[5];

    expect_out(&vm, 0x10, 2, 0x1234);
    expect_exit(&vm, KVM_EXIT_IO);
    if (vm.run[0]->io.direction != KVM_EXIT_IO_IN || vm.run[0]->io.size != 4) {
        fail("input", vm.run[0]->io.port);
    }
    memcpy(io_data(&vm), &(uint32_t){ 0x11223344 }, 4);
    expect_out(&vm, 0x12, 4, 0x22334411);
    while (got < sizeof(text)) { /* in one exit, or in several */
        expect_exit(&vm, KVM_EXIT_IO);
        if (vm.run[0]->io.port != 0x13 || vm.run[0]->io.count > sizeof(text) - got) {
            fail("string", vm.run[0]->io.count);
        }
        memcpy(text + got, io_data(&vm), vm.run[0]->io.count);
        got += vm.run[0]->io.count;
    }
    if (memcmp(text, ports, sizeof(text)) != 0) {
        fail("text", text[0]);
    }
    expect_exit(&vm, KVM_EXIT_HLT);
    free_vm(&vm, 1);
}

static void test_mmio(void)
{
    Vm vm = make_vm(mmio, rom, 1, false, 0);
    struct kvm_run *run = vm.run[0];

    expect_mmio(&vm, true, DEVICE + 0x10, 4);
    if (memcmp(run->mmio.data, &(uint32_t){ 0xcafe1234 }, 4) != 0) {
        fail("data", run->mmio.data[0]);
    }
    expect_mmio(&vm, false, DEVICE + 0x20, 2);
    memcpy(run->mmio.data, "\x21\x43", 2);
    expect_out(&vm, 0x10, 2, 0x4321);
    expect_mmio(&vm, false, DEVICE + 0x30, 1);
    run->mmio.data[0] = 7;
    expect_mmio(&vm, true, DEVICE + 0x30, 1);
    if (run->mmio.data[0] != 8) {
        fail("lock inc", run->mmio.data[0]);
    }
    for (unsigned at = 0; at < 16; at += 8) {
        expect_mmio(&vm, false, DEVICE + 0x40 + at, 8);
        memset(run->mmio.data, 0x10 + at, 8);
    }
    expect_exit(&vm, KVM_EXIT_HLT);
    if (vm.ram[0x2000] != 0x10 || vm.ram[0x200f] != 0x18) {
        fail("vector", vm.ram[0x2000]);
    }
    free_vm(&vm, 1);
}

static void test_rom(void)
{
    Vm vm = make_vm(rom, window, 1, false, 0);

    expect_out(&vm, 0x10, 1, 0x42);
    expect_mmio(&vm, true, ROM + 4, 1);
    expect_out(&vm, 0x10, 1, 0x42);
    expect_exit(&vm, KVM_EXIT_HLT);
    free_vm(&vm, 1);
}

/* An interrupt that must wait until the guest takes it. */
static void test_window(void)
{
    Vm vm = make_vm(window, faults, 1, false, 0);
    struct kvm_run *run = vm.run[0];

    expect_exit(&vm, KVM_EXIT_IO);
    run->request_interrupt_window = 1;
    expect_exit(&vm, KVM_EXIT_IRQ_WINDOW_OPEN);
    if (!run->ready_for_interrupt_injection || !run->if_flag) {
        fail("not ready", run->if_flag);
    }
    run->request_interrupt_window = 0;
    must(ioctl(vm.cpu[0], KVM_INTERRUPT, &(struct kvm_interrupt){ 0x20 }), "injection");
    expect_out(&vm, 0x11, 1, 0x77);
    expect_exit(&vm, KVM_EXIT_HLT);
    must(ioctl(vm.cpu[0], KVM_INTERRUPT, &(struct kvm_interrupt){ 0x20 }), "injection after HLT");
    expect_out(&vm, 0x11, 1, 0x77);
    free_vm(&vm, 1);
}

static void test_faults(void)
{
    Vm vm = make_vm(faults, pic, 1, false, 0);

    expect_out(&vm, 0x10, 1, 0x50);
    expect_out(&vm, 0x10, 1, 0x53);
    expect_exit(&vm, KVM_EXIT_HLT);
    free_vm(&vm, 1);
}

static void *raise_later(void *opaque)
{
    Vm *vm = opaque;

    usleep(100000);
    must(ioctl(vm->fd, KVM_IRQ_LINE, &(struct kvm_irq_level){ .irq = 0, .level = 1 }), "line");
    must(ioctl(vm->fd, KVM_IRQ_LINE, &(struct kvm_irq_level){ .irq = 0, .level = 0 }), "line");
    return NULL;
}

/* Interrupt controllers in the kernel: HLT waits there, and a line wakes it. */
static void test_pic(void)
{
    Vm vm = make_vm(pic, spin, 1, true, 0);
    pthread_t thread;

    expect_out(&vm, 0x80, 1, 0xfe);
    for (int i = 0; i < 3; i++) {
        pthread_create(&thread, NULL, raise_later, &vm);
        expect_out(&vm, 0x81, 1, 0x66);
        pthread_join(thread, NULL);
    }
    free_vm(&vm, 1);
}

static void ignore(int number)
{
}

/* A signal brings a guest out that never exits. */
static void test_kick(void)
{
    Vm vm = make_vm(spin, ping, 1, false, 0);
    struct itimerval timer = { .it_value.tv_usec = 100000 };
    struct kvm_regs regs;

    sigaction(SIGALRM, &(struct sigaction){ .sa_handler = ignore }, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    if (ioctl(vm.cpu[0], KVM_RUN, 0) != -1 || errno != EINTR) {
        fail("no signal", vm.run[0]->exit_reason);
    }
    must(ioctl(vm.cpu[0], KVM_GET_REGS, &regs), "registers");
    if (regs.rip < CODE || regs.rip >= CODE + (uint64_t)(ping - spin) || !regs.rax) {
        fail("pc", regs.rip);
    }
    vm.run[0]->immediate_exit = 1;
    if (ioctl(vm.cpu[0], KVM_RUN, 0) != -1 || errno != EINTR) {
        fail("no immediate exit", vm.run[0]->exit_reason);
    }
    free_vm(&vm, 1);
}

/* Long mode over nested paging: CPUID, an MSR, a page that is not there. */
static void test_pages(void)
{
    Vm vm = make_vm(pages, count, 1, false, 0);
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msr = { { .nmsrs = 1 }, { .index = 0xc0000082, .data = 0x5678 } };
    const uint8_t *handler = memchr(pages, 0xf4, count - pages);
    uint64_t at = CODE + (handler + 1 - pages);

    set_long_mode(&vm, 0);
    if (ioctl(vm.cpu[0], KVM_SET_MSRS, &msr) != 1) {
        fail("MSR", 0);
    }
    memcpy(vm.ram + IDT + 14 * 16, &(uint64_t[]){ at | 8 << 16 | UINT64_C(0x8e00) << 32, 0 }, 16);
    expect_exit(&vm, KVM_EXIT_IO);
    expect_out(&vm, 0x10, 4, 0x5678);
    expect_out(&vm, 0x11, 4, 0); /* error code: not present, read */
    expect_out(&vm, 0x11, 4, 0x40000000);
    expect_exit(&vm, KVM_EXIT_HLT);
    free_vm(&vm, 1);
}

typedef struct Runner {
    Vm *vm;
    int cpu;
} Runner;

static void *run_until_halt(void *opaque)
{
    Runner *r = opaque;
    uint32_t reason = next_exit(r->vm, r->cpu);

    if (reason != KVM_EXIT_HLT) {
        fail("exit reason", reason);
    }
    return NULL;
}

static void test_two(void)
{
    Vm vm = make_vm(count, steps, 2, false, 0);
    pthread_t thread[2];
    Runner runner[2] = { { &vm, 0 }, { &vm, 1 } };
    uint64_t sum;

    for (int i = 0; i < 2; i++) {
        set_long_mode(&vm, i);
        pthread_create(&thread[i], NULL, run_until_halt, &runner[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
    memcpy(&sum, vm.ram + DATA, sizeof(sum));
    if (sum != 200000) {
        fail("sum", sum);
    }
    free_vm(&vm, 2);
}

static void test_dirty(void)
{
    Vm vm = make_vm(count, steps, 1, false, KVM_MEM_LOG_DIRTY_PAGES);
    uint64_t bits[8] = { 0 };
    struct kvm_dirty_log log = { .slot = 0, .dirty_bitmap = bits };

    set_long_mode(&vm, 0);
    expect_exit(&vm, KVM_EXIT_HLT);
    must(ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log), "dirty log");
    if (!(bits[0] >> (DATA >> 12) & 1) || bits[1]) { /* a page that is only read may be counted, too */
        fail("bits", bits[0]);
    }
    free_vm(&vm, 1);
}

static void test_steps(void)
{
    static const uint8_t lengths[] = { 1, 1, 2, 1 };
    Vm vm = make_vm(steps, end, 1, false, 0);
    struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
    uint64_t pc = CODE;

    set_long_mode(&vm, 0);
    must(ioctl(vm.cpu[0], KVM_SET_GUEST_DEBUG, &debug), "guest debug");
    for (unsigned i = 0; i < sizeof(lengths); i++) {
        pc += lengths[i];
        expect_exit(&vm, KVM_EXIT_DEBUG);
        if (vm.run[0]->debug.arch.pc != pc) {
            fail("pc", vm.run[0]->debug.arch.pc);
        }
    }
    free_vm(&vm, 1);
}

static void measure(void)
{
    Vm vm = make_vm(ping, pages, 1, false, 0);
    struct timespec start, now;
    double seconds;
    long exits = 0;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 100; i++, exits++) {
            expect_out(&vm, 0x10, 1, 0);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        seconds = now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) * 1e-9;
    } while (seconds < 0.5);
    printf("KVM-RATE %.0f exits/s\n", exits / seconds);
    free_vm(&vm, 1);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        { "ports", test_ports }, { "mmio", test_mmio }, { "rom", test_rom }, { "window", test_window }, { "faults", test_faults },
        { "pic", test_pic }, { "kick", test_kick }, { "pages", test_pages }, { "two", test_two }, { "dirty", test_dirty },
        { "steps", test_steps }, { "rate", measure },
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
        fail("version", 0);
    }
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        step = tests[i].name;
        tests[i].run();
        printf("KVM-OK %s\n", step);
    }
    printf("KVM-END\n");
    return 0;
}
