# A firmware that waits by MONITOR and MWAIT (SDM vol. 2): what they refuse, stores to the line that is watched, interrupts that are
# masked. It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of what failed.
#
# Memory: 0x1000 IDT, 0x7000 stack, 0x8000 what the second processor runs, 0x600 the line.

        .set    COUNT, 0x520            # interrupts taken
        .set    AP_UP, 0x540
        .set    AP_WAITS, 0x544
        .set    AP_SAW, 0x548
        .set    LINE, 0x600
        .set    APIC, 0xfee00000

        .include "checks.inc"

        .macro  arm
        mov     $LINE, %eax
        xor     %ecx, %ecx
        xor     %edx, %edx
        monitor
        .endm

        .macro  await extensions
        xor     %eax, %eax
        mov     $\extensions, %ecx
        mwait
        .endm

        .macro  until flag              # for some seconds at most
        mov     $1000000, %edx
1:      pause
        mov     $10000, %ecx
2:      loop    2b
        cmpl    $0, \flag
        jne     3f
        dec     %edx
        jnz     1b
3:
        .endm

        .code16
        .text
        .globl  start
start:  cli
        protected_mode
        stub_gates 0x20
        gate    0x40, interrupt
        gate    0x41, interrupt
        lidtl   idt_pointer + 0xf0000
        xor     %eax, %eax
        mov     $0x500, %edi
        mov     $0x80, %ecx
        rep stosl
        movl    $0x1ff, APIC + 0xf0

        mov     $5, %eax
        cpuid
        push    %ecx
        equal   1, 0x40, %eax
        pop     %ecx
        equal   2, 3, %ecx

        mov     $LINE, %eax
        mov     $1, %ecx
        faults  3, 13, 0, monitor
        mov     $2, %ecx
        faults  4, 13, 0, mwait

# A store between the two: there is nothing to wait for. Nor is there without MONITOR.
        arm
        incl    LINE
        await   0
        await   0

# An interrupt that is pending and masked ends the wait, and is taken when it may be.
        movl    $0x44040, APIC + 0x300
1:      testl   $0x1000, APIC + 0x300
        jnz     1b
        arm
        await   1
        equal   5, 0, COUNT
        sti
        nop
        cli
        equal   6, 1, COUNT

# One that comes later.
        movl    $0xb, APIC + 0x3e0      # the clock as it is
        movl    $0x41, APIC + 0x320
        movl    $2000000, APIC + 0x380
1:      arm
        await   1
        cmpl    $0, APIC + 0x390        # a wait may end for no reason
        jne     1b
        equal   7, 1, COUNT
        sti
        nop
        cli
        equal   8, 2, COUNT
        movl    $2000000, APIC + 0x380
        sti
1:      arm
        await   0
        cmpl    $2, COUNT
        je      1b
        cli
        equal   9, 3, COUNT

# Another processor's store: the second one, if there is one, waits for it with interrupts masked.
        mov     $0x5f, %al
        out     %al, $0x70
        in      $0x71, %al
        test    %al, %al
        jz      alone
        mov     $second + 0xf0000, %esi
        mov     $0x8000, %edi
        mov     $second_end - second, %ecx
        rep movsb
        movl    $0, LINE
        movl    $0xc4500, APIC + 0x300
        mov     $1000000, %ecx
1:      loop    1b
        movl    $0xc4608, APIC + 0x300
        until   AP_UP
        mov     $10000000, %ecx
1:      loop    1b
        movl    $1, LINE
        until   AP_SAW
        equal   10, 1, AP_SAW
        mov     $11, %bl
        cmpl    $0, AP_WAITS
        je      fail
alone:  verdict

interrupt:
        incl    COUNT
        movl    $0, APIC + 0xb0
        iret

# Real mode, at 0x8000.
        .code16
second: cli
        xor     %ax, %ax
        mov     %ax, %ds
        incw    AP_UP
1:      mov     $LINE, %eax
        xor     %ecx, %ecx
        xor     %edx, %edx
        monitor
        cmpl    $1, LINE
        je      2f
        xor     %eax, %eax
        mwait
        incl    AP_WAITS
        jmp     1b
2:      incw    AP_SAW
3:      hlt
        jmp     3b
second_end:
        .code32
        .set    common, fault
        stubs   0x20
        fault_routine
        gate_routine
        tables
