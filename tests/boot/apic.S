# A firmware that sends four processors each kind of interrupt, with local APICs in both modes, and reads what they say of themselves.
# It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of what failed.
#
# Memory: 0x1000 IDT, 0x9000 where processors start, 0x20000 counts by processor and vector, 0x38000 SMM, 0x40000 a stack of 4 KiB for
# each processor.

        .set    COUNTS, 0x20000         # 0x400 bytes for each processor
        .set    STACKS, 0x40000
        .set    TRAMPOLINE, 0x9000
        .set    SMM, 0x38000
        .set    STARTED, 0x520          # how often processors have been
        .set    SMIS, 0x524
        .set    EXTENDED, 0x528         # 1: all are x2APICs
        .set    APIC, 0xfee00000
        .set    IOAPIC, 0xfec00000
        .set    PATIENCE, 200000000

        .set    FIXED, 0
        .set    LOWEST, 0x100
        .set    SMI, 0x200
        .set    NMI, 0x400
        .set    INIT, 0x4500
        .set    STARTUP, 0x4600
        .set    LOGICAL, 0x800
        .set    SELF, 0x40000
        .set    ALL, 0x80000
        .set    OTHERS, 0xc0000
        .set    CHANGE_MODE, 0x7f       # a vector that makes its processor an x2APIC

        .include "checks.inc"

        .macro  refuses number, text:vararg
        faults  \number, 13, 0, \text
        sti
        .endm

        .macro  ipi destination, command
        mov     $\destination, %edx
        mov     $\command, %eax
        call    send
        .endm

        # A vector has come so often to each of the processors; counts anew.
        .macro  came number, vector, zero, one, two, three
        mov     $\number, %bl
        mov     $PATIENCE, %ecx
1:      dec     %ecx
        jz      fail
        cmpl    $\zero, COUNTS + 4 * \vector
        jne     1b
        cmpl    $\one, COUNTS + 0x400 + 4 * \vector
        jne     1b
        cmpl    $\two, COUNTS + 0x800 + 4 * \vector
        jne     1b
        cmpl    $\three, COUNTS + 0xc00 + 4 * \vector
        jne     1b
        movl    $0, COUNTS + 4 * \vector
        movl    $0, COUNTS + 0x400 + 4 * \vector
        movl    $0, COUNTS + 0x800 + 4 * \vector
        movl    $0, COUNTS + 0xc00 + 4 * \vector
        .endm

        .macro  reaches number, place, value
        mov     $\number, %bl
        mov     $PATIENCE, %ecx
1:      dec     %ecx
        jz      fail
        cmpl    $\value, \place
        jne     1b
        .endm

        .macro  redirect entry, destination # the timer's pin of the I/O APIC
        movl    $0x15, IOAPIC
        movl    $\destination << 24, IOAPIC + 0x10
        movl    $0x14, IOAPIC
        movl    $\entry, IOAPIC + 0x10
        .endm

        .macro  tick                    # of the PIT: once, soon
        mov     $0x30, %al
        out     %al, $0x43
        mov     $0x40, %al
        out     %al, $0x40
        mov     $0, %al
        out     %al, $0x40
        .endm

        .code16
        .text
        .globl  start
start:  cli
        protected_mode
        mov     $STACKS + 0xff0, %esp
        stub_gates 0x100
        lidtl   idt_pointer + 0xf0000
        xor     %eax, %eax
        mov     $0x500, %edi
        mov     $0x40, %ecx
        rep stosl
        mov     $COUNTS, %edi
        mov     $0x400, %ecx
        rep stosl
        mov     $trampoline + 0xf0000, %esi
        mov     $TRAMPOLINE, %edi
        mov     $trampoline_end - trampoline, %ecx
        rep movsb
        mov     $smm + 0xf0000, %esi
        mov     $SMM, %edi
        mov     $smm_end - smm, %ecx
        rep movsb

