# A firmware that runs virtual machines by AMD-V from control blocks, nested tables and code that are random in part, for ever.
# Port 0x402 gets a dot each 64 rounds. What the guests do to this machine is their affair; its emulator is to survive.
#
# Memory: 0x700 seed, 0x710 rounds, 0x8000 stack's top, 0x10000 VMCB, 0x11000 host save area, 0x12000 MSR map, 0x14000 I/O map, 0x18000
# page tables (4 GiB as it is), 0x20000 nested tables of the same, 0x2f000 IDT, 0x30000 the guest's code.
        .set    BASE, 0xf0000
        .set    seed, 0x700
        .set    rounds, 0x710
        .set    VMCB, 0x10000
        .set    HSAVE, 0x11000
        .set    MSRPM, 0x12000
        .set    IOPM, 0x14000
        .set    TABLES, 0x18000
        .set    NESTED, 0x20000
        .set    IDT, 0x2f000
        .set    CODE, 0x30000

        .include "svm.inc"

        .code16
        .text
        .globl  start
start:  cli
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
        mov     $0x8000, %esp
        mov     $TABLES, %edi
        call    make_tables
        mov     $0x6a0, %eax            # PAE, PGE, OSFXSR, OSXMMEXCPT
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

# At EDI: one page, one with four directories, these.
make_tables:
        push    %edi
        xor     %eax, %eax
        mov     $0x6000 / 4, %ecx
        rep stosl
        pop     %edi
        lea     0x1007(%edi), %eax
        mov     %eax, (%edi)
        mov     $4, %ecx
1:      add     $0x1000, %eax
        mov     %eax, 0x1000 - 8(%edi, %ecx, 8)
        loop    1b
        mov     $4, %ecx                # the directories are in reverse order
        lea     0x5000(%edi), %edi
        mov     $0x87, %eax
2:      push    %ecx
        mov     $512, %ecx
3:      mov     %eax, (%edi)
        add     $0x200000, %eax
        add     $8, %edi
        loop    3b
        sub     $0x2000, %edi
        pop     %ecx
        loop    2b
        ret

        .code64
# The next random number, in RAX.
random: mov     seed, %rax
        mov     %rax, %rcx
        shl     $13, %rcx
        xor     %rcx, %rax
        mov     %rax, %rcx
        shr     $7, %rcx
        xor     %rcx, %rax
        mov     %rax, %rcx
        shl     $17, %rcx
        xor     %rcx, %rax
        mov     %rax, seed
        rol     $23, %rax
        ret

read_clock:                             # register AL
        out     %al, $0x70
        in      $0x71, %al
        movzbl  %al, %eax
        ret

write_clock:                            # BL to register AL
        out     %al, $0x70
        mov     %bl, %al
        out     %al, $0x71
        ret

# One that finds edges, in RAX: small, all ones, a bit, an address of a page here, or any.
edge:   call    random
        mov     %eax, %edx
        shr     $32, %rax
        and     $7, %edx
        jz      1f
        cmp     $2, %edx
        jb      2f
        je      3f
        cmp     $5, %edx
        jb      4f
        jmp     random
1:      and     $0xf, %eax
        ret
2:      mov     $-1, %rax
        ret
3:      mov     %eax, %ecx
        mov     $1, %eax
        shl     %cl, %rax
        ret
4:      and     $0x7f000, %eax
        ret

long_mode:
        mov     $0x8000, %esp
        mov     $IDT, %edi
        mov     $256, %ecx
        mov     $recover + BASE, %eax
1:      mov     %ax, (%rdi)
        movl    $0x8e000008, 2(%rdi)
        movw    $0xf, 6(%rdi)
        movq    $0, 8(%rdi)
        add     $16, %edi
        loop    1b
        lidt    idt_pointer(%rip)
        mov     $0xc0010117, %ecx       # VM_HSAVE_PA
        mov     $HSAVE, %eax
        xor     %edx, %edx
        wrmsr
        mov     $0xc0, %al              # how often it has begun, in the clock's memory, which guests seldom find
        call    read_clock
        mov     %eax, %ebx
        mov     $0xc1, %al
        call    read_clock
        mov     %al, %bh
        inc     %ebx
        mov     $0xc0, %al
        mov     %ebx, %ecx
        call    write_clock
        shr     $8, %ebx
        mov     $0xc1, %al
        call    write_clock
        mov     first_seed(%rip), %rax
        mov     $0x9e3779b97f4a7c15, %rdx
        imul    %rdx, %rcx
        add     %rcx, %rax
        or      $1, %rax
        mov     %rax, seed
        xor     %r15d, %r15d

next:   mov     $0x8000, %esp
        inc     %r15d
        test    $63, %r15d
        jnz     1f
        mov     $'.', %al
        mov     $0x402, %edx
        out     %al, %dx
1:      mov     $NESTED, %edi
        call    make_nested
        call    fill_vmcb
        call    fill_code
        # registers, and whose control block
        call    edge
        mov     %rax, %rbx
        call    edge
        mov     %rax, %rsi
        call    edge
        mov     %rax, %rdi
        call    edge
        mov     %rax, %rbp
        call    edge
        mov     %rax, %r8
        call    random
        mov     %eax, %r9d
        and     $15, %r9d
        lea     msrs(%rip), %r10
        mov     (%r10, %r9, 4), %r10d
        push    %r10
        call    edge
        mov     %rax, %r10
        call    random
        mov     $VMCB, %edx
        test    $0x3f, %al
        cmovz   %r10, %rdx
        push    %rdx
        call    random
        mov     %eax, %edx
        pop     %rax
        pop     %rcx
        mov     %r15d, rounds
        clgi
        vmrun
        stgi
        mov     rounds, %r15d
        jmp     next

# Any exception of the host, and of guests with the host's tables. IRET ends the blocking of NMIs.
recover:
        mov     $0x8000, %esp
        mov     rounds, %r15d
        lea     next(%rip), %rax
        push    $0x10
        push    $0x8000
        push    $2
        push    $8
        push    %rax
        iretq

# The nested tables, of which one entry may be wrong.
make_nested:
        mov     $0x6000 / 8, %ecx
        mov     $TABLES, %esi
        rep movsq
        mov     $NESTED, %edi
        lea     0x1007(%rdi), %eax
        mov     %rax, (%rdi)
        mov     $4, %ecx
1:      add     $0x1000, %eax
        mov     %rax, 0x1000 - 8(%rdi, %rcx, 8)
        loop    1b
        call    random
        test    $3, %al
        jnz     2f
        shr     $8, %rax
        and     $0x5ff8, %eax
        lea     NESTED(%rax), %edi
        push    %rdi
        call    edge
        pop     %rdi
        mov     %rax, (%rdi)
2:      ret

# A guest in long mode, of which up to seven pieces are random; or all of it.
fill_vmcb:
        mov     $VMCB, %edi
        call    random
        test    $7, %al
        jnz     2f
        mov     $0x1000 / 8, %ecx       # noise
1:      push    %rcx
        call    random
        stosq
        pop     %rcx
        loop    1b
        call    random
        test    $1, %al
        jz      3f
2:      mov     $VMCB, %edi
        xor     %eax, %eax
        mov     $0x1000 / 8, %ecx
        rep stosq
        call    make_valid
3:      orl     $3, VMCB + 0x10         # without VMRUN's intercept nothing runs
        call    random
        and     $7, %eax
        jz      6f
        mov     %eax, %ebx
4:      call    random
        mov     %eax, %edi
        and     $63, %edi
        lea     fields(%rip), %rdx
        movzwl  (%rdx, %rdi, 2), %edi
        push    %rdi
        call    edge
        pop     %rdi
        mov     %rax, %r8
        call    random
        test    $1, %al
        jz      5f
        xor     %r8, VMCB(%rdi)
        jmp     7f
5:      mov     %r8, VMCB(%rdi)
7:      dec     %ebx
        jnz     4b
6:      orl     $1, VMCB + 0x10
        call    random
        test    $31, %al
        jz      8f
        orl     $0x80000002, VMCB + 0xc # NMI and shutdown: so that most guests come to an end, and here
8:      ret

make_valid:
        call    random                  # intercepts: none, all, some
        mov     %eax, %ebx
        shr     $8, %rax
        mov     %rax, %r8
        call    random
        mov     %rax, %r9
        test    $3, %bl
        jnz     1f
        xor     %r8d, %r8d
        xor     %r9d, %r9d
1:      mov     %r8, VMCB
        mov     %r9, VMCB + 8
        test    $12, %bl
        jz      2f
        movq    $0, VMCB                # control registers and exceptions not at all
        movl    $0, VMCB + 8
2:      mov     %r8d, VMCB + 0x10
        mov     %r9d, VMCB + 0x14
        movq    $IOPM, VMCB + 0x40
        movq    $MSRPM, VMCB + 0x48
        shr     $16, %ebx
        mov     %ebx, %eax
        and     $7, %eax
        inc     %eax
        mov     %eax, VMCB + 0x58
        mov     %ebx, %eax
        shr     $4, %eax
        and     $7, %eax
        mov     %al, VMCB + 0x5c
        mov     %ebx, %eax
        shr     $8, %eax
        and     $1, %eax
        mov     %eax, VMCB + 0x90
        movq    $CODE, VMCB + 0x578
        long_mode_guest
        ret

