# A firmware that runs pieces of random code: in 32-bit and 16-bit protected mode at CPL 0 and 3, in virtual-8086 mode, with and without
# paging, among far calls, interrupts and loads of segments that meet gates, tasks, an LDT and descriptors of no sense. It prints a dot on
# port 0x402 for four of them. A fault or an NMI ends one; if it has destroyed the tables, that is a triple fault, and the firmware begins anew.
#
# Memory: 0x504 the seed, 0x508 pieces so far, 0x50c starts, 0x1000 IDT, 0x2000 TSSs, 0x3000 GDT, 0x4000 LDT, 0x7000 stack,
# 0x8000 the code, 0x20000 page directory.

        .set    TSS, 0x2000             # 32-bit at +0 and +0x200, 16-bit at +0x400
        .set    GDT, 0x3000
        .set    LDT, 0x4000
        .set    CODE, 0x8000
        .set    PAGES, 0x20000
        .set    GATES, 0x5000           # what the IDT begins as
        .set    TABLE_BYTES, 0x100

        .include "protected.inc"

        .code16
        .text
        .globl  start
start:  cli
        protected_mode
        lidtl   idt_pointer + 0xf0000
        mov     seed + 0xf0000, %eax
        add     0x50c, %eax             # of each start another one
        addl    $0x9e3779b9, 0x50c
        or      $1, %eax
        mov     %eax, 0x504
        all_gates fault
        mov     $IDT, %esi
        mov     $GATES, %edi
        mov     $0x200, %ecx
        rep movsl
        mov     $PAGES, %edi
        mov     $0xe7, %eax
        mov     $1024, %ecx
1:      mov     %eax, (%edi)
        add     $0x400000, %eax
        add     $4, %edi
        loop    1b
again:  cli
        cld
        lgdtl   %cs:gdt_pointer + 0xf0000
        mov     $0x10, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $0x7000, %esp
        push    $2
        popf
        xor     %eax, %eax
        mov     %eax, %fs
        mov     %eax, %gs
        lldt    %ax
        mov     %cr0, %eax
        and     $0x7ffffff3, %eax
        or      $1, %eax
        mov     %eax, %cr0
        xor     %eax, %eax
        mov     %eax, %dr7
        mov     %eax, %cr4
        mov     0x504, %ebp
        test    %ebp, %ebp
        jnz     1f
        mov     seed + 0xf0000, %ebp
        or      $1, %ebp

1:      mov     $GATES, %esi            # tables, and some bits of them that are wrong
        mov     $IDT, %edi
        mov     $0x200, %ecx
        rep movsl
        mov     $0x30, %ecx             # who may INT: some
1:      call    random
        and     $0x60, %al
        or      %al, IDT + 5(, %ecx, 8)
        loop    1b
        mov     $16, %edi               # NMIs between a reset and LIDT, in real mode and then
        mov     $fault + 0xf0000, %eax
        call    set_gate
        movl    $0xf0000000 + start, 8
        movl    $0x00300000, IDT + 8 * 0x31 # task gates
        movl    $0x0000e500, IDT + 8 * 0x31 + 4
        movl    $0x00200000, IDT + 8 * 0x08
        movl    $0x00008500, IDT + 8 * 0x08 + 4
        mov     $descriptors + 0xf0000, %esi
        mov     $GDT, %edi
        mov     $TABLE_BYTES / 4, %ecx
        rep movsl
        mov     $descriptors + 0xf0000, %esi
        mov     $LDT, %edi
        mov     $TABLE_BYTES / 4, %ecx
        rep movsl
        mov     $8, %ecx
1:      call    random
        and     $TABLE_BYTES - 4, %eax
        cmp     $0x18, %eax
        jb      2f
        mov     %eax, %edi
        call    random
        mov     %ebp, %edx
        and     %edx, %eax
        rol     $7, %edx
        and     %edx, %eax
        xor     %eax, GDT(%edi)
        xor     %eax, LDT(%edi)
2:      loop    1b
        mov     $TSS, %edi
        call    fill_task
        mov     $TSS + 0x200, %edi
        call    fill_task
        mov     $TSS + 0x400, %edi
        call    fill_task
        mov     $TSS, %edi
        call    task
        mov     $TSS + 0x200, %edi
        call    task
        movl    $0x00107000, TSS + 0x402 # SP0, SS0
        movw    $CODE, TSS + 0x40e
        movw    $2, TSS + 0x410
        movw    $0x10, TSS + 0x422      # ES, CS, SS, DS
        movl    $0x00100048, TSS + 0x424
        movw    $0x10, TSS + 0x428
        movw    $0, TSS + 0x42a

        mov     $CODE, %edi             # the code
        mov     $64, %ecx