# As xAPICs.
        get_msr 0x1b
        mov     $1, %bl
        cmp     $0xfee00900, %eax
        jne     fail
        equal   2, 0, APIC + 0x20
        equal   3, 0xff, APIC + 0xf0
        equal   4, 0xffffffff, APIC + 0xe0
        call    enable
        sti
        ipi     0, OTHERS | INIT
        ipi     0, OTHERS | STARTUP | TRAMPOLINE >> 12
        ipi     0, OTHERS | STARTUP | TRAMPOLINE >> 12
        reaches 5, STARTED, 3
        ipi     2, FIXED | 0x41
        came    6, 0x41, 0, 0, 1, 0
        ipi     0xff, FIXED | 0x42
        came    7, 0x42, 1, 1, 1, 1
        ipi     0xa, LOGICAL | 0x43
        came    8, 0x43, 0, 1, 0, 1
        ipi     0, SELF | 0x44
        came    9, 0x44, 1, 0, 0, 0
        ipi     0, ALL | 0x45
        came    11, 0x45, 1, 1, 1, 1
        ipi     0, OTHERS | 0x46
        came    12, 0x46, 0, 1, 1, 1
        movl    $0xf0, APIC + 0x80
        ipi     3, LOGICAL | LOWEST | 0x47
        came    13, 0x47, 0, 1, 0, 0
        movl    $0, APIC + 0x80
        ipi     3, NMI
        came    14, 2, 0, 0, 0, 1
        ipi     0, OTHERS | NMI
        came    15, 2, 0, 1, 1, 1
        ipi     1, SMI
        reaches 17, SMIS, 1
        ipi     0, SMI
        reaches 18, SMIS, 2
        ipi     1, STARTUP | TRAMPOLINE >> 12 # which it does not wait for
        ipi     1, FIXED | 0x48
        came    19, 0x48, 0, 1, 0, 0
        equal   20, 3, STARTED
        ipi     3, INIT
        ipi     3, FIXED | 0x49         # its APIC is not enabled any more
        ipi     3, STARTUP | TRAMPOLINE >> 12
        reaches 21, STARTED, 4
        ipi     3, FIXED | 0x4a
        came    22, 0x4a, 0, 0, 0, 1

# Priorities: what is not above TPR waits in IRR.
        movl    $0x60, APIC + 0x80
        ipi     0, SELF | 0x65
        ipi     0, SELF | 0x75
        came    23, 0x75, 1, 0, 0, 0
        equal   24, 0x20, APIC + 0x230
        equal   25, 0x60, APIC + 0xa0
        equal   26, 0, COUNTS + 4 * 0x65
        movl    $0, APIC + 0x80
        came    27, 0x65, 1, 0, 0, 0
        equal   28, 0, APIC + 0x230

# The 8259 through LINT0, and the I/O APIC.
        mov     $0xff, %al
        out     %al, $0xa1
        init_8259 0xfe
        movl    $0x700, APIC + 0x350
        tick
        came    29, 0x20, 1, 0, 0, 0
        mov     $0x20, %al
        out     %al, $0x20
        mov     $0xff, %al
        out     %al, $0x21
        movl    $0x10700, APIC + 0x350
        redirect 0x51, 2
        tick
        came    30, 0x51, 0, 0, 1, 0
        redirect 0x952, 0xc
        movl    $0xf0, APIC + 0x80
        tick
        mov     $31, %bl                # one of the two
        mov     $PATIENCE, %ecx
1:      dec     %ecx
        jz      fail
        mov     COUNTS + 0x800 + 4 * 0x52, %eax
        add     COUNTS + 0xc00 + 4 * 0x52, %eax
        cmp     $1, %eax
        jne     1b
        movl    $0, COUNTS + 0x800 + 4 * 0x52
        movl    $0, COUNTS + 0xc00 + 4 * 0x52
        movl    $0, APIC + 0x80
        redirect 0x400, 1
        tick
        came    32, 2, 0, 1, 0, 0
        redirect 0x200, 2
        tick
        reaches 33, SMIS, 3
        redirect 0x10000, 0

# Errors.
        movl    $0x5e, APIC + 0x370
        ipi     1, FIXED | 0x0f
        came    34, 0x5e, 1, 0, 0, 0
        movl    $0, APIC + 0x280
        equal   35, 0x20, APIC + 0x280
        movl    $0, APIC + 0x280
        equal   36, 0, APIC + 0x280

# The timer.
        movl    $0xb, APIC + 0x3e0
        movl    $0x30, APIC + 0x320
        movl    $100000, APIC + 0x380
        came    37, 0x30, 1, 0, 0, 0
        equal   38, 0, APIC + 0x390
        movl    $0x20031, APIC + 0x320
        movl    $100000, APIC + 0x380
        mov     $39, %bl
        mov     $PATIENCE, %ecx