# Eight pieces of code, and an end.
fill_code:
        mov     $8, %ebx
        mov     $CODE, %edi
1:      call    random
        and     $127, %eax
        cmp     $(pieces_end - pieces) / 8, %eax
        jae     1b
        lea     pieces(%rip), %rdx
        mov     (%rdx, %rax, 8), %rax
        stosq
        dec     %ebx
        jnz     1b
        movl    $0xd9010f, (%rdi)       # VMMCALL
        ret

        .macro  piece code:vararg
        .balign 8, 0x90
        \code
        .endm
        .balign 8
pieces: piece   cpuid
        piece   rdtsc
        piece   rdtscp
        piece   rdpmc
        piece   rdmsr
        piece   wrmsr
        piece   in %dx, %al
        piece   out %eax, %dx
        piece   insb
        piece   rep outsl
        piece   rep insw
        piece   rep movsb
        piece   mov %cr0, %rbx
        piece   mov %rbx, %cr0
        piece   mov %cr3, %rbx
        piece   mov %rbx, %cr3
        piece   mov %rsi, %cr4
        piece   mov %rdi, %cr2
        piece   mov %rbx, %cr8
        piece   mov %cr8, %rbx
        piece   mov %dr7, %rbx
        piece   mov %rbx, %dr7
        piece   mov %rbx, %dr6
        piece   mov %rbx, %dr0
        piece   lgdt (%rsi)
        piece   lidt (%rdi)
        piece   sgdt (%rsi)
        piece   sidt (%rdi)
        piece   lldt %bx
        piece   ltr %bx
        piece   sldt (%rsi)
        piece   str %ebx
        piece   smsw (%rdi)
        piece   lmsw %bx
        piece   clts
        piece   invlpg (%rsi)
        piece   invd
        piece   wbinvd
        piece   hlt
        piece   pause
        piece   monitor
        piece   mwait
        piece   xsetbv
        piece   vmrun
        piece   vmload
        piece   vmsave
        piece   vmmcall
        piece   stgi
        piece   clgi
        piece   skinit
        piece   invlpga
        piece   invpcid (%rsi), %rbx
        piece   int3
        piece   int $0x80
        piece   .byte 0xf1
        piece   .byte 0xce
        piece   iretq
        piece   iretl
        piece   syscall
        piece   sysretq
        piece   sysenter
        piece   sysexitl
        piece   pushf
        piece   popf
        piece   sti
        piece   cli
        piece   ud2
        piece   mov %ebx, %ss
        piece   mov %ebx, %ds
        piece   mov (%rsi), %rax
        piece   mov %rax, (%rdi)
        piece   lock cmpxchg %ebx, (%rsi)
        piece   ljmpl *(%rsi)
        piece   lcalll *(%rdi)
        piece   swapgs
        piece   rsm
        piece   jmp .
        piece   jmp *%rbx
        piece   loop .
        piece   fxsave (%rsi)
        piece   fxrstor (%rdi)
        piece   xsave (%rsi)
        piece   div %bl
        piece   mov %rbp, %rsp
        piece   lodsq
        piece   xor %ecx, %ecx
        piece   mov %rdi, %rax
        .balign 8, 0x90
pieces_end:

        .balign 4
msrs:   .long   0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0010114
        .long   0xc0010117, 0xc0000104, 0x174, 0x277, 0x1b, 0x1d9, 0x2ff, 0x12345678
# 64 offsets of the VMCB
fields: .word   0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x3c, 0x40, 0x48, 0x50, 0x58, 0x5c, 0x60, 0x64, 0x68, 0x70
        .word   0x90, 0x98, 0xa8, 0xa8, 0xac, 0xb0, 0xb0, 0xb8, 0xc0, 0xc8, 0xe0, 0xf8, 0x400, 0x410, 0x412, 0x414
        .word   0x418, 0x420, 0x422, 0x428, 0x430, 0x438, 0x464, 0x468, 0x484, 0x488, 0x4cb, 0x4d0, 0x4d0, 0x548, 0x548, 0x550
        .word   0x550, 0x558, 0x558, 0x560, 0x568, 0x570, 0x570, 0x578, 0x5d8, 0x5f8, 0x640, 0x668, 0x670, 0x678, 0x60, 0x90

        .balign 8
        .ascii  "SEEDSEED"
first_seed:
        .quad   0
gdt:    .quad   0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdt_pointer:
        .word   31
        .long   gdt + BASE
idt_pointer:
        .word   0xfff
        .quad   IDT