1:      call    random
        stosl
        loop    1b
        mov     $10, %ecx
1:      call    random
        mov     %eax, %edx
        and     $15, %edx
        shr     $8, %eax
        and     $0xf8, %eax
        lea     CODE(%eax), %edi
        mov     templates + 0xf0000(, %edx, 8), %eax
        mov     %eax, (%edi)
        mov     templates + 0xf0004(, %edx, 8), %eax
        mov     %eax, 4(%edi)
        movzbl  places + 0xf0000(%edx), %edx
        call    random
        and     $0xff, %eax
        mov     %ax, (%edi, %edx)
        loop    1b

        lgdtl   new_gdt + 0xf0000
        lidtl   idt_pointer + 0xf0000
        mov     $0x18, %ax
        ltr     %ax
        mov     $0x68, %ax
        lldt    %ax
        call    random
        test    $0x3000, %eax
        jz      1f
        call    random
        and     $0x03, %eax             # VME, PVI
        or      $0x640, %eax
        mov     %eax, %cr4
1:      call    random
        test    $1, %al
        jz      2f
        mov     %cr4, %eax
        or      $0x10, %al
        mov     %eax, %cr4
        mov     $PAGES, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
2:      incw    0x508
        testb   $0x03, 0x508
        jnz     1f
        mov     $'.', %al
        mov     $0x402, %dx
        out     %al, %dx
1:      pushf                           # NMIs again
        push    $8
        push    $1f + 0xf0000
        iret

1:      call    random                  # a frame for IRET at 0x6fc0, and where it leads
        and     $7, %eax
        mov     frames + 0xf0000(, %eax, 4), %esi
        mov     $0x6f80, %edi
        mov     $9, %ecx
        rep movsl
        call    random
        and     $0x30cd5, %eax          # flags: not VM, which is the frame's
        and     $0x20cd5 - 0x20000, %eax
        or      %eax, 0x6f88
        call    random
        and     $0xff, %eax
        add     $CODE - 0x80, %eax
        mov     %eax, %ebx
        call    random
        and     $0x1ff, %eax
        mov     %eax, %ecx
        call    random
        mov     %eax, %edx
        call    random
        and     $0xff, %eax
        add     $CODE - 0x80, %eax
        mov     %eax, %esi
        call    random
        and     $0xff, %eax
        add     $CODE - 0x80, %eax
        mov     %eax, %edi
        call    random
        mov     %ebp, 0x504
        and     $0xff, %eax
        mov     $0x6f80, %esp
        iret

fault:  lgdtl   %cs:gdt_pointer + 0xf0000
        mov     $0x10, %eax
        mov     %eax, %ss
        mov     %eax, %ds
        mov     $0x7000, %esp
        jmp     again

fill_task:
        mov     $26, %ecx
1:      call    random
        and     $0x1fff7, %eax
        stosl
        loop    1b
        ret

task:   movl    $0x7000, 4(%edi)        # a TSS that can be gone to, and come back from
        movl    $0x10, 8(%edi)
        movl    $PAGES, 28(%edi)
        movl    $CODE, 32(%edi)
        andl    $0x24cd5, 36(%edi)
        movl    $CODE + 0x80, 56(%edi)
        movl    $0x10, 72(%edi)
        movl    $8, 76(%edi)
        movl    $0x10, 80(%edi)
        movl    $0x10, 84(%edi)
        movl    $0x68, 96(%edi)
        movl    $0x00680000, 100(%edi)
        testl   $0x20000, 36(%edi)
        jz      1f
        movl    $CODE >> 4, 76(%edi)    # in virtual-8086 mode
        movl    $0, 32(%edi)
1:      ret

random: mov     %ebp, %eax
        shl     $13, %eax
        xor     %eax, %ebp
        mov     %ebp, %eax
        shr     $17, %eax
        xor     %eax, %ebp
        mov     %ebp, %eax
        shl     $5, %eax
        xor     %eax, %ebp
        mov     %ebp, %eax
        ret
        gate_routine

        .balign 8