1:      dec     %ecx
        jz      fail
        cmpl    $3, COUNTS + 4 * 0x31
        jb      1b
        movl    $0x10031, APIC + 0x320
        reaches 39, APIC + 0x210, 0     # one that was accepted before comes yet (SDM volume 3, 11.8.4)
        movl    $0, COUNTS + 4 * 0x31
        movl    $0x40032, APIC + 0x320
        mfence
        rdtsc
        add     $100000, %eax
        adc     $0, %edx
        mov     $0x6e0, %ecx
        wrmsr
        came    40, 0x32, 1, 0, 0, 0
        get_msr 0x6e0
        or      %edx, %eax
        mov     $41, %bl
        jnz     fail
        movl    $0x10000, APIC + 0x320

# To x2APICs, by a legal step alone.
        refuses 42, set_msr 0x1b, 0xfee00500
        refuses 43, set_msr 0x1b, 0xfee00901
        refuses 44, set_msr 0x1b, 0xfee00900, 0x10000
        refuses 45, get_msr 0x802
        refuses 46, set_msr 0x83f, 0x40
        ipi     0, ALL | CHANGE_MODE
        came    47, CHANGE_MODE, 1, 1, 1, 1
        movl    $1, EXTENDED
        get_msr 0x1b
        mov     $48, %bl
        cmp     $0xfee00d00, %eax
        jne     fail
        refuses 49, set_msr 0x1b, 0xfee00900
        get_msr 0x802
        mov     $50, %bl
        or      %edx, %eax
        jnz     fail
        get_msr 0x80d
        mov     $51, %bl
        cmp     $1, %eax
        jne     fail
        ipi     2, FIXED | 0x41
        came    52, 0x41, 0, 0, 1, 0
        ipi     0xffffffff, FIXED | 0x42
        came    53, 0x42, 1, 1, 1, 1
        ipi     0xff, FIXED | 0x42      # nobody's id
        ipi     0xff, LOGICAL | 0x43    # of the first cluster
        came    54, 0x43, 1, 1, 1, 1
        ipi     0xa, LOGICAL | 0x44
        came    55, 0x44, 0, 1, 0, 1
        ipi     0x1000f, LOGICAL | 0x44
        ipi     0xffffffff, LOGICAL | 0x45
        came    56, 0x45, 1, 1, 1, 1
        ipi     0, OTHERS | 0x46
        came    57, 0x46, 0, 1, 1, 1
        ipi     0, ALL | 0x47
        came    58, 0x47, 1, 1, 1, 1
        set_msr 0x83f, 0x48
        came    59, 0x48, 1, 0, 0, 0
        set_msr 0x808, 0xf0
        ipi     3, LOGICAL | LOWEST | 0x49
        came    60, 0x49, 0, 1, 0, 0
        set_msr 0x808, 0
        ipi     3, NMI
        came    61, 2, 0, 0, 0, 1
        ipi     2, SMI
        reaches 62, SMIS, 4
        ipi     3, INIT
        ipi     3, STARTUP | TRAMPOLINE >> 12
        reaches 63, STARTED, 5
        ipi     8, LOGICAL | 0x4a       # INIT has left it an x2APIC, with its logical id
        came    64, 0x4a, 0, 0, 0, 1
        redirect 0x53, 3
        tick
        came    65, 0x53, 0, 0, 0, 1
        redirect 0x10000, 0
        set_msr 0x837, 0x5e
        set_msr 0x83f, 0x0f
        came    66, 0x5e, 1, 0, 0, 0
        set_msr 0x828, 0
        get_msr 0x828
        mov     $67, %bl
        cmp     $0x40, %eax
        jne     fail

        refuses 68, get_msr 0x800
        refuses 69, get_msr 0x809
        refuses 70, get_msr 0x80b
        refuses 71, get_msr 0x80e
        refuses 72, get_msr 0x831
        refuses 73, get_msr 0x83f
        refuses 74, get_msr 0x8ff
        refuses 75, set_msr 0x802, 0
        refuses 76, set_msr 0x80d, 1
        refuses 77, set_msr 0x80e, 0
        refuses 78, set_msr 0x810, 0
        refuses 79, set_msr 0x831, 0
        refuses 80, set_msr 0x839, 0
        refuses 81, set_msr 0x80b, 1
        refuses 82, set_msr 0x828, 1
        refuses 83, set_msr 0x808, 0x100
        refuses 84, set_msr 0x808, 0, 1
        refuses 85, set_msr 0x80f, 0x101ff
        refuses 86, set_msr 0x832, 0x80030
        refuses 87, set_msr 0x835, 0x20030
        refuses 88, set_msr 0x830, 0x100041
        refuses 89, set_msr 0x83e, 4
        refuses 90, set_msr 0x83f, 0x141

