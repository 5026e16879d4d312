# A firmware of fast system calls and their returns, each several times in a row: translated code makes the later ones by itself, and
# has to find that it may not. It leaves through isa-debug-exit (port 0x501) with 0x10, or with the number of what failed.
#
# Memory: 0x1000 IDT, 0x2000 task state, 0x3000 GDT, 0x3800 LDT, 0x7000 stack, 0x8000 pieces of programs, 0x10000 page tables,
# 0x500 what was seen.

        .set    BASE, 0xf0000
        .set    TSS, 0x2000
        .set    GDT, 0x3000
        .set    LDT, 0x3800
        .set    PIECES, 0x8000
        .set    TABLES, 0x10000
        .set    APIC, 0xfee00000
        .set    USER_PAGE, 0x200000
        .set    TIMES, 5

        .set    VECTOR, 0x500           # of what ended a piece; 0x100, 0x101 are system calls
        .set    ERROR, 0x508
        .set    PC, 0x510
        .set    CS_SEEN, 0x518
        .set    FLAGS, 0x520            # as the kernel has them after a call, or an exception's frame
        .set    SS_SEEN, 0x528
        .set    USER_FLAGS, 0x530
        .set    RESUME, 0x538
        .set    STACK_KEPT, 0x540
        .set    NUMBER, 0x548

        .include "protected.inc"

        # One for each vector, 16 bytes apart: an error code, if the processor has pushed none, and the number.
        .macro  stubs name, handler
        .balign 16
\name:
        .set    n, 0
        .rept   0x50
        .balign 16
        .if     n != 8 && (n < 10 || n > 14) && n != 17
        push    $0
        .endif
        push    $n
        jmp     \handler
        .set    n, n + 1
        .endr
        .endm

        .macro  entry low, high
        movl    $\low, (%edi)
        movl    $\high, 4(%edi)
        add     $8, %edi
        .endm

        .macro  set_msr msr, low, high=0
        mov     $\msr, %ecx
        mov     $\low, %eax
        mov     $\high, %edx
        wrmsr
        .endm

        .macro  was place, value:vararg
        cmpl    $\value, \place
        jne     fail
        .endm

        # A descriptor that has all of memory, and one that has less, each in turn with none and with another.
        .macro  fs_goes number, low, high, place
        movb    $\number, NUMBER
        mov     $TIMES, %ebp
1:      movl    $\low, GDT + 0x78
        movl    $\high, GDT + 0x7c
        pushl   $0x7b
        popl    %fs
        cmpl    $0x1234, %fs:\place
        jne     fail
        no_fs
        mov     $0x7b, %eax
        mov     %eax, %fs
        cmpl    $0x1234, %fs:\place
        jne     fail
        no_fs
        dec     %ebp
        jnz     1b
        .endm

        .macro  fs_ends number, low, high
        movb    $\number, NUMBER
        mov     $TIMES, %ebp
1:      movl    $\low, GDT + 0x78
        movl    $\high, GDT + 0x7c
        mov     $0x7b, %eax
        mov     %eax, %fs
        cmpl    $0x1234, %fs:0x5f0
        jne     fail
        fs_faults
        no_fs
        mov     $0x23, %eax
        mov     %eax, %fs
        cmpl    $0x1234, %fs:0x5f0
        jne     fail
        mov     $0x7b, %eax
        mov     %eax, %fs
        fs_faults
        dec     %ebp
        jnz     1b
        .endm

        .macro  no_fs
        pushl   $0
        popl    %fs
        fs_faults
        .endm

        .macro  fs_faults
        movl    $2f + BASE, RESUME
        mov     %esp, STACK_KEPT
        mov     %fs:0x2000, %eax
        jmp     fail
2:      was     VECTOR, 13
        .endm

        # Kernels may not read a page of processes, and AC is clear there.
        .macro  smap_faults
        lea     2f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        mov     USER_PAGE, %eax
        jmp     fail
2:      was     VECTOR, 14
        was     ERROR, 1
        testl   $0x40000, FLAGS
        jnz     fail
        .endm

        .macro  smap_is_off
        movl    $0, USER_PAGE
        movl    $0x1234, USER_PAGE
        was     USER_PAGE, 0x1234
        .endm

        # SYSEXIT to a piece, so many times; what it ends by, at which level.
        .macro  exit32 number, piece, vector, cs
        movb    $\number, NUMBER
        mov     $TIMES, %ebp
1:      movl    $2f + BASE, RESUME
        mov     %esp, STACK_KEPT
        mov     $PIECES + \piece - pieces, %edx
        mov     $0x6f00, %ecx
        sysexit
2:      was     VECTOR, \vector
        was     CS_SEEN, \cs
        dec     %ebp
        jnz     1b
        .endm

        # SYSRET to a piece with these flags; what it ends by, at which level, with which flags there, and which ones R11 had.
        .macro  piece number, piece, flags, vector, cs, then, user
        movb    $\number, NUMBER
        mov     $TIMES, %ebp
1:      lea     2f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        mov     $PIECES + \piece - pieces, %ecx
        mov     $\flags, %r11d
        sysretq
2:      was     VECTOR, \vector
        was     CS_SEEN, \cs
        .ifnb   \then
        was     FLAGS, \then
        .endif
        .ifnb   \user
        was     USER_FLAGS, \user
        .endif
        dec     %ebp
        jnz     1b
        .endm

        .set    STAR, 0xc0000081
        .set    LSTAR, 0xc0000082
        .set    FMASK, 0xc0000084
        .set    LINUX_MASK, 0x257fd5

        .code16
        .text
        .globl  start
start:  cli
        protected_mode
        mov     $0xff, %al
        out     %al, $0x21
        out     %al, $0xa1
        mov     $IDT, %edi
        mov     $stubs + BASE, %eax
        mov     $0x50, %ecx
1:      push    %eax
        call    set_gate
        pop     %eax
        add     $8, %edi
        add     $16, %eax
        loop    1b
        lidtl   idt_pointer + BASE
        mov     $pieces + BASE, %esi
        mov     $PIECES, %edi
        mov     $pieces_end - pieces, %ecx
        rep movsb
        xor     %eax, %eax
        mov     $TSS, %edi
        mov     $0x68, %ecx
        rep stosb

        mov     $GDT, %edi
        entry   0, 0
        entry   0x0000ffff, 0x00cf9b00  # 08 code of 32 bits
        entry   0x0000ffff, 0x00cf9300  # 10 data
        entry   0x0000ffff, 0x00cffb00  # 18 the same, DPL 3
        entry   0x0000ffff, 0x00cff300  # 20
        entry   0x0000ffff, 0x00af9b00  # 28 code of 64 bits
        entry   0x0000ffff, 0x00cf9300  # 30 data
        entry   0x0000ffff, 0x00cffb00  # 38 code of 32 bits, DPL 3
        entry   0x0000ffff, 0x00cff300  # 40 data
        entry   0x0000ffff, 0x00affb00  # 48 code of 64 bits
        entry   0x0000ffff, 0x00af9b00  # 50 the last five again
        entry   0x0000ffff, 0x00cf9300  # 58
        entry   0x0000ffff, 0x00cffb00  # 60
        entry   0x0000ffff, 0x00cff300  # 68
        entry   0x0000ffff, 0x00affb00  # 70
        entry   0x00000fff, 0x0040f300  # 78 4 KiB of data, DPL 3
        entry   TSS<<16|0x67, 0x00008900 # 80
        entry   LDT<<16|7, 0x00008200   # 88; what long mode has for the upper half of 80
        lgdtl   gdt_here + BASE
        movl    $0x6000, TSS + 4
        movl    $0x10, TSS + 8
        mov     $0x80, %ax
        ltr     %ax
        movl    $0x0000ffff, LDT        # 07 data, DPL 3
        movl    $0x00cff300, LDT + 4
        mov     $0x88, %ax
        lldt    %ax