templates:                              # a random word goes to the place below
        .byte   0x9a, 0x40, 0x80, 0, 0, 0, 0, 0x90      # lcall
        .byte   0xea, 0x80, 0x80, 0, 0, 0, 0, 0x90      # ljmp
        .byte   0xcd, 0, 0x90, 0x90, 0xcd, 0x31, 0x90, 0x90 # int
        .byte   0x66, 0xb8, 0, 0, 0x8e, 0xd8, 0x90, 0x90 # mov to ds
        .byte   0x66, 0xb8, 0, 0, 0x8e, 0xd0, 0x90, 0x90 # to ss
        .byte   0x66, 0xb8, 0, 0, 0x8e, 0xe0, 0x90, 0x90 # to fs
        .byte   0x66, 0xb8, 0, 0, 0x0f, 0x00, 0xd8, 0x90 # ltr
        .byte   0x66, 0xb8, 0, 0, 0x0f, 0x00, 0xd0, 0x90 # lldt
        .byte   0x6a, 0, 0x1f, 0x6a, 0x10, 0x07, 0x90, 0x90 # push, pop ds
        .byte   0xcf, 0x90, 0, 0, 0xcf, 0x90, 0x90, 0x90 # iret
        .byte   0x68, 0, 0, 0x60, 0, 0xcb, 0x90, 0x90   # push, lret
        .byte   0x66, 0xb8, 0, 0, 0x0f, 0x02, 0xd8, 0x90 # lar
        .byte   0x66, 0xb8, 0, 0, 0x0f, 0x00, 0xe0, 0x90 # verr
        .byte   0xb8, 0, 0, 0, 0, 0x50, 0x9d, 0x90      # mov, push, popf
        .byte   0xc8, 0x10, 0, 0, 0x61, 0xc9, 0x90, 0x90 # enter, popa, leave
        .byte   0xcc, 0xce, 0xf1, 0, 0, 0xfb, 0xf4, 0x90 # int3, into, int1, sti, hlt
places: .byte   5, 5, 1, 2, 2, 2, 2, 2, 1, 2, 1, 2, 2, 1, 2, 3

        .balign 8
descriptors:
        .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
        .quad   0x0000890020000067, 0x0000890022000067 # 0x18, 0x20: tasks
        .quad   0x000081002400002b      # 0x28: a 16-bit one
        .quad   0x0000e50000200000, 0x0000e50000280000 # 0x30, 0x38: gates of tasks
        .quad   0x0000ec0000088010      # 0x40: call gates, to 32-bit code
        .quad   0x00009b008000ffff      # 0x48: 16-bit code where the pieces are
        .quad   0x000093008000ffff      # 0x50: data there
        .quad   0x00cffb000000ffff, 0x00cff3000000ffff # 0x58, 0x60: of CPL 3
        .quad   0x00008200400000ff      # 0x68: the LDT
        .quad   0x00cf9f000000ffff      # 0x70: conforming code
        .quad   0x00c0f70000000007      # 0x78: expand-down data
        .quad   0x0000e40000480020, 0x0000ec0300588030 # 0x80, 0x88: to 16-bit code, with parameters
        .quad   0x0040fb00800000ff      # 0x90: 32-bit code with a limit
        .quad   0x0000fb008000ffff      # 0x98: 16-bit code of CPL 3
        .quad   0x00cf13000000ffff      # 0xa0: data that is not present
        .quad   0x00008b0020000067      # 0xa8: a busy task
        .quad   0x0000860000088020, 0x00008f0000088020 # 0xb0, 0xb8: interrupt and trap gates
        .quad   0x0000ec0000700000 + CODE # 0xc0: to conforming code
        .quad   0x00af9b000000ffff      # 0xc8: 64-bit code, outside of long mode
        .quad   0x0000f20080000fff, 0x0000f60080000fff, 0x0040920080000000 # 0xd0 to 0xe0: small data
        .quad   0x00009a0080000010, 0x0000980080000fff, 0x00c0f2000000ffff # 0xe8 to 0xf8
frames: .long   frame_32 + 0xf0000, frame_user + 0xf0000, frame_v86 + 0xf0000, frame_16 + 0xf0000
        .long   frame_32 + 0xf0000, frame_v86 + 0xf0000, frame_user_16 + 0xf0000, frame_user + 0xf0000
frame_32:                               # EIP, CS, EFLAGS, and of others ESP, SS, ES, DS, FS, GS
        .long   CODE, 8, 2, CODE + 0x80, 0x10, 0, 0, 0, 0
frame_16:
        .long   0, 0x48, 2, 0, 0, 0, 0, 0, 0
frame_user:
        .long   CODE, 0x5b, 0x2, CODE + 0x80, 0x63, 0, 0, 0, 0
frame_user_16:
        .long   0, 0x9b, 0x3002, 0x80, 0xd3, 0, 0, 0, 0
frame_v86:
        .long   0, CODE >> 4, 0x20002, 0x80, CODE >> 4, CODE >> 4, 0, CODE >> 4, 0
new_gdt:
        .word   TABLE_BYTES - 1
        .long   GDT
        .balign 8
seed:   .ascii  "SEEDSEED"
        tables
