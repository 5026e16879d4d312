# A firmware that runs pieces of a program in virtual-8086 mode, and at CPL 3, below IOPL 3 with CR4.VME and PVI, and compares what
# EFLAGS.VIF does for them with what it should do. It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of the check
# that failed.
#
# Memory: 0x1000 IDT, 0x2000 TSS, 0x3000 GDT, 0x7000 stack, 0x20000 the program, 0x22000 its stack. A piece ends in HLT, whose #GP
# comes back to the checks with what the monitor sees: EFLAGS in EDX, IP in ESI, the program's EAX.

        .set    TSS, 0x2000
        .set    GDT, 0x3000
        .set    BITMAP, TSS + 104       # for software interrupts; the one for ports is behind it
        .set    STACK, 0x22000
        .set    VIF, 1 << 19
        .set    VIP, 1 << 20

        .include "checks.inc"

        .macro  program name, flags     # enters virtual-8086 mode
        mov     $\name - pieces, %esi
        mov     $(\flags) | 0x20002, %edi
        call    run
        .endm

        .macro  check number, register, value
        mov     $\number, %bl
        cmp     $\value, \register
        jne     fail
        .endm

        .macro  flags number, mask, value
        mov     $\number, %bl
        mov     %edx, %ecx
        and     $\mask, %ecx
        cmp     $\value, %ecx
        jne     fail
        .endm

        .macro  ends number, label
        check   \number, %esi, \label-pieces
        .endm

        .code16
        .text
        .globl  start
start:  cli
        protected_mode
        all_gates unexpected
        gate    13 on_gp
        gate    0x41 on_int
        movb    $0xee, IDT + 8 * 0x41 + 5
        movb    $0xee, IDT + 8 * 3 + 5
        lidtl   idt_pointer + 0xf0000

        mov     $GDT, %edi              # a table that LTR can write to
        mov     $gdt + 0xf0000, %esi
        mov     $6, %ecx
        rep movsl
        movl    $TSS << 16 | 0x90, (%edi) # 0x18: the TSS
        movl    $0x00008900, 4(%edi)
        movl    $0x0000ffff, 8(%edi)    # 0x20: code of CPL 3
        movl    $0x00cffb00, 12(%edi)
        movl    $0x0000ffff, 16(%edi)   # 0x28: data
        movl    $0x00cff300, 20(%edi)
        lgdtl   new_gdt + 0xf0000
        mov     $TSS, %edi
        mov     $0x100 / 4, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $0x6000, TSS + 4
        movl    $0x10, TSS + 8
        movw    $136, TSS + 102
        mov     $0x18, %ax
        ltr     %ax
        mov     $pieces + 0xf0000, %esi
        mov     $0x20000, %edi
        mov     $pieces_end - pieces, %ecx
        rep movsb
        movl    $0x20000000 + in_handler - pieces, 0x40 * 4
        movl    $0x20000000 + in_handler - pieces, 0x41 * 4

        mov     $1, %bl
        mov     $1, %eax
        cpuid
        test    $2, %dl
        jz      fail

        program do_cli, 0               # without VME: the monitor has to see it
        ends    2, do_cli
        program do_int, 0x3000          # and INT goes through the IDT
        check   3, %eax, 0x1dd1dd

        mov     %cr4, %eax
        or      $1, %al
        mov     %eax, %cr4

        program do_cli, VIF             # CLI and STI
        ends    4, do_cli+1
        flags   5, VIF|0x200, 0
        program do_sti, 0x200
        ends    6, do_sti+1
        flags   7, VIF|VIP|0x200, VIF|0x200
        program do_sti, VIP
        ends    8, do_sti
        flags   9, VIF, 0
        program do_cli, VIP|VIF
        ends    10, do_cli+1
        flags   11, VIF|VIP, VIP
        program do_sti, 0x3000|VIP      # IOPL 3: the flag itself
        ends    12, do_sti+1
        flags   13, VIF|0x200, 0x200

        program do_pushf, VIF|0x10      # PUSHF: VIF for IF, IOPL 3
        ends    14, do_pushf+2
        and     $0xffff, %eax
        check   15, %eax, 0x3212
        program do_pushf, 0x200
        and     $0xffff, %eax
        check   16, %eax, 0x3002
        program do_pushfl, VIF
        ends    17, do_pushfl
        program do_pushf, 0x3000|VIF
        and     $0xffff, %eax
        check   18, %eax, 0x3002

        movl    $0x4cd7, STACK + 0xf0   # POPF: arithmetic flags, DF, NT and VIF
        program do_popf, VIF
        ends    19, do_popf+1
        flags   20, 0x7ed5|VIF, 0x4cd5
        movl    $0x7202, STACK + 0xf0
        program do_popf, 0
        ends    21, do_popf+1
        flags   22, 0x7200|VIF, 0x4000|VIF
        program do_popf, VIP            # an interrupt waits for that
        ends    23, do_popf
        flags   24, VIF|VIP, VIP
        movl    $0x0102, STACK + 0xf0
        program do_popf, 0              # TF is the monitor's
        ends    25, do_popf
        program do_popfl, 0
        ends    26, do_popfl

        movl    $0x20000000 + landed - pieces, STACK + 0xf0
        movw    $0x0246, STACK + 0xf4   # IRET
        program do_iret, 0
        ends    27, landed
        flags   28, 0x246|VIF, VIF|0x46
        program do_iret, VIP
        ends    29, do_iret
        program do_iretl, 0
        ends    30, do_iretl
        movw    $0x0002, STACK + 0xf4
        program do_iret, VIF|VIP|0x200
        ends    31, landed
        flags   32, 0x200|VIF|VIP, 0x200|VIP

        program do_int40, VIF           # INT n: the program's own handler
        ends    33, in_handler
        flags   34, VIF, 0
        mov     $35, %bl
        cmpl    $0x20000000 + do_int40 + 2 - pieces, STACK + 0xea
        jne     fail
        mov     STACK + 0xee, %eax
        and     $0xffff, %eax
        check   36, %eax, 0x3202
        program do_int40, 0x3200        # IOPL 3: IF goes
        ends    37, in_handler
        flags   38, 0x200, 0
        mov     STACK + 0xee, %eax
        and     $0xffff, %eax
        check   39, %eax, 0x3202
        orb     $2, BITMAP + 0x41 / 8   # not this one
        program do_int, 0
        ends    40, do_int
        program do_int, 0x3000
        check   41, %eax, 0x1dd1dd
        program do_int3, 0              # INT3 is not INT n: through the IDT
        check   42, %eax, 0x3333
        movw    $0x10, TSS + 102        # a bitmap that wraps below the TSS, beyond the limit
        program do_int40, 0x3000
        ends    43, do_int40
        movw    $136, TSS + 102

        mov     %cr4, %eax              # PVI: CLI and STI at CPL 3, nothing else
        mov     $2, %al
        mov     %eax, %cr4
        mov     $VIF | 2, %edi
        mov     $do_cli - pieces + 0x20000, %esi
        call    run_protected
        check   44, %esi, do_cli+1-pieces+0x20000
        flags   45, VIF, 0
        mov     $0x202, %edi
        mov     $do_sti - pieces + 0x20000, %esi
        call    run_protected
        check   46, %esi, do_sti+1-pieces+0x20000
        flags   47, VIF|0x200, VIF|0x200
        mov     $VIP | 2, %edi
        mov     $do_sti - pieces + 0x20000, %esi
        call    run_protected
        check   48, %esi, do_sti-pieces+0x20000
        mov     $VIF | 2, %edi
        mov     $do_pushfl + 1 - pieces + 0x20000, %esi
        call    run_protected
        and     $0xffff, %eax           # IF is IF
        check   49, %eax, 2
        program do_cli, 0               # no help in virtual-8086 mode
        ends    50, do_cli

        xor     %eax, %eax              # without either
        mov     %eax, %cr4
        mov     $VIF | 2, %edi
        mov     $do_cli - pieces + 0x20000, %esi
        call    run_protected
        check   51, %esi, do_cli-pieces+0x20000
        verdict

run:    mov     %esp, ESP_KEPT
        push    $0                      # GS, FS, DS, ES
        push    $0
        push    $0
        push    $0
        push    $STACK >> 4
        push    $0xf0
        push    %edi
        push    $0x2000
        push    %esi
        iret

run_protected:
        mov     %esp, ESP_KEPT
        push    $0x2b
        push    $STACK + 0xf0
        push    %edi
        push    $0x23
        push    %esi
        iret

on_gp:  mov     4(%esp), %esi
        mov     12(%esp), %edx
back:   mov     $0x10, %ecx
        mov     %ecx, %ds
        mov     %ecx, %es
        mov     ESP_KEPT, %esp
        ret
on_int: mov     $0x1dd1dd, %eax
        jmp     back

unexpected:                             # INT3 of virtual-8086 mode?
        mov     $0x3333, %eax
        btl     $17, 8(%esp)
        jc      back
        mov     $0x7f, %bl
        jmp     fail
        gate_routine
        tables
new_gdt:
        .word   47
        .long   GDT

        .code16
pieces:
do_cli: cli
        hlt
do_sti: sti
        hlt
do_pushf:
        pushfw
        pop     %ax
        hlt
do_pushfl:
        pushfl
        pop     %eax
        hlt
do_popf:
        popfw
        hlt
do_popfl:
        popfl
        hlt
do_iret:
        iretw
do_iretl:
        iretl
landed: hlt
do_int40:
        int     $0x40
        hlt
do_int: int     $0x41
        hlt
do_int3:
        int3
        hlt
in_handler:
        hlt
pieces_end:
