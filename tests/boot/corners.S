# A firmware that goes through corners of protected mode: limits, stacks of 16 bits, call gates of both widths, conforming code, tasks,
# double faults, traps, shadows, NMIs. It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of what failed.
#
# Memory: 0x1000 IDT, 0x2000 task states, 0x3000 GDT, 0x7000 stack, 0x8000 pieces of programs for CPL 3, 0x500 what handlers leave, 0x40000
# page tables.

        .set    GDT, 0x3000
        .set    TSS_A, 0x2000
        .set    TSS_B, 0x2100
        .set    TSS_C, 0x2200           # of 16 bits
        .set    PIECES, 0x8000
        .set    COUNT, 0x518
        .set    DEPTH, 0x51c
        .set    DEEPEST, 0x520
        .set    SEEN, 0x530             # what pieces and gates leave
        .set    APIC, 0xfee00000
        .set    DIRECTORY, 0x40000
        .set    TABLE, 0x41000

        .include "checks.inc"

        .macro  user number, piece, vector, error # CPL 3, until a fault
        expect_fault \number
        push    $0x2b
        push    $0x9000
        push    $2
        push    $0x23
        push    $PIECES + \piece - pieces
        iret
        fault_was \vector, \error
        .endm

        .macro  entry low, high
        movl    $\low, (%edi)
        movl    $\high, 4(%edi)
        add     $8, %edi
        .endm

        .code16
        .text
        .globl  start
start:  cli
        protected_mode
        stub_gates 0x50
        lidtl   idt_pointer + 0xf0000
        xor     %eax, %eax
        mov     $0x500, %edi
        mov     $0x40, %ecx
        rep stosl
        mov     $TSS_A, %edi
        mov     $0x400 / 4, %ecx
        rep stosl
        mov     $pieces + 0xf0000, %esi
        mov     $PIECES, %edi
        mov     $pieces_end - pieces, %ecx
        rep movsb

        mov     $GDT, %edi
        entry   0, 0
        entry   0x0000ffff, 0x00cf9b00  # 08 code
        entry   0x0000ffff, 0x00cf9300  # 10 data
        entry   TSS_A<<16|0x67, 0x00008900 # 18
        entry   0x0000ffff, 0x00cffb00  # 20 code, DPL 3
        entry   0x0000ffff, 0x00cff300  # 28 data
        entry   TSS_B<<16|0x67, 0x00008900 # 30
        entry   0x00080000+gate32, 0x000fec02 # 38 call gate, 2 parameters
        entry   0x00480000+gate16, 0x0000e403 # 40 of 16 bits, 3 parameters
        entry   0x0000ffff, 0x00009b0f  # 48 code of 16 bits, at F0000
        entry   0x0000ffff, 0x00cf9f00  # 50 conforming code
        entry   0x00000000, 0x00c09700  # 58 expand-down: from 1000 on
        entry   0x00007fff, 0x00009702  # 60 expand-down of 16 bits: 8000 to FFFF, at 20000
        entry   0x00000fff, 0x00009300  # 68 4 KiB of data
        entry   TSS_C<<16|0x2b, 0x00008100 # 70
        entry   0x00300000, 0x0000e500  # 78 task gate
        entry   0x0000ffff, 0x00009300  # 80 data: a stack of 16 bits
        entry   0x0000ffff, 0x00cf1300  # 88 not present
        entry   0x0000ffff, 0x00cf9100  # 90 read-only
        entry   0x0000ffff, 0xffcf9bf0  # 98 code, based at FFF00000
        lgdtl   new_gdt + 0xf0000
        movl    $0x6000, TSS_A + 4
        movl    $0x10, TSS_A + 8
        mov     $0x18, %ax
        ltr     %ax

# Segments and limits.
        mov     $0x68, %eax
        mov     %eax, %fs
        mov     %fs:0xfff, %al
        faults  1, 13, 0, mov %fs:0xfff, %ax
        faults  2, 13, 0, mov %fs:0xffffffff, %al
        faults  3, 13, 0, mov %fs:0xffffffff, %ax
        mov     $0x58, %eax
        mov     %eax, %fs
        mov     %fs:0x1000, %eax
        mov     %fs:0xfffffffc, %eax
        faults  4, 13, 0, mov %fs:0xfff, %al
        faults  5, 13, 0, mov %fs:0xffd, %eax
        faults  6, 13, 0, mov %fs:0xfffffffd, %eax
        mov     $0x60, %eax
        mov     %eax, %gs
        mov     %gs:0x8000, %eax
        mov     %gs:0xffff, %al
        faults  7, 13, 0, mov %gs:0x7fff, %al
        faults  8, 13, 0, mov %gs:0xffff, %ax
        faults  9, 13, 0, mov %gs:0x10000, %al
        mov     $0x90, %eax
        mov     %eax, %fs
        faults  11, 13, 0, mov %eax, %fs:0x600
        faults  12, 13, 0, movl $0, %cs:0x600
        mov     $0x88, %eax
        faults  13, 11, 0x88, mov %eax, %ds
        faults  14, 12, 0x88, mov %eax, %ss
        mov     $0x18, %eax
        faults  15, 13, 0x18, mov %eax, %es
        mov     $0x108, %eax
        faults  17, 13, 0x108, mov %eax, %es
        xor     %eax, %eax
        mov     %eax, %fs
        faults  18, 13, 0, mov %eax, %ss
        faults  19, 13, 0, mov %fs:0, %al
        faults  20, 13, 0x68, ljmp $0x68, $0
        faults  21, 13, 0, ljmp $0, $0
        mov     $0x10, %eax
        mov     %eax, %fs
        mov     %eax, %gs

# A stack of 16 bits keeps the upper half of ESP and wraps.
        mov     %esp, %ebp
        mov     $0x80, %eax
        mov     $0x12340004, %ecx
        mov     %eax, %ss
        mov     %ecx, %esp
        push    %ecx
        mov     %esp, %edx
        push    $0x5a5a5a5a
        mov     %esp, %esi
        mov     $0x10, %eax
        mov     %eax, %ss
        mov     %ebp, %esp
        equal   22, 0x12340000, %edx
        equal   23, 0x1234fffc, %esi
        equal   24, 0x5a5a5a5a, 0xfffc

# Call gates from CPL 3; conforming code.
        user    25, do_gate32, 13, 0
        equal   26, 0x11111111, SEEN
        equal   27, 0x22222222, SEEN + 4
        equal   28, 0x8ff0, SEEN + 8    # the caller's ESP, above the parameters
        equal   29, 0x2b, SEEN + 12
        equal   30, 0x08, SEEN + 16
        equal   31, 0x8ff8, SEEN + 20   # after RET 8
        movl    $0, SEEN
        user    32, do_gate16, 13, 0
        equal   33, 0x0b0a, SEEN
        equal   34, 0x0d0c, SEEN + 4
        equal   35, 0x0f0e, SEEN + 8
        equal   36, 0x8ff8, SEEN + 12
        equal   37, 0x8ffe, SEEN + 20
        user    38, do_conforming, 13, 0
        equal   39, 0x53, SEEN
        user    40, do_far, 13, 8
        user    41, do_gate_dpl0, 13, 0x1a*8+2
        user    42, do_task_dpl0, 13, 0x30

# Tasks: nested by a call of a gate, and of 16 bits.
        movl    $task + 0xf0000, TSS_B + 32
        movl    $2, TSS_B + 36
        movl    $0x5000, TSS_B + 56
        movl    $0x10, TSS_B + 72
        movl    $0x08, TSS_B + 76
        movl    $0x10, TSS_B + 80
        movl    $0x10, TSS_B + 84
        mov     $43, %bl
        movl    $0x77777777, SEEN
        mov     $0xabcd, %ebp
        lcall   $0x78, $0
        equal   44, 0x4000, SEEN        # NT
        equal   45, 0x30, SEEN + 4      # TR
        equal   46, 0x18, TSS_B
        equal   47, 0xabcd, %ebp
        mov     %cr0, %eax
        and     $8, %eax
        equal   48, 8, %eax
        clts
        str     %ax
        movzwl  %ax, %eax
        equal   49, 0x18, %eax
        mov     $50, %bl                # it goes on behind its IRET
        lcall   $0x30, $0
        equal   51, 0x12121212, SEEN
        clts
        faults  52, 13, 0x18, ljmp $0x18, $0
        movw    $task16, TSS_C + 14
        movw    $2, TSS_C + 16
        movw    $0x5000, TSS_C + 26
        movw    $0x10, TSS_C + 34
        movw    $0x48, TSS_C + 36
        movw    $0x10, TSS_C + 38
        movw    $0x10, TSS_C + 40
        mov     $53, %bl
        lcall   $0x70, $0
        equal   54, 0x1616, SEEN
        clts
        movl    $0, TSS_A               # IRET with NT to a task that is not there
        pushf
        orl     $0x4000, (%esp)
        popf
        faults  55, 10, 0, iret
        movl    $0x30, TSS_A            # or not busy
        pushf
        orl     $0x4000, (%esp)
        popf
        faults  56, 10, 0x30, iret

# Double faults: a fault of the contributory class while another of it is delivered.
        andb    $0x7f, IDT + 13 * 8 + 5
        mov     $0x18, %eax
        faults  57, 8, 0, mov %eax, %es
        orb     $0x80, IDT + 13 * 8 + 5
        andb    $0x7f, IDT + 6 * 8 + 5
        faults  58, 11, 6*8+3, ud2      # #UD is benign
        orb     $0x80, IDT + 6 * 8 + 5

# What comes first.
        faults  59, 6, 0, .byte 0xf0,0x89,0xc0  # LOCK MOV
        user    60, do_mov_cr1, 6, 0
        user    61, do_int_beyond, 13, 0xf0*8+2
        mov     %cr0, %eax
        or      $0x40000, %eax
        mov     %eax, %cr0
        user    62, do_unaligned, 17, 0
        xor     %eax, %eax
        faults  63, 0, 0, div %ah

# Traps.
        movl    $0, COUNT
        pushf
        orl     $0x100, (%esp)
        popf
        nop
step_1: equal   64, 1, COUNT            # once: the handler takes TF away
        equal   65, step_1 + 0xf0000, EIP
        mov     %dr6, %eax
        and     $0xe00f, %eax
        equal   66, 0x4000, %eax
        movl    $0, COUNT
        mov     %ss, %ecx
        pushf
        orl     $0x100, (%esp)
        popf
        mov     %ecx, %ss               # is stepped only with what follows it
        nop
step_2: equal   67, step_2 + 0xf0000, EIP
        equal   68, 1, COUNT
        movl    $0, COUNT
        push    %ss
        pushf
        orl     $0x100, (%esp)
        popf
        pop     %ss                     # so is POP SS
        nop
step_3: equal   82, step_3 + 0xf0000, EIP
        equal   83, 1, COUNT
        movl    $0, COUNT
        .byte   0xf1
icebp:  equal   69, icebp + 0xf0000, EIP
        mov     $0x2400, %eax           # general detect
        mov     %eax, %dr7
        faults  70, 1, 0, mov %eax, %dr0
        mov     %dr6, %eax
        and     $0x2000, %eax
        equal   71, 0x2000, %eax
        mov     %dr7, %eax              # and it is off
        equal   72, 0x400, %eax
        xor     %eax, %eax
        mov     %eax, %dr6
        mov     $there + 0xf0000, %eax  # a breakpoint comes before, RF lets by
        mov     %eax, %dr0
        mov     $0x402, %eax
        mov     %eax, %dr7
        movl    $0, COUNT
        nop
there:  nop
        equal   73, 1, COUNT
        equal   74, there + 0xf0000, EIP
        mov     FLAGS, %eax
        and     $0x10000, %eax
        equal   75, 0, %eax             # of all faults this one alone shows RF as it was
        mov     $0x400, %eax
        mov     %eax, %dr7

        mov     $0xff, %al              # no 8259
        out     %al, $0x21
        out     %al, $0xa1

# Shadows: an interrupt that waits comes behind the instruction behind STI.
        movl    $0x1ff, APIC + 0xf0
        movl    $0, COUNT
        movl    $0x4404f, APIC + 0x300  # to itself, vector 4F
        sti
        nop
shadow: nop
        nop
        cli
        equal   76, 1, COUNT
        equal   77, shadow + 0xf0000, EIP
        movl    $0, COUNT
        movl    $0x4404f, APIC + 0x300
        sti
        cli
        mov     $100, %ecx
1:      loop    1b
        equal   78, 0, COUNT
        mov     %ss, %eax
        sti
        mov     %eax, %ss
        nop
        cli
        equal   79, 1, COUNT

# NMIs do not nest until IRET.
        movl    $0, COUNT
        movl    $0, DEEPEST
        movl    $0, APIC + 0x310
        movl    $0x4400, APIC + 0x300
        mov     $10000, %ecx
1:      cmpl    $3, COUNT
        loopne  1b
        equal   80, 3, COUNT
        equal   81, 1, DEEPEST

# Code whose segment leads around the end of memory, on a page that is mapped elsewhere then.
        mov     $TABLE, %edi
        mov     $3, %eax
1:      mov     %eax, (%edi)
        add     $4, %edi
        add     $0x1000, %eax
        cmp     $0x400003, %eax
        jne     1b
        movl    $TABLE + 3, DIRECTORY
        movl    $0x1b8, 0x9000          # mov $1, %eax; lret
        movl    $0xcb00, 0x9004
        movl    $0x2b8, 0xa000
        movl    $0xcb00, 0xa004
        mov     $DIRECTORY, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        lcall   $0x98, $0x109000
        equal   84, 1, %eax
        movl    $0xa003, TABLE + 4 * 9
        invlpg  0x9000
        lcall   $0x98, $0x109000
        equal   85, 2, %eax

# A page fault takes its page out of the TLB (SDM volume 3, 4.10.4.1).
        mov     %cr0, %eax
        or      $0x10000, %eax          # WP
        mov     %eax, %cr0
        movl    $1, 0x9000              # in frame A, still
        movl    $2, 0xb000
        movl    $0xa001, TABLE + 4 * 9
        invlpg  0x9000
        mov     0x9000, %eax
        equal   86, 1, %eax
        faults  87, 14, 3, movl $5, 0x9000
        movl    $0xb003, TABLE + 4 * 9
        mov     0x9000, %eax
        equal   88, 2, %eax
        verdict

        stubs   0x50

common: push    %eax
        push    %ds
        mov     $0x10, %eax
        mov     %eax, %ds
        cmpl    $2, 8(%esp)
        je      nmi
        mov     8(%esp), %eax
        mov     %eax, VECTOR
        mov     12(%esp), %eax
        mov     %eax, ERROR
        mov     16(%esp), %eax
        mov     %eax, EIP
        mov     24(%esp), %eax
        mov     %eax, FLAGS
        incl    COUNT
        cmpl    $0x4f, VECTOR
        je      interrupt
        cmpl    $1, VECTOR              # a trap, if no fault is to come
        jne     1f
        cmpl    $0, RESUME
        je      back
1:      mov     4(%esp), %eax
        jmp     resume
interrupt:
        movl    $0, APIC + 0xb0
back:   andl    $~0x100, 24(%esp)
        orl     $0x10000, 24(%esp)      # RF
        pop     %ds
        pop     %eax
        add     $8, %esp
        iret
nmi:    incl    DEPTH
        mov     DEPTH, %eax
        cmp     DEEPEST, %eax
        jbe     1f
        mov     %eax, DEEPEST
1:      incl    COUNT
        cmpl    $3, COUNT
        jae     2f
        movl    $0x4400, APIC + 0x300
        mov     $100, %eax
3:      dec     %eax
        jnz     3b
2:      decl    DEPTH
        pop     %ds
        pop     %eax
        add     $8, %esp
        iret

gate32: mov     8(%esp), %eax
        mov     %eax, SEEN
        mov     12(%esp), %eax
        mov     %eax, SEEN + 4
        mov     16(%esp), %eax
        mov     %eax, SEEN + 8
        mov     20(%esp), %eax
        mov     %eax, SEEN + 12
        mov     %cs, %eax
        mov     %eax, SEEN + 16
        lret    $8

task:   pushf
        pop     %eax
        and     $0x4000, %eax
        mov     %eax, SEEN
        xor     %eax, %eax
        str     %ax
        mov     %eax, SEEN + 4
        iret
        movl    $0x12121212, SEEN
        iret

        fault_routine
        gate_routine
        tables
new_gdt:
        .word   0x9f
        .long   GDT

        .code16
gate16: mov     %esp, %ebp              # in a stack of 32 bits
        movzwl  4(%ebp), %eax
        mov     %eax, SEEN
        movzwl  6(%ebp), %eax
        mov     %eax, SEEN + 4
        movzwl  8(%ebp), %eax
        mov     %eax, SEEN + 8
        movzwl  10(%ebp), %eax
        mov     %eax, SEEN + 12
        lretw   $6
task16: movl    $0x1616, SEEN
        iretw

        .code32
pieces:
do_gate32:
        sub     $8, %esp
        movl    $0x2b, %eax
        mov     %eax, %ds
        push    $0x22222222
        push    $0x11111111
        lcall   $0x3b, $0
        mov     %esp, SEEN + 20
        hlt
do_gate16:
        movl    $0x2b, %eax
        mov     %eax, %ds
        sub     $2, %esp
        pushw   $0x0f0e
        pushw   $0x0d0c
        pushw   $0x0b0a
        lcall   $0x43, $0
        mov     %esp, SEEN + 20
        hlt
do_conforming:
        movl    $0x2b, %eax
        mov     %eax, %ds
        lcall   $0x50, $PIECES + conforming - pieces
        hlt
conforming:
        mov     %cs, %eax
        mov     %eax, SEEN
        lret
do_far: ljmp    $0x08, $0
do_gate_dpl0:
        int     $0x1a
do_task_dpl0:
        lcall   $0x30, $0
do_mov_cr1:
        .byte   0x0f, 0x22, 0xc8
do_int_beyond:
        int     $0xf0
do_unaligned:
        movl    $0x2b, %eax
        mov     %eax, %ds
        pushf
        orl     $0x40000, (%esp)
        popf
        mov     0x601, %eax
        hlt
pieces_end:
