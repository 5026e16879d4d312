# A firmware that runs small virtual machines by AMD-V and compares what VMRUN comes back with, one record of `tests`
# after the other. It leaves through isa-debug-exit (port 0x501) with 0x10; or with 1, and says on port 0x402 which tests
# failed: number, exit code, EXITINFO1, EXITINFO2, RIP, next RIP, EXITINTINFO, RAX.
#
# Memory: 0x2000 IDT, 0x6000 and 0x8000 the guest's and the host's stacks' tops, 0x10000 VMCB, 0x11000 host save area, 0x12000 MSR
# map, 0x14000 I/O map, 0x18000 page tables (1 GiB as it is), 0x1b000 nested tables of the same (with 4 KiB pages below
# 2 MiB), 0x30000 and up for tests.
        .set    BASE, 0xf0000
        .set    IDT, 0x2000
        .set    VMCB, 0x10000
        .set    HSAVE, 0x11000
        .set    MSRPM, 0x12000
        .set    IOPM, 0x14000
        .set    TABLES, 0x18000         # and the next two pages
        .set    NESTED, 0x1b000         # and the next three
        .set    TABLES32, 0x20000       # of a guest of 4 MiB pages
        .set    TABLESPAE, 0x21000      # PDPT; the directory is the next page
        .set    TABLES2, 0x23000        # as TABLES, with one page elsewhere: two more pages

        .set    failures, 0x640

        .set    NRIPS, 1 << 3
        .set    DECODE, 1 << 7

# Fields of the VMCB: offset and size.
        .set    CRS, 0x40000
        .set    DRS, 0x40004
        .set    EXCEPTIONS, 0x40008
        .set    MISC1, 0x4000c
        .set    MISC2, 0x40010
        .set    TSC_OFFSET, 0x80050
        .set    ASID, 0x40058
        .set    INT_CONTROL, 0x40060
        .set    INT_VECTOR, 0x40064
        .set    INT_STATE, 0x40068
        .set    NESTED_ON, 0x80090
        .set    EVENT, 0x800a8
        .set    NESTED_CR3, 0x800b0
        .set    CS_SELECTOR, 0x20410
        .set    CS_ATTR, 0x20412
        .set    CS_BASE, 0x80418
        .set    CPL, 0x104cb
        .set    SS_ATTR, 0x20422
        .set    IDT_LIMIT, 0x40484
        .set    EFER, 0x804d0
        .set    CR4, 0x80548
        .set    CR3, 0x80550
        .set    CR0, 0x80558
        .set    RFLAGS, 0x80570
        .set    RSP, 0x805d8
        .set    RAX, 0x805f8
        .set    CR2, 0x80640

# Misc. intercepts: exit codes are 0x60 and 0x80 and their bit.
        .set    ALWAYS2, 3              # VMRUN and VMMCALL

        .include "svm.inc"

        .code16
        .text
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x8000, %sp
        lgdtl   %cs:gdt_pointer
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $0x18, $protected + BASE

        .code32
protected:
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        xor     %eax, %eax
        mov     $0x10000, %edi
        mov     $0x20000 / 4, %ecx
        rep stosl
        movl    $TABLES + 0x1003, TABLES
        movl    $TABLES + 0x2003, TABLES + 0x1000
        movl    $TABLES2 + 0x1003, TABLES2
        movl    $TABLES2 + 0x2003, TABLES2 + 0x1000
        movl    $NESTED + 0x1007, NESTED
        movl    $NESTED + 0x2007, NESTED + 0x1000
        mov     $512, %ecx
        xor     %ebx, %ebx
1:      lea     0x83(%ebx), %eax
        mov     %ebx, %edi
        shr     $21 - 3, %edi
        mov     %eax, TABLES + 0x2000(%edi)
        mov     %eax, TABLES2 + 0x2000(%edi)
        mov     %eax, TABLESPAE + 0x1000(%edi)
        or      $4, %eax
        mov     %eax, NESTED + 0x2000(%edi)
        add     $0x200000, %ebx
        loop    1b
        movl    $NESTED + 0x3007, NESTED + 0x2000
        mov     $512, %ecx
        xor     %ebx, %ebx
1:      lea     7(%ebx), %eax
        mov     %ebx, %edi
        shr     $12 - 3, %edi
        mov     %eax, NESTED + 0x3000(%edi)
        add     $0x1000, %ebx
        loop    1b
        # the second guest table maps 2 MiB to 4 MiB; 32-bit tables are flat
        movl    $0x400083, TABLES2 + 0x2008
        movl    $TABLESPAE + 0x1001, TABLESPAE
        movl    $0x83, TABLES32
        # for nested paging: 0x50000 is elsewhere, 0x51000 read-only, 0x52000 not there, 0x53000 not executable
        movl    $0x60007, NESTED + 0x3000 + 0x50 * 8
        movl    $0x51005, NESTED + 0x3000 + 0x51 * 8
        movl    $0, NESTED + 0x3000 + 0x52 * 8
        movl    $0x80000000, NESTED + 0x3000 + 0x53 * 8 + 4
        movl    $0x11110000, 0x50000
        movl    $0x22220000, 0x60000
        movl    $0x33330000, 0x200000
        movl    $0x44440000, 0x400000
        mov     $IDT, %edi
        mov     $256, %ecx
1:      mov     $unexpected + BASE, %eax
        call    set_gate
        loop    1b
        mov     $IDT + 13 * 16, %edi
        mov     $on_gp + BASE, %eax
        call    set_gate
        mov     $IDT + 2 * 16, %edi
        mov     $on_vector + BASE, %eax
        call    set_gate
        mov     $IDT + 0x30 * 16, %edi
        mov     $on_vector + BASE, %eax
        call    set_gate
        mov     $IDT + 0x31 * 16, %edi
        mov     $on_vector + BASE, %eax
        call    set_gate
        andl    $~0x8000, IDT + 0x31 * 16 + 4   # not present
        mov     $IDT + 0x40 * 16, %edi
        mov     $on_host_vector + BASE, %eax
        call    set_gate
        mov     $IDT + 3 * 16, %edi
        mov     $on_breakpoint + BASE, %eax
        call    set_gate
        mov     $0x20 + 0x600, %eax     # PAE, OSFXSR
        mov     %eax, %cr4
        mov     $TABLES, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x1900, %eax           # LME, NXE, SVME
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $8, $long_mode + BASE

# EDI: gate, moved on; EAX: handler
set_gate:
        mov     %ax, (%edi)
        movw    $8, 2(%edi)
        movw    $0x8e00, 4(%edi)
        shr     $16, %eax
        mov     %ax, 6(%edi)
        movl    $0, 8(%edi)
        movl    $0, 12(%edi)
        add     $16, %edi
        ret

        .code64
long_mode:
        mov     $0x8000, %esp
        lidt    idt_pointer(%rip)
        mov     $0xc0010117, %ecx       # VM_HSAVE_PA
        mov     $HSAVE, %eax
        xor     %edx, %edx
        wrmsr
        mov     $0x8000000a, %eax
        cpuid
        mov     %edx, %r12d
        # MSR map: reads of 0x174, writes of 0xc0000102
        movb    $1, MSRPM + 0x174 * 2 / 8
        movb    $2 << 4, MSRPM + 0x800 + 0x102 * 2 / 8
        # I/O map: ports 0x71 and 0x80; 0x7f + 2 bytes touches the latter
        movb    $1 << 1, IOPM + 0x71 / 8
        movb    $1, IOPM + 0x80 / 8

        mov     $tests + BASE, %ebp
next_test:
        cmpl    $0, (%rbp)
        je      host_tests
        call    fresh_vmcb
        lea     64(%rbp), %rsi          # what the test wants different
1:      lodsl
        cmp     $-1, %eax
        je      3f
        movzwl  %ax, %edi
        shr     $16, %eax
        mov     %eax, %ecx
        lodsq                           # the value, of so many bytes
        lea     VMCB(%rdi), %rdi
2:      stosb
        shr     $8, %rax
        loop    2b
        jmp     1b
3:      mov     %rsi, %r15              # the next test
        call    run
        mov     4(%rbp), %ebx           # what is to be compared
        mov     VMCB + 0x70, %rax
        cmp     16(%rbp), %rax
        jne     failed
        test    $1, %ebx
        jz      1f
        test    $64, %ebx   # only there with decode assists
        jz      2f
        test    $DECODE, %r12d
        jz      1f
2:      mov     VMCB + 0x78, %rax
        cmp     24(%rbp), %rax
        jne     failed
1:      test    $2, %ebx
        jz      1f
        mov     VMCB + 0x80, %rax
        cmp     32(%rbp), %rax
        jne     failed
1:      test    $4, %ebx
        jz      1f
        mov     VMCB + 0x578, %rax
        cmp     8(%rbp), %eax
        jne     failed
1:      test    $32, %ebx
        jz      1f
        test    $NRIPS, %r12d
        jz      1f
        mov     VMCB + 0xc8, %rax
        cmp     12(%rbp), %eax
        jne     failed
1:      test    $16, %ebx
        jz      1f
        mov     VMCB + 0x88, %rax
        cmp     40(%rbp), %rax
        jne     failed
1:      test    $8, %ebx
        jz      1f
        mov     VMCB + 0x5f8, %eax
        cmp     48(%rbp), %eax
        jne     failed
1:      test    $128, %ebx              # another field
        jz      1f
        movzwl  56(%rbp), %ecx
        mov     VMCB(%rcx), %eax
        cmp     60(%rbp), %eax
        jne     failed
1:      mov     %r15, %rbp
        jmp     next_test

# A long mode guest with the host's tables; registers are what the last one left, but for RAX.
fresh_vmcb:
        xor     %eax, %eax
        mov     $VMCB, %edi
        mov     $0x1000 / 8, %ecx
        rep stosq
        movl    $ALWAYS2, VMCB + 0x10
        movq    $IOPM, VMCB + 0x40
        movq    $MSRPM, VMCB + 0x48
        movl    $1, VMCB + 0x58
        movl    $1, VMCB + 0x5c         # a fresh TLB
        movl    (%rbp), %eax
        mov     %rax, VMCB + 0x578
        long_mode_guest
        ret

run:    push    %rbp
        push    %r12
        push    %r15
        mov     $VMCB, %eax
        clgi
        vmrun
        stgi
        pop     %r15
        pop     %r12
        pop     %rbp
        ret

# A page is elsewhere, and the guest says so while CR0.WP is clear.
        .macro  other_modes flush, global
        movl    $0x400083 | \global, TABLES2 + 0x2008
        orb     $1, VMCB + 0x55a
        movl    $1, VMCB + 0x5c
        movl    $g_second_page + BASE, VMCB + 0x578
        call    run
        cmpl    $0x44440000, VMCB + 0x5f8
        jne     failed
        movl    $0x200083 | \global, TABLES2 + 0x2008
        andb    $~1, VMCB + 0x55a
        movl    $0, VMCB + 0x5c
        movl    $\flush + BASE, VMCB + 0x578
        call    run
        orb     $1, VMCB + 0x55a
        movl    $g_second_page + BASE, VMCB + 0x578
        call    run
        cmpl    $0x33330000, VMCB + 0x5f8
        jne     failed
        .endm

# What records cannot say: a physical interrupt, VMLOAD and VMSAVE, and whether the host is what it was.
host_tests:
        call    fresh_vmcb
        movl    $spin + BASE, VMCB + 0x578
        movl    $1, VMCB + 0xc          # INTR
        movl    $1 << 24, VMCB + 0x60   # V_INTR_MASKING: the host's IF counts
        movl    $0x1ff, 0x500
        mov     $0xfee000f0, %edi       # the local APIC, at its usual place
        call    map_apic
        movl    $0x1ff, (%rdi)
        movl    $0, 0x600
        clgi
        sti
        mov     $0xfee00300, %edi
        movl    $0x44040, (%rdi)        # vector 0x40 to itself: waits for GIF
        nop
        cmpl    $0, 0x600
        jne     failed
        mov     $VMCB, %eax
        vmrun
        cmpl    $0, 0x600
        jne     failed
        cmpl    $0x60, VMCB + 0x70
        jne     failed
        stgi
        nop
        cmpl    $1, 0x600
        jne     failed
        cli

        mov     $0xc0000102, %ecx
        mov     $0x1234567, %eax
        xor     %edx, %edx
        wrmsr
        mov     $VMCB, %eax
        vmsave
        mov     $0xc0000102, %ecx
        xor     %eax, %eax
        wrmsr
        mov     $VMCB, %eax
        vmload
        mov     $0xc0000102, %ecx
        rdmsr
        cmp     $0x1234567, %eax
        jne     failed
        cmpq    $0x1234567, VMCB + 0x620
        jne     failed

        # one TLB, whatever the modes: what its guest empties it of is gone under others too
        call    fresh_vmcb
        movq    $TABLES2, VMCB + 0x550
        orb     $0x80, VMCB + 0x548     # PGE
        movl    $3, VMCB + 0x58
        other_modes g_flush_space, 0
        other_modes g_flush_page, 0x100

        mov     $0x10, %al
        cmpb    $0, failures
        je      leave
        jmp     leave_failed

on_host_vector:
        incl    0x600
        push    %rdi
        mov     $0xfee000b0, %edi
        movl    $0, (%rdi)
        pop     %rdi
        iretq

# The APIC's page, in what would be the fourth GiB of the tables.
map_apic:
        movl    $0x30003, TABLES + 0x1000 + 3 * 8
        movl    $0, TABLES + 0x1004 + 3 * 8
        movl    $0xfee00083, %eax
        mov     %rax, 0x30000 + 0x1f7 * 8
        ret

failed: mov     $0x402, %edx
        mov     $0x70, %esi
        mov     52(%rbp), %eax          # its number
        mov     %rax, 0x700
        mov     $0x700, %ebx
        call    print
        mov     $VMCB + 0x70, %ebx
        call    print
        mov     $VMCB + 0x78, %ebx
        call    print
        mov     $VMCB + 0x80, %ebx
        call    print
        mov     $VMCB + 0x578, %ebx
        call    print
        mov     $VMCB + 0xc8, %ebx
        call    print
        mov     $VMCB + 0x88, %ebx
        call    print
        mov     $VMCB + 0x5f8, %ebx
        call    print
        mov     $'\n', %al
        out     %al, %dx
        movb    $1, failures
        cmpl    $0, (%rbp)
        je      leave_failed
        mov     %r15, %rbp
        jmp     next_test
leave_failed:
        mov     $1, %al
leave:  mov     $0x501, %dx
        out     %al, %dx
        jmp     leave

# The eight bytes at RBX to the port in EDX
print:  mov     (%rbx), %rdi
        mov     $16, %ecx
1:      rol     $4, %rdi
        mov     %edi, %eax
        and     $15, %eax
        lea     digits(%rip), %r8
        mov     (%r8,%rax), %al
        out     %al, %dx
        loop    1b
        mov     $' ', %al
        out     %al, %dx
        ret
unexpected:
        mov     $0x8000, %esp
        jmp     failed
digits: .ascii  "0123456789abcdef"

# Guests. Most begin with the instruction that is the point; all end in VMMCALL.
        .macro  guest name, text:vararg
\name:  \text
\name\()_next:
        vmmcall
        .endm
        guest   g_vmmcall, nop
        guest   g_cpuid, cpuid
        guest   g_hlt, hlt
        guest   g_pushf, pushf
        guest   g_popf, popf
        guest   g_iret, iretq
        guest   g_int, int $0x30
        guest   g_invd, invd
        guest   g_wbinvd, wbinvd
        guest   g_pause, pause
        guest   g_rdtsc, rdtsc
        guest   g_rdpmc, rdpmc
        guest   g_rdtscp, rdtscp
        guest   g_icebp, .byte 0xf1
        guest   g_invlpg, invlpg 0x12345
        guest   g_invlpga, invlpga
        guest   g_vmrun, vmrun
        guest   g_vmload, vmload
        guest   g_vmsave, vmsave
        guest   g_stgi, stgi
        guest   g_clgi, clgi
        guest   g_skinit, skinit
        guest   g_rsm, rsm
        guest   g_sidt, sidt 0x700
        guest   g_sgdt, sgdt 0x700
        guest   g_sldt, sldt %eax
        guest   g_str, str %eax
        guest   g_lidt, lidt idt_pointer(%rip)
        guest   g_lgdt, lgdt gdt_pointer(%rip)
        guest   g_lldt, lldt %ax
        guest   g_ltr, ltr %ax
        guest   g_read_cr0, mov %cr0, %rbx
        guest   g_read_cr3, mov %cr3, %r9
        guest   g_write_cr3, mov %rax, %cr3
        guest   g_write_cr4, mov %rdi, %cr4
        guest   g_read_cr8, mov %cr8, %rdx
        guest   g_smsw, smsw %eax
        guest   g_lmsw, lmsw %ax
        guest   g_clts, clts
        guest   g_read_dr7, mov %dr7, %rcx
        guest   g_write_dr0, mov %rbx, %dr0
        guest   g_ud, ud2
        guest   g_page_fault, movl $0, (%rax)
        guest   g_breakpoint, int3
        guest   g_load, mov (%rax), %eax
        guest   g_store, movb $1, (%rax)
        guest   g_jump, jmp *%rax
        guest   g_in, in $0x71, %al
        guest   g_out_wide, out %ax, $0x7f

g_write_cr8:
        mov     $5, %eax
        mov     %rax, %cr8
        mov     %cr8, %rax
        vmmcall
g_selective:
        mov     %cr0, %rax
        xor     $8, %eax                # TS
        mov     %rax, %cr0
        xor     $0x10008, %eax          # WP
g_selective_here:
        mov     %rax, %cr0
        vmmcall
g_rdmsr:
        mov     $0x175, %ecx
        rdmsr
        mov     $0x174, %ecx
g_rdmsr_here:
        rdmsr
        vmmcall
g_wrmsr:
        mov     $0xc0000102, %ecx
        rdmsr
g_wrmsr_here:
        wrmsr
        vmmcall
g_strange_msr:
        mov     $0x12345678, %ecx
g_strange_msr_here:
        rdmsr
        vmmcall
g_io:
        in      $0x70, %al
        mov     $0x71, %dx
g_io_here:
        in      %dx, %eax
g_io_next:
        vmmcall
g_outs:
        mov     $0x80, %edx
        mov     $3, %ecx
        mov     $0x600, %esi
g_outs_here:
        rep     outsb
g_outs_next:
        vmmcall
g_gp:                                   # its own handler gets it
        mov     $1, %eax
        mov     %ax, %fs
        mov     $0x12345678, %ecx
        xor     %eax, %eax
        wrmsr
on_gp:  pop     %rax
        or      $0x6d00, %eax
        vmmcall
on_vector:
        mov     $0x1e57, %eax
        vmmcall
on_breakpoint:
        mov     (%rsp), %rax            # where it returns to
        vmmcall
g_sti:  sti
        nop
g_sti_here:
        nop
        vmmcall
g_stgi_sti:
        stgi
        sti
        nop
        nop
        vmmcall
g_shadow:
        sti
g_shadow_here:
        cpuid
        vmmcall
g_tsc:  rdtsc
        mov     %edx, %eax
        and     $0xff000000, %eax
        vmmcall
g_second_page:
        mov     0x200000, %eax
        vmmcall
g_flush_space:
        mov     %cr3, %rax
        mov     %rax, %cr3
        vmmcall
g_flush_page:
        invlpg  0x200000
        vmmcall
        .code32
g_load32:
        mov     0x50000, %eax
        .byte   0x0f, 0x01, 0xd9
g_high32:
        mov     0x52000, %eax
        .byte   0x0f, 0x01, 0xd9
        .code16
g_real: mov     $0x5000, %ax
        mov     %ax, %ds
        mov     2, %ax
        .byte   0x0f, 0x01, 0xd9
        .code64
spin:   jmp     spin

        .macro  quad value
        .long   (\value) & 0xffffffff, ((\value) >> 32) & 0xffffffff
        .endm
# A test: the guest's entry, the exit code, and what else is to be so; `set` lines say what of the VMCB is.
        .set    lines, 0
        .macro  test entry, code, info1, info2, rip, next, int, rax, field, value, decode=0
        .set    lines, lines + 1
        .set    wants, \decode
        .ifnb   \info1
        .set    wants, wants | 1
        .endif
        .ifnb   \info2
        .set    wants, wants | 2
        .endif
        .ifnb   \rip
        .set    wants, wants | 4
        .endif
        .ifnb   \rax
        .set    wants, wants | 8
        .endif
        .ifnb   \int
        .set    wants, wants | 16
        .endif
        .ifnb   \next
        .set    wants, wants | 32
        .endif
        .ifnb   \field
        .set    wants, wants | 128
        .endif
        .long   \entry + BASE, wants
        .ifnb   \rip
        .long   \rip + BASE
        .else
        .long   0
        .endif
        .ifnb   \next
        .long   \next + BASE
        .else
        .long   0
        .endif
        quad    \code
        .ifnb   \info1
        quad    \info1
        .else
        quad    0
        .endif
        .ifnb   \info2
        .long   \info2, 0
        .else
        quad    0
        .endif
        .ifnb   \int
        quad    \int
        .else
        quad    0
        .endif
        .ifnb   \rax
        .long   \rax
        .else
        .long   0
        .endif
        .long   lines
        .ifnb   \field
        .long   \field, \value
        .else
        .long   0, 0
        .endif
        .endm
        .macro  set field, value
        .long   \field
        quad    \value
        .endm
        .macro  end
        .long   -1
        .endm
# An instruction that is intercepted by the bit of its exit code.
        .macro  intercepted name, code
        test    \name, \code, info1=0, info2=0, rip=\name, next=\name\()_next, int=0
        .if     \code >= 0x80
        set     MISC2, ALWAYS2 | 1 << (\code - 0x80)
        .else
        set     MISC1, 1 << (\code - 0x60)
        .endif
        end
        .endm

tests:  test    g_vmmcall, 0x81, rip=g_vmmcall_next
        end
        test    g_cpuid, 0x81, rip=g_cpuid_next
        end
        intercepted g_cpuid, 0x72
        intercepted g_hlt, 0x78
        intercepted g_pushf, 0x70
        intercepted g_popf, 0x71
        intercepted g_iret, 0x74
        intercepted g_invd, 0x76
        intercepted g_wbinvd, 0x89
        intercepted g_pause, 0x77
        intercepted g_rdtsc, 0x6e
        intercepted g_rdpmc, 0x6f
        intercepted g_icebp, 0x88
        intercepted g_invlpga, 0x7a
        intercepted g_vmrun, 0x80
        intercepted g_vmload, 0x82
        intercepted g_vmsave, 0x83
        intercepted g_stgi, 0x84
        intercepted g_clgi, 0x85
        intercepted g_skinit, 0x86
        intercepted g_rsm, 0x73
        intercepted g_sidt, 0x66
        intercepted g_sgdt, 0x67
        intercepted g_sldt, 0x68
        intercepted g_str, 0x69
        intercepted g_lidt, 0x6a
        intercepted g_lgdt, 0x6b
        intercepted g_lldt, 0x6c
        intercepted g_ltr, 0x6d
        test    g_int, 0x75, info1=0x30, rip=g_int, next=g_int_next, decode=64
        set     MISC1, 1 << 21
        end
        test    g_invlpg, 0x79, info1=0x12345, rip=g_invlpg, next=g_invlpg_next, decode=64
        set     MISC1, 1 << 25
        end
        # control and debug registers
        test    g_read_cr0, 0x00, info1=1<<63|3, rip=g_read_cr0, next=g_read_cr0_next, decode=64
        set     CRS, 1
        end
        test    g_smsw, 0x00, info1=0, rip=g_smsw, next=g_smsw_next, decode=64
        set     CRS, 1
        end
        test    g_read_cr3, 0x03, info1=1<<63|9, rip=g_read_cr3, next=g_read_cr3_next, decode=64
        set     CRS, 8
        end
        test    g_write_cr3, 0x13, info1=1<<63, rip=g_write_cr3, next=g_write_cr3_next, decode=64
        set     CRS, 8 << 16
        end
        test    g_write_cr4, 0x14, info1=1<<63|7, rip=g_write_cr4, next=g_write_cr4_next, decode=64
        set     CRS, 16 << 16
        end
        test    g_read_cr8, 0x08, info1=1<<63|2, rip=g_read_cr8, next=g_read_cr8_next, decode=64
        set     CRS, 1 << 8
        end
        test    g_clts, 0x10, info1=0, rip=g_clts, next=g_clts_next, decode=64
        set     CRS, 1 << 16
        end
        test    g_lmsw, 0x10, info1=0, rip=g_lmsw, next=g_lmsw_next, decode=64
        set     CRS, 1 << 16
        end
        test    g_clts, 0x81, rip=g_clts_next   # not what the selective intercept is for
        set     MISC1, 1 << 5
        end
        test    g_selective, 0x65, rip=g_selective_here
        set     MISC1, 1 << 5
        end
        test    g_lmsw, 0x65, rip=g_lmsw
        set     MISC1, 1 << 5
        end
        test    g_read_dr7, 0x27, info1=1, rip=g_read_dr7, next=g_read_dr7_next, decode=64
        set     DRS, 1 << 7
        end
        test    g_write_dr0, 0x30, info1=3, rip=g_write_dr0, next=g_write_dr0_next, decode=64
        set     DRS, 1 << 16
        end
        # a virtual task priority
        test    g_write_cr8, 0x81, rax=5, field=0x60, value=1<<24|5
        set     INT_CONTROL, 1 << 24
        end
        # MSRs and ports
        test    g_rdmsr, 0x7c, info1=0, rip=g_rdmsr_here
        set     MISC1, 1 << 28
        end
        test    g_wrmsr, 0x7c, info1=1, rip=g_wrmsr_here
        set     MISC1, 1 << 28
        end
        test    g_strange_msr, 0x7c, info1=0, rip=g_strange_msr_here
        set     MISC1, 1 << 28
        end
        test    g_io, 0x7b, info1=0x710241, info2=g_io_next+BASE, rip=g_io_here
        set     MISC1, 1 << 27
        end
        test    g_in, 0x7b, info1=0x710211, info2=g_in_next+BASE, rip=g_in
        set     MISC1, 1 << 27
        end
        test    g_out_wide, 0x7b, info1=0x7f0220, info2=g_out_wide_next+BASE, rip=g_out_wide
        set     MISC1, 1 << 27
        end
        test    g_outs, 0x7b, info2=g_outs_next+BASE, rip=g_outs_here
        set     MISC1, 1 << 27
        end
        # exceptions: intercepted, and on the guest's own
        test    g_ud, 0x46, info1=0, rip=g_ud, int=0
        set     EXCEPTIONS, 1 << 6
        end
        test    g_breakpoint, 0x43, rip=g_breakpoint, int=0
        set     EXCEPTIONS, 1 << 3
        end
        test    g_page_fault, 0x4e, info1=2, info2=0x70000000, rip=g_page_fault, int=0
        set     EXCEPTIONS, 1 << 14
        set     RAX, 0x70000000
        end
        test    g_gp, 0x81, rax=0x6d00
        end
        test    g_int, 0x81, rax=0x1e57
        end
        test    g_ud, 0x7f
        set     MISC1, 1 << 31
        set     IDT_LIMIT, 0
        end
        # injected events
        test    g_vmmcall, 0x81, rax=0x1e57, int=0, field=0xa8, value=0x30
        set     EVENT, 0x80000030
        end
        test    g_vmmcall, 0x81, rax=0x1e57, int=0      # an NMI, whatever vector it names
        set     EVENT, 0x80000200
        end
        test    g_vmmcall, 0x81, rax=0x6d34
        set     EVENT, 0x3480000b0d
        end
        test    g_vmmcall, 0x4b, info1=0x31*8+3, int=0x80000031, rip=g_vmmcall, field=0xa8, value=0x31
        set     EVENT, 0x80000031
        set     EXCEPTIONS, 1 << 11
        end
        test    g_vmmcall, 0x4b, info1=0x31*8+2, int=0x80000431, rip=g_vmmcall
        set     EVENT, 0x80000431
        set     EXCEPTIONS, 1 << 11
        end
        # virtual interrupts
        test    g_sti, 0x64, rip=g_sti_here, field=0x68, value=0
        set     MISC1, 1 << 4
        set     INT_CONTROL, 0x100 | 3 << 16
        set     INT_VECTOR, 0x30
        end
        test    g_sti, 0x81, rax=0x1e57, field=0x60, value=3<<16|1<<24
        set     INT_CONTROL, 0x100 | 3 << 16 | 1 << 24
        set     INT_VECTOR, 0x30
        end
        test    g_sti, 0x81, rax=0, field=0x60, value=0x104|3<<16|1<<24
        set     INT_CONTROL, 0x104 | 3 << 16 | 1 << 24
        set     INT_VECTOR, 0x30
        end
        test    g_sti, 0x81, rax=0x1e57
        set     INT_CONTROL, 0x104 | 3 << 16 | 1 << 20 | 1 << 24
        set     INT_VECTOR, 0x30
        end
        # a virtual global interrupt flag: bit 9, if bit 25
        test    g_clgi, 0x81, rip=g_clgi_next, field=0x60, value=1<<25
        set     INT_CONTROL, 1 << 25 | 1 << 9
        end
        test    g_stgi, 0x81, rip=g_stgi_next, field=0x60, value=1<<25|1<<9
        set     INT_CONTROL, 1 << 25
        end
        test    g_sti, 0x81, rax=0, field=0x60, value=0x100|3<<16|1<<25
        set     INT_CONTROL, 0x100 | 3 << 16 | 1 << 25
        set     INT_VECTOR, 0x30
        end
        test    g_stgi_sti, 0x81, rax=0x1e57, field=0x60, value=3<<16|1<<25|1<<9
        set     INT_CONTROL, 0x100 | 3 << 16 | 1 << 25
        set     INT_VECTOR, 0x30
        end
        test    g_vmmcall, 0x81, rip=g_vmmcall_next   # IF is clear
        set     INT_CONTROL, 0x100 | 3 << 16
        set     INT_VECTOR, 0x30
        end
        test    g_shadow, 0x72, rip=g_shadow_here, field=0x68, value=1
        set     MISC1, 1 << 18
        end
        test    g_tsc, 0x81, rax=0x7f000000
        set     TSC_OFFSET, 0x7f00000000000000
        end
        # another world's TLB
        test    g_second_page, 0x81, rax=0x44440000
        set     CR3, TABLES2
        end
        test    g_second_page, 0x81, rax=0x33330000
        set     ASID, 2
        end
        # states that are refused
        test    g_vmmcall, -1
        set     MISC2, 2
        end
        test    g_vmmcall, -1
        set     ASID, 0
        end
        test    g_vmmcall, -1
        set     EFER, 0xd00
        end
        test    g_vmmcall, -1
        set     CR0, 0xa0000011
        end
        test    g_vmmcall, -1
        set     CR0, 0x180000011
        end
        test    g_vmmcall, -1
        set     CR4, 0
        end
        test    g_vmmcall, -1
        set     CS_ATTR, 0xe9b
        end
        test    g_vmmcall, -1
        set     CR3, TABLES | 1 << 40
        end
        # nested paging
        test    g_vmmcall, 0x81, rip=g_vmmcall_next
        set     NESTED_ON, 1
        end
        test    g_load, 0x81, rax=0x22220000
        set     NESTED_ON, 1
        set     RAX, 0x50000
        end
        test    g_load, 0x400, info1=1<<32|4, info2=0x52008, rip=g_load, int=0
        set     NESTED_ON, 1
        set     RAX, 0x52008
        end
        test    g_store, 0x400, info1=1<<32|7, info2=0x51010, rip=g_store
        set     NESTED_ON, 1
        set     RAX, 0x51010
        end
        test    g_store, 0x400, info1=1<<32|6, info2=0x52010, rip=g_store
        set     NESTED_ON, 1
        set     RAX, 0x52010
        end
        test    g_jump, 0x400, info1=1<<32|0x15, info2=0x53000
        set     NESTED_ON, 1
        set     RAX, 0x53000
        end
        test    g_jump, 0x400, info1=1<<32|0x14, info2=0x52000
        set     NESTED_ON, 1
        set     RAX, 0x52000
        end
        test    g_vmmcall, 0x400, info1=1<<33|6, info2=0x52000
        set     NESTED_ON, 1
        set     CR3, 0x52000
        end
        test    g_page_fault, 0x4e, info1=2, info2=0x70000000
        set     NESTED_ON, 1
        set     EXCEPTIONS, 1 << 14
        set     RAX, 0x70000000
        end
        test    g_vmmcall, 0x400, info1=1<<32|6, info2=0x52ff8, int=0x80000030
        set     NESTED_ON, 1
        set     EVENT, 0x80000030
        set     RSP, 0x53000
        end
        # 32-bit guests: PAE tables, 4 MiB pages, no paging; and a real-mode one
        test    g_load32, 0x81, rax=0x22220000
        set     NESTED_ON, 1
        set     CS_ATTR, 0xc9b
        set     EFER, 0x1000
        set     CR3, TABLESPAE
        end
        test    g_load32, 0x81, rax=0x22220000
        set     NESTED_ON, 1
        set     CS_ATTR, 0xc9b
        set     EFER, 0x1000
        set     CR4, 0x10
        set     CR3, TABLES32
        end
        test    g_load32, 0x81, rax=0x22220000
        set     NESTED_ON, 1
        set     CS_ATTR, 0xc9b
        set     EFER, 0x1000
        set     CR0, 0x11
        end
        test    g_high32, 0x400, info1=1<<32|4, info2=0x52000, rip=g_high32
        set     NESTED_ON, 1
        set     CS_ATTR, 0xc9b
        set     EFER, 0x1000
        set     CR0, 0x11
        end
        test    g_real-BASE, 0x81, rax=0x2222
        set     NESTED_ON, 1
        set     CS_ATTR, 0x9b
        set     CS_BASE, BASE
        set     EFER, 0x1000
        set     CR0, 0x10
        end
        .long   0

        .align  8
gdt:    .long   0, 0
        .long   0x0000ffff, 0x00af9b00  # 8: 64-bit code
        .long   0x0000ffff, 0x00cf9300  # 0x10: data
        .long   0x0000ffff, 0x00cf9b00  # 0x18: 32-bit code
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt + BASE, 0
idt_pointer:
        .word   0xfff
        .long   IDT, 0