# 18 to 1f: FS, as kernels of 32 bits load it: all of memory, nothing, a little; a descriptor that changes
        movl    $0x1234, 0x5f0
        fs_goes 0x18, 0x0000ffff, 0x00cff300, 0x5f0
        fs_goes 0x19, 0x0100ffff, 0x00cff300, 0x4f0
        fs_ends 0x1a, 0x00000fff, 0x0040f300
        fs_goes 0x1b, 0x0000ffff, 0x00cff300, 0x5f0
        fs_ends 0x1c, 0x00000fff, 0x0040f300
        mov     $0x23, %eax
        mov     %eax, %fs
        fs_ends 0x1d, 0x00000fff, 0x0040f300
        movl    $0x00000fff, GDT + 0x78
        movl    $0x0040f300, GDT + 0x7c
        movb    $0x1e, NUMBER           # all of memory by the other table, then less again
        mov     $TIMES, %ebp
1:      no_fs
        mov     $0x7b, %eax
        mov     %eax, %fs
        fs_faults
        no_fs
        mov     $0x07, %eax
        mov     %eax, %fs
        cmpl    $0x1234, %fs:0x5f0
        jne     fail
        dec     %ebp
        jnz     1b
        xor     %eax, %eax
        mov     %eax, %fs

# 20 to 2f: SYSENTER and SYSEXIT. GS counts at CPL 3.
        set_msr 0x174, 8
        set_msr 0x175, 0x6800
        set_msr 0x176, on_sysenter + BASE
        mov     $0x23, %eax
        mov     %eax, %gs
        exit32  0x20, enter_gs, 0x100, 8
        was     SS_SEEN, 0x10
        xor     %eax, %eax
        mov     %eax, %gs
        exit32  0x21, enter_gs, 13, 0x1b
        was     ERROR, 0
        mov     $0x23, %eax
        mov     %eax, %gs
        exit32  0x22, enter_gs, 0x100, 8
        mov     $0x7b, %eax
        mov     %eax, %gs
        exit32  0x23, enter_gs, 13, 0x1b
        mov     $0x23, %eax
        mov     %eax, %gs

        # alignment checks by AC, which the kernel has too then
        mov     %cr0, %eax
        or      $0x40000, %eax
        mov     %eax, %cr0
        exit32  0x24, enter_odd, 0x100, 8
        pushl   $0x40002
        popf
        exit32  0x25, enter_odd, 17, 0x1b
        exit32  0x26, enter, 0x100, 8
        was     FLAGS, 2                # as on_sysenter found them, behind its CLD and the like
        pushl   $2
        popf
        exit32  0x27, enter_odd, 0x100, 8

        # IOPL is kept, IF cleared
        pushl   $0x3002
        popf
        exit32  0x28, enter_sti, 0x100, 8
        was     FLAGS, 0x3002
        pushl   $2
        popf
        exit32  0x29, enter, 0x100, 8
        was     FLAGS, 2
        exit32  0x2a, enter_sti, 13, 0x1b

        # what the MSRs say now
        set_msr 0x176, on_sysenter_2 + BASE
        set_msr 0x175, 0x6900
        exit32  0x2b, enter, 0x101, 8
        was     SS_SEEN, 0x68fc
        set_msr 0x176, on_sysenter + BASE
        set_msr 0x174, 0
        exit32  0x2c, enter, 13, 8
        set_msr 0x174, 8
        exit32  0x2d, enter, 0x100, 8

# Long mode: 4 GiB of pages of 2 MiB for everybody.
        mov     $TABLES, %edi
        xor     %eax, %eax
        mov     $0x2000 / 4, %ecx
        rep stosl
        movl    $TABLES + 0x1007, TABLES
        mov     $TABLES + 0x2007, %eax
        mov     $TABLES + 0x1000, %edi
        mov     $4, %ecx
1:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x1000, %eax
        loop    1b
        mov     $TABLES + 0x2000, %edi
        mov     $0x87, %eax
        mov     $2048, %ecx
1:      mov     %eax, (%edi)
        movl    $0, 4(%edi)
        add     $8, %edi
        add     $0x200000, %eax
        loop    1b
        mov     $IDT, %edi
        mov     $stubs64 + BASE, %eax
        mov     $0x50, %ecx
1:      mov     %ax, (%edi)
        movw    $0x28, 2(%edi)
        movw    $0xee00, 4(%edi)
        mov     %eax, %edx
        shr     $16, %edx
        mov     %dx, 6(%edi)
        movl    $0, 8(%edi)
        movl    $0, 12(%edi)
        add     $16, %edi
        add     $16, %eax
        loop    1b
        movl    $0x6000, TSS + 4
        movl    $0, TSS + 8
        mov     $0x620, %eax            # PAE, OSFXSR
        mov     %eax, %cr4
        mov     $TABLES, %eax
        mov     %eax, %cr3
        set_msr 0xc0000080, 0x101       # SCE, LME
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $0x28, $long_mode + BASE

        .code64
long_mode:
        mov     $0x7000, %esp
        movl    $0x00008900, GDT + 0x84
        movl    $0, GDT + 0x88
        movl    $0, GDT + 0x8c
        mov     $0x80, %eax
        ltr     %ax
        set_msr STAR, 0, 0x3b0028
        set_msr LSTAR, on_syscall + BASE

# 30: masks of flags
        set_msr FMASK, LINUX_MASK
        piece   0x30, call_below, 0x202, 0x100, 0x28, 2, 0x297
        was     SS_SEEN, 0x30
        piece   0x31, call, 0x8d7, 0x100, 0x28, 2, 0x8d7
        piece   0x32, call_std, 2, 0x100, 0x28, 2, 0x402
        set_msr FMASK, 0x600
        piece   0x33, call_below, 0x202, 0x100, 0x28, 0x97, 0x297
        piece   0x34, call_std, 2, 0x100, 0x28, 2, 0x402
        piece   0x35, call, 0x8d7, 0x100, 0x28, 0x8d7, 0x8d7
        set_msr FMASK, 0
        piece   0x36, call_std, 2, 0x100, 0x28, 0x402, 0x402
        piece   0x37, call, 0x402, 0x100, 0x28, 0x402, 0x402
        piece   0x38, call, 2, 0x100, 0x28, 2, 2

# 40: what the mode shows of the flags, or what never comes back
        set_msr FMASK, 0x400
        piece   0x40, call, 2, 0x100, 0x28, 2, 2
        piece   0x41, call_sti, 0x3002, 0x100, 0x28, 0x3202, 0x3202
        piece   0x42, call_sti, 2, 13, 0x4b, 0x10002
        piece   0x43, call, 0x40002, 0x100, 0x28, 0x40002, 0x40002
        piece   0x44, call_odd, 0x40002, 17, 0x4b, 0x50002
        piece   0x45, call_odd, 2, 0x100, 0x28, 2, 2
        piece   0x46, call, 0x4002, 0x100, 0x28, 0x4002, 0x4002
        piece   0x47, call, 0x200002, 0x100, 0x28, 0x200002, 0x200002
        piece   0x48, call, 0x3002a, 0x100, 0x28, 2, 2
        set_msr FMASK, LINUX_MASK
        piece   0x49, call_sti, 0x3002, 0x100, 0x28, 2, 0x3202
        piece   0x4a, call_odd, 0x40002, 17, 0x4b, 0x50002
        piece   0x4b, call, 0x207ad7, 0x100, 0x28, 2, 0x207ad7

# 50: single steps
        piece   0x50, call, 2, 0x100, 0x28, 2, 2
        piece   0x51, call, 0x102, 1, 0x4b, 0x102
        was     PC, PIECES + call - pieces
        piece   0x52, call_step, 2, 0x100, 0x28, 2, 0x102
        piece   0x53, call, 2, 0x100, 0x28, 2, 2
        set_msr FMASK, 0x400
        piece   0x54, call_step, 2, 1, 0x28, 0x102
        was     PC, on_syscall + BASE

# 60: where it goes
        set_msr FMASK, LINUX_MASK
        piece   0x60, call, 2, 0x100, 0x28, 2, 2
        movb    $0x61, NUMBER
        mov     $TIMES, %ebp
1:      lea     2f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        mov     $1, %ecx
        shl     $47, %rcx               # not canonical
        mov     $2, %r11d
3:      sysretq
2:      was     VECTOR, 13
        was     ERROR, 0
        was     CS_SEEN, 0x28
        was     PC, 3b + BASE
        dec     %ebp
        jnz     1b
        movb    $0x62, NUMBER
        mov     $TIMES, %ebp
1:      lea     2f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        mov     $-0x1000, %rcx          # canonical, not there
        mov     $2, %r11d
        sysretq
2:      was     VECTOR, 14
        was     CS_SEEN, 0x4b
        was     PC, -0x1000
        dec     %ebp
        jnz     1b

# 68: to code of 32 bits, between others
        movb    $0x68, NUMBER
        mov     $TIMES, %ebp
1:      lea     2f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        mov     $PIECES + piece_32 - pieces, %ecx
        mov     $2, %r11d
        sysretl
2:      was     VECTOR, 0x41
        was     CS_SEEN, 0x3b
        was     SS_SEEN, 0x43
        dec     %ebp
        jnz     1b
        piece   0x69, call, 2, 0x100, 0x28, 2, 2

# 70: what the MSRs say now
        set_msr LSTAR, on_syscall_2 + BASE
        piece   0x70, call, 2, 0x101, 0x28, 2, 2
        set_msr LSTAR, on_syscall + BASE
        piece   0x71, call, 2, 0x100, 0x28, 2, 2
        set_msr STAR, 0, 0x630050
        piece   0x72, call, 2, 0x100, 0x50, 2, 2
        was     SS_SEEN, 0x58
        piece   0x73, wrong, 2, 6, 0x73, 0x10002
        was     SS_SEEN, 0x6b
        set_msr STAR, 0, 0x3b0028
        piece   0x74, call, 2, 0x100, 0x28, 2, 2
        piece   0x75, wrong, 2, 6, 0x4b, 0x10002
        set_msr 0xc0000080, 0x500       # no SCE
        piece   0x76, call, 2, 6, 0x28
        movb    $0x77, NUMBER
        mov     $TIMES, %ebp
1:      lea     2f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        pushq   $0x43
        pushq   $0x6f00
        pushq   $2
        pushq   $0x4b
        pushq   $PIECES + call - pieces
        iretq
2:      was     VECTOR, 6
        was     CS_SEEN, 0x4b
        was     PC, PIECES + call - pieces
        dec     %ebp
        jnz     1b
        set_msr 0xc0000080, 0x501
        piece   0x78, call, 2, 0x100, 0x28, 2, 2

# 80: an interrupt that waits for IF comes before the piece's first instruction
        mov     $APIC, %edi
        movl    $0x14f, 0xf0(%rdi)
        movl    $0, 0x80(%rdi)
        movb    $0x80, NUMBER
        mov     $TIMES, %ebp
1:      lea     2f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        movl    $0x44040, 0x300(%rdi)   # to itself, vector 40
        mov     $PIECES + call - pieces, %ecx
        mov     $0x202, %r11d
        sysretq
2:      was     VECTOR, 0x40
        was     CS_SEEN, 0x4b
        was     PC, PIECES + call - pieces
        movl    $0, 0xb0(%rdi)
        dec     %ebp
        jnz     1b
        piece   0x81, call, 0x202, 0x100, 0x28, 2, 0x202

# 88: STAC and CLAC; the kernel has its first 2 MiB for itself
        movb    $0x88, NUMBER
        movl    $0x83, TABLES + 0x2000
        mov     %cr3, %rax
        mov     %rax, %cr3
        mov     %cr4, %rax
        or      $0x200000, %eax
        mov     %rax, %cr4
        smap_faults
        mov     $TIMES, %ebp
1:      stac
        smap_is_off
        clac
        smap_faults
        dec     %ebp
        jnz     1b
        movb    $0x89, NUMBER           # so many of each; what an exception finds, and IRET brings back
        mov     $TIMES, %ebp
1:      clac
        clac
        smap_faults
        stac
        stac
        smap_is_off
        lea     3f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        ud2
3:      was     VECTOR, 6
        testl   $0x40000, FLAGS
        jz      fail
        smap_faults
        stac
        pushfq
        clac
        testl   $0x40000, (%rsp)
        jz      fail
        popfq
        smap_is_off
        clac
        pushfq
        testl   $0x40000, (%rsp)
        jnz     fail
        popfq
        smap_faults
        dec     %ebp
        jnz     1b
        movb    $0x8a, NUMBER           # without SMAP, and with it again
        mov     $TIMES, %ebp
1:      mov     %cr4, %rax
        and     $~0x200000, %eax
        mov     %rax, %cr4
        smap_is_off
        stac
        smap_is_off
        clac
        smap_is_off
        mov     %cr4, %rax
        or      $0x200000, %eax
        mov     %rax, %cr4
        smap_faults
        stac
        smap_is_off
        clac
        smap_faults
        dec     %ebp
        jnz     1b
        movb    $0x8b, NUMBER           # other tables, with less
        mov     $TIMES, %ebp
1:      stac
        smap_is_off
        movl    $0, TABLES + 0x2008
        mov     %cr3, %rax
        mov     %rax, %cr3
        lea     3f(%rip), %rax
        mov     %rax, RESUME
        mov     %rsp, STACK_KEPT
        stac
        mov     USER_PAGE, %eax
        jmp     fail
3:      was     VECTOR, 14
        was     ERROR, 0
        movl    $0x200087, TABLES + 0x2008
        stac
        smap_is_off
        clac
        smap_faults
        dec     %ebp
        jnz     1b

        movb    $0x10, NUMBER
fail:   mov     NUMBER, %al
        mov     $0x505, %dx             # all of it
        out     %al, %dx
        mov     $0x501, %dx
        out     %al, %dx
1:      hlt
        jmp     1b

on_syscall_2:
        movl    $0x101, VECTOR
        jmp     1f
on_syscall:
        movl    $0x100, VECTOR
1:      pushfq
        popq    FLAGS
        mov     %r11, USER_FLAGS
        mov     %cs, %eax
        mov     %eax, CS_SEEN
        mov     %ss, %eax
        mov     %eax, SS_SEEN
resume64:
        mov     STACK_KEPT, %rsp
        pushq   $2
        popfq
        jmp     *RESUME

exception64:
        popq    VECTOR
        popq    ERROR
        popq    PC
        popq    CS_SEEN
        popq    FLAGS
        popq    %rax
        popq    SS_SEEN
        jmp     resume64

        stubs   stubs64, exception64

        .code32
on_sysenter_2:
        movl    $0x101, VECTOR
        jmp     1f
on_sysenter:
        movl    $0x100, VECTOR
1:      pushfl
        popl    FLAGS
        mov     %cs, %eax
        mov     %eax, CS_SEEN
        mov     %ss, %eax
        mov     %eax, SS_SEEN
        cmpl    $0x100, VECTOR
        je      1f
        mov     %esp, %eax
        sub     $4, %eax
        mov     %eax, SS_SEEN
1:      andl    $~0x408d5, FLAGS        # but for the arithmetic ones, and AC
        mov     STACK_KEPT, %esp
        jmp     *RESUME

exception32:
        popl    VECTOR
        popl    ERROR
        popl    PC
        popl    CS_SEEN
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     STACK_KEPT, %esp
        jmp     *RESUME

        stubs   stubs, exception32

pieces:
enter_gs:
        mov     %gs:0x2000, %eax
enter:  sysenter
enter_odd:
        mov     0x6f01, %eax
        sysenter
enter_sti:
        sti
        sysenter
piece_32:
        int     $0x41
        .code64
call_below:
        xor     %eax, %eax
        cmp     $1, %eax
call:   syscall
call_std:
        std
        syscall
call_sti:
        sti
        syscall
call_odd:
        mov     0x6f01, %eax
        syscall
call_step:
        pushfq
        orl     $0x100, (%rsp)
        popfq
        syscall
wrong:  ud2
pieces_end:

        .code32
        gate_routine
        tables
        .balign 8
gdt_here:
        .word   0x8f
        .long   GDT
