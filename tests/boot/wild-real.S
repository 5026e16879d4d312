# A firmware that runs pieces of random code in real mode, with their stack and what they point to among them, and prints a dot on port
# 0x402 for four of them. A fault or an NMI ends one.
#
# Memory: 0 vectors, 0x504 the seed, 0x508 pieces so far, 0x7000 stack, 0x8000 the code.
        .code16
        .text
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %cs:seed, %eax
        add     0x50c, %eax             # of each start another one
        addl    $0x9e3779b9, 0x50c
        or      $1, %eax
        mov     %eax, 0x504
again:  cli
        cld
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7000, %sp
        mov     0x504, %eax
        test    %eax, %eax
        jnz     1f
        rdtsc
        or      $1, %eax
1:      mov     %eax, %ebp
        xor     %di, %di
        mov     $256, %cx
1:      movw    $fault, (%di)
        mov     %cs, 2(%di)
        add     $4, %di
        loop    1b
        mov     $0x8000, %di
        mov     $64, %cx
1:      call    random
        stosl
        loop    1b
        mov     %ebp, 0x504
        incw    0x508
        testb   $0x03, 0x508
        jnz     1f
        mov     $'.', %al
        mov     $0x402, %dx
        out     %al, %dx
1:      # NMIs again
        pushf
        push    %cs
        push    $1f
        iret
1:      call    random
        mov     %eax, %ebx
        call    random
        mov     %eax, %ecx
        and     $0xff, %cx
        call    random
        mov     %eax, %edx
        call    random
        mov     %eax, %esi
        call    random
        mov     %eax, %edi
        and     $0x7f, %di
        add     $0x7fc0, %di
        and     $0x7f, %si
        add     $0x7fc0, %si
        and     $0x7f, %bx
        add     $0x7fc0, %bx
        call    random
        mov     %eax, %ebp
        and     $0x7f, %bp
        add     $0x7fc0, %bp
        mov     %ax, %sp
        and     $0x7f, %sp
        add     $0x8008, %sp
        ljmp    $0, $0x8000
fault:  mov     $0x7000, %sp
        jmp     again
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
        .balign 8
seed:   .ascii  "SEEDSEED"