# Off, which CPUID shows, and on again: all is as after a reset.
        cli
        set_msr 0x1b, 0xfee00100
        mov     $91, %bl
        mov     $1, %eax
        push    %ebx
        cpuid
        pop     %ebx
        test    $1 << 9, %edx
        jnz     fail
        refuses 92, set_msr 0x1b, 0xfee00d00
        set_msr 0x1b, 0xfee00900
        equal   93, 0xff, APIC + 0xf0
        equal   94, 0x10000, APIC + 0x370
        movl    $0, EXTENDED

# Nothing came that was not asked for.
        mov     $95, %bl
        mov     $COUNTS, %esi
        mov     $0x400, %ecx
1:      lodsl
        test    %eax, %eax
        jnz     fail
        loop    1b
        equal   96, 5, STARTED
        equal   97, 4, SMIS
        verdict

# Command eax to edx.
send:   cmpl    $0, EXTENDED
        jne     1f
        shl     $24, %edx
        mov     %edx, APIC + 0x310
        mov     %eax, APIC + 0x300
        ret
1:      mov     $0x830, %ecx
        wrmsr
        ret

# Switched on by software; logical ids are bits.
enable: mov     $0x1b, %ecx
        rdmsr
        test    $0x400, %eax
        jnz     1f
        mov     APIC + 0x20, %ecx
        shr     $24, %ecx
        mov     $1 << 24, %eax
        shl     %cl, %eax
        mov     %eax, APIC + 0xd0
        movl    $0x1ff, APIC + 0xf0
        ret
1:      set_msr 0x80f, 0x1ff
        ret

        stubs   0x100

# The stack says which processor this is.
common: cmpl    $2, (%esp)
        je      1f
        cmpl    $0x20, (%esp)
        jb      fault
1:      push    %eax
        push    %ecx
        push    %edx
        mov     12(%esp), %eax
        mov     %esp, %ecx
        sub     $STACKS, %ecx
        shr     $12, %ecx
        shl     $8, %ecx
        cmp     $2, %eax
        je      2f
        cmp     $0x20, %eax             # the 8259's
        je      2f
        cmpl    $0, EXTENDED
        jne     1f
        movl    $0, APIC + 0xb0
        jmp     2f
1:      push    %eax
        push    %ecx
        set_msr 0x80b, 0
        pop     %ecx
        pop     %eax
2:      cmp     $CHANGE_MODE, %eax
        jne     3f
        push    %ecx
        mov     $0x1b, %ecx
        rdmsr
        or      $0x400, %eax
        wrmsr
        pop     %ecx
        mov     $CHANGE_MODE, %eax
3:      lea     (%ecx, %eax), %ecx
        lock incl COUNTS(, %ecx, 4)
        pop     %edx
        pop     %ecx
        pop     %eax
        add     $8, %esp
        iret

        fault_routine
        gate_routine
        tables

# In SMM at 0x38000: data segments are flat.
        .code16
smm:    lock incl SMIS
        rsm
smm_end:

# Where processors start, in real mode.
        .balign 16
trampoline:
        cli
        lgdtl   %cs:trampoline_gdt - trampoline
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $8, $TRAMPOLINE + 1f - trampoline
trampoline_gdt:
        .word   23
        .long   gdt + 0xf0000
        .code32
1:      mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        lidtl   idt_pointer + 0xf0000
        mov     $1, %eax                # the id says which stack
        cpuid
        shr     $24, %ebx
        shl     $12, %ebx
        lea     STACKS + 0xff0(%ebx), %esp
        mov     $enable + 0xf0000, %eax
        call    *%eax
        lock incl STARTED
        sti
1:      hlt
        jmp     1b
trampoline_end:
